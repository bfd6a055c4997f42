import CShims
import Engine
import Primitives
import RESP
#if canImport(Glibc)
import Glibc
#endif

/// What a crash report says beyond registers and stack (`CShims/reports.c`): INFO, clients, and the command that ran.
/// Ordinary code in a process that is broken: it may crash or hang, and is then cut off.
enum CrashReport {
    /// Makes crashes be reported, or not, as the settings say.
    static func apply(_ core: ServerCore) {
        sr_crash_options(core.configuration.crashMemcheckEnabled ? 1 : 0, core.configuration.useExitOnPanic ? 1 : 0)
        guard core.configuration.crashLogEnabled else {
            sr_crash_remove()
            return
        }
        sr_crash_add({ context, descriptor in
            guard let context else { return }
            CrashReport.write(Unmanaged<ServerCore>.fromOpaque(context).takeUnretainedValue(), to: descriptor)
        }, Unmanaged.passUnretained(core).toOpaque())
        sr_crash_install()
    }

    private static func write(_ core: ServerCore, to descriptor: Int32) {
        section("INFO OUTPUT", InfoReport.make(core, .everything), descriptor)
        section("CLIENT LIST OUTPUT", ClientLine.describeAll(core, ClientFilter(skipsCaller: false)), descriptor)
        section("CURRENT CLIENT INFO", currentClient(core), descriptor)
    }

    private static func section(_ title: String, _ text: consuming OwnedBytes, _ descriptor: Int32) {
        FileHandleText.write("\n------ \(title) ------\n", to: descriptor)
        for line in text.bytes.split(separator: UInt8(ascii: "\r")) {
            var place = 0
            while place < line.count {
                let rest = Bytes(rebasing: line.dropFirst(place))
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count <= 0 { return }
                place += count
            }
        }
    }

    /// More arguments than this are only counted, and so are more bytes of one.
    private static let shownArguments = 32
    private static let shownBytes = 128

    private static func currentClient(_ core: ServerCore) -> OwnedBytes {
        let engine = core.engine, session = engine.current
        if session === engine.ownSession { return OwnedBytes(copying: ("None.\n" as StaticString).bytes) }
        var text = ClientLine.describe(session, core)
        text.append("\n" as StaticString)
        guard let arguments = engine.runningArguments else { return text }
        text.append("argc: '\(arguments.count)'\n")
        let hidesAll = core.configuration.hideUserDataFromLog || takesSecrets(engine, session)
        for index in 0..<min(arguments.count, shownArguments) {
            text.append("argv[\(index)]: '")
            if index > 0 && (hidesAll || engine.redactedArguments & (1 << UInt64(min(index, 63))) != 0) {
                text.append("(redacted)" as StaticString)
            } else {
                Quote.append(Bytes(rebasing: arguments[index].prefix(shownBytes)), to: &text)
            }
            text.append("'\n" as StaticString)
        }
        return text
    }

    /// Commands whose arguments may be secret and are marked so only when they are read.
    private static func takesSecrets(_ engine: Engine, _ session: Session) -> Bool {
        guard session.lastCommandID >= 0 else { return true }
        switch engine.table.rows[session.lastCommandID].fullName {
        case "auth", "hello", "acl|setuser", "config|set", "migrate": return true
        default: return false
        }
    }
}
