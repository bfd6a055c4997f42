import Commands
import Engine
import Primitives
import Storage

/// Subcommands of DEBUG that make the server behave otherwise than it should.
enum DebugSwitches {
    /// DEBUG AOF-FLUSH-SLEEP <microseconds>
    static func logFlushSleep(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.control.logFlushSleep = UInt32(clamping: Decimal.parseInt64(call[2]) ?? 0)
        call.reply.ok()
    }

    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION <0|1>
    static func skipChecksums(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.control.skipsChecksums = (Decimal.parseInt64(call[2]) ?? 0) != 0
        core.engine.keyspace.believesChecksums = core.control.skipsChecksums
        call.reply.ok()
    }

    /// DEBUG CONFIG-REWRITE-FORCE-ALL
    static func rewriteAll(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        guard let path = core.configuration.file else {
            throw .text("ERR The server is running without a config file")
        }
        do throws(StorageError) {
            var rewrite = ConfigurationRewrite(configuration: core.configuration)
            rewrite.users = core.configuration.userLines?()
            rewrite.writesDefaults = true
            try rewrite.write(path, PosixFileSystem())
        } catch {
            throw .message("ERR CONFIG-REWRITE-FORCE-ALL failed: \(error.cause)")
        }
        call.reply.ok()
    }

    /// DEBUG SET-DISABLE-DENY-SCRIPTS <0|1>
    static func allowDeniedInScripts(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.scripts.allowsDenied = (Decimal.parseInt64(call[2]) ?? 0) != 0
        call.reply.ok()
    }

    /// DEBUG DROP-CLUSTER-PACKET-FILTER <type>
    static func packetFilter(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.control.droppedClusterPacket = Int(try call.integer(2, in: Int64(Int32.min)...Int64(Int32.max)))
        call.reply.ok()
    }

    /// DEBUG CLUSTERLINK KILL <to|from|all> <node-id>
    static func clusterLink(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        throw .text("ERR Debug option only available for cluster mode enabled setup!")
    }
}
