/// The client's fault (or the state of its data): becomes an error reply in one place, and changed nothing.
package enum CommandError: Error, Sendable {
    case wrongType
    case syntax
    case notInteger
    case notFloat
    case noSuchKey
    case indexOutOfRange
    case wrongArity
    /// A whole error line with its code, without the leading minus.
    case text(StaticString)
    /// A whole error line put together at run time.
    case message(String)

    /// For an integer that may be anything but the one number whose negative does not exist.
    package static let outsideSymmetricRange = CommandError.text("""
        ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        """)

    /// The error line of the fixed cases; `wrongArity` needs the command's name and is written by the engine.
    package var fixedText: StaticString? {
        switch self {
        case .wrongType: "WRONGTYPE Operation against a key holding the wrong kind of value"
        case .syntax: "ERR syntax error"
        case .notInteger: "ERR value is not an integer or out of range"
        case .notFloat: "ERR value is not a valid float"
        case .noSuchKey: "ERR no such key"
        case .indexOutOfRange: "ERR index out of range"
        case .text(let text): text
        case .wrongArity, .message: nil
        }
    }
}
