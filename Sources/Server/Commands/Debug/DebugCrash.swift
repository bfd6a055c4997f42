import CShims
import Commands
import Engine
import Primitives
#if canImport(Glibc)
import Glibc
#endif

extension DebugCommands {
    static func sleep(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let seconds = min(max(DoubleText.parse(call[2]) ?? 0, 0), 1e9)
        var left = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
        var rest = timespec()
        while nanosleep(&left, &rest) != 0 && errno == EINTR { left = rest }
        core.updateClock()
        call.reply.ok()
    }

    static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "AOF-FLUSH-SLEEP <microseconds>", "    Wait so long before records are handed to the log.",
            "ASSERT", "    Crash as by a failed assertion.",
            "CHANGE-REPL-ID", "    Take new replication IDs.",
            "CLUSTERLINK KILL <to|from|all> <node-id>", "    Cut the link with a node of the cluster.",
            "CONFIG-REWRITE-FORCE-ALL", "    As CONFIG REWRITE, with all directives.",
            "DICT-RESIZING <0|1>", "    Let hash tables grow and shrink, or not.",
            "DIGEST", "    Answer a signature of all data.",
            "DIGEST-VALUE <key> [<key> ...]", "    Answer signatures of the values of keys.",
            "DROP-CLUSTER-PACKET-FILTER <type>", "    Lose packets of this type (-1: none).",
            "ERROR <string>", "    Answer an error with this text.",
            "HTSTATS <dbid>", "    Describe the hash tables of a database.",
            "HTSTATS-KEY <key>", "    Describe the hash table of a value.",
            "LISTPACK <key>", "    Write the listpack of a value to the log.",
            "LOADAOF", "    Make the log whole, empty the memory, and load the log.",
            "LOG <message>", "    Write a line to the server log.",
            "OBJECT <key>", "    Describe how a value is held.",
            "PANIC", "    Crash as by a panic.",
            "PAUSE-CRON <0|1>", "    Stop periodic work.",
            "POPULATE <count> [<prefix>] [<size>]", "    Make <count> string keys; not logged.",
            "PROTOCOL <type>", "    Answer a value of a type: string, integer, double, bignum, null, array, set, map,",
            "    attrib, push, verbatim, true, false.",
            "QUICKLIST <key> [<0|1>]", "    Write the quicklist of a value to the log.",
            "QUICKLIST-PACKED-THRESHOLD <size>", "    Elements from this size on get a node of their own (0: default).",
            "RELOAD [NOSAVE] [NOFLUSH] [MERGE]", "    Save a dump, empty the memory, and load the dump.",
            "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|time>", "REPLYBUFFER RESIZING <0|1>",
            "SDSLEN <key>", "    Answer lengths of key and value.",
            "SEGFAULT", "    Crash by an invalid access.",
            "SET-ACTIVE-EXPIRE <0|1>", "    Expire keys in the background, or only when they are looked up.",
            "SET-DISABLE-DENY-SCRIPTS <0|1>", "    Let scripts call commands that are denied to them.",
            "SET-SKIP-CHECKSUM-VALIDATION <0|1>", "    Load dumps and payloads whatever their checksum.",
            "SLEEP <seconds>", "    Stop the server for so long.",
            "STRINGMATCH-LEN <len> <pattern>", "    Match a pattern against a string of <len> times 'a'.",
        ])
    }
}

/// Ends of the process that are asked for.
enum DebugCrash {
    static func segfault(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        sr_crash_by_access()
    }

    static func panic(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let rule = String(repeating: "-", count: 48)
        sr_crash(strdup("""
            \(rule)
            !!! Software Failure. Press left mouse button to continue
            Guru Meditation: called by user request #\(#fileID):\(#line)
            \(rule)

            """))
    }

    static func assertion(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        sr_crash(strdup("=== ASSERTION FAILED ===\n==> \(#fileID):\(#line) 'DEBUG ASSERT' is not true\n"))
    }
}
