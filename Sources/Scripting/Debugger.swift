import CScripting
import Primitives
import RESP

/// Who debugs a script.
package protocol ScriptDebugUser: AnyObject {
    /// Takes bytes to be shown.
    func show(_ bytes: Bytes)
    /// Waits for a command; its arguments are good until the next call.
    func next() -> ScriptDebugInput
}

package enum ScriptDebugInput {
    case command(Arguments)
    /// Bytes that are no command.
    case invalid
    /// The user has left.
    case end
}

/// The debugger of one run of a script (CScripting/debugger.c).
package final class ScriptDebugger {
    private var debugger: OpaquePointer?
    private let link: DebugLink

    /// nil: no memory.
    /// - Parameter limitMilliseconds: a script that runs on for longer is stopped; 0: never.
    package init?(_ user: any ScriptDebugUser, source: Bytes, limitMilliseconds: Int) {
        link = DebugLink(user)
        let context = Unmanaged.passUnretained(link).toOpaque()
        let text = source.baseAddress?.assumingMemoryBound(to: CChar.self)
        debugger = sr_debugger_create(sr_debug_link(context: context, show: showBytes, next: nextCommand), text,
                                      source.count, Double(limitMilliseconds) / 1000)
        if debugger == nil { return nil }
    }

    deinit { end() }

    /// Calls `body`; what `interpreter` runs meanwhile is debugged.
    package func debugging<R>(_ interpreter: Interpreter?, _ body: () -> R) -> R {
        guard let interpreter else { return body() }
        sr_interpreter_debug(interpreter.lua, debugger)
        defer { sr_interpreter_debug(interpreter.lua, nil) }
        return body()
    }

    /// Tells the user that it was all; the script's reply follows.
    package func end() {
        if let debugger { sr_debugger_end(debugger) }
        debugger = nil
    }
}

/// What the callbacks' context points at, and the last command, with its arguments terminated as C wants them.
private final class DebugLink {
    let user: any ScriptDebugUser
    var bytes = OwnedBytes(capacity: 256)
    var texts: UnsafeMutablePointer<UnsafePointer<CChar>?> = .allocate(capacity: 1)
    var lengths: UnsafeMutablePointer<Int> = .allocate(capacity: 1)

    init(_ user: any ScriptDebugUser) { self.user = user }

    deinit {
        texts.deallocate()
        lengths.deallocate()
    }

    func keep(_ arguments: Arguments) {
        texts.deallocate()
        lengths.deallocate()
        texts = .allocate(capacity: arguments.count)
        lengths = .allocate(capacity: arguments.count)
        bytes.truncate(to: 0)
        for index in 0..<arguments.count {
            bytes.append(arguments[index])
            bytes.append(0)
        }
        var start = bytes.base.assumingMemoryBound(to: CChar.self)
        for index in 0..<arguments.count {
            (texts + index).initialize(to: start)
            (lengths + index).initialize(to: arguments[index].count)
            start += arguments[index].count + 1
        }
    }
}

private func showBytes(_ context: UnsafeMutableRawPointer?, _ bytes: UnsafePointer<CChar>?, _ length: Int) {
    guard let context else { return }
    Unmanaged<DebugLink>.fromOpaque(context).takeUnretainedValue().user.show(Bytes(start: bytes, count: length))
}

private func nextCommand(_ context: UnsafeMutableRawPointer?,
                         _ texts: UnsafeMutablePointer<UnsafePointer<UnsafePointer<CChar>?>?>?,
                         _ lengths: UnsafeMutablePointer<UnsafePointer<Int>?>?) -> Int32 {
    guard let context else { return 0 }
    let link = Unmanaged<DebugLink>.fromOpaque(context).takeUnretainedValue()
    switch link.user.next() {
    case .end: return 0
    case .invalid: return -1
    case .command(let arguments):
        link.keep(arguments)
        texts?.pointee = UnsafePointer(link.texts)
        lengths?.pointee = UnsafePointer(link.lengths)
        return Int32(truncatingIfNeeded: arguments.count)
    }
}
