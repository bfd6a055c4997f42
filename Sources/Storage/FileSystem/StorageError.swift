#if canImport(Glibc)
import Glibc
#endif

/// What the world did to a file: which operation, on which path, at which byte, and why. *Truncated* (the file ends
/// too early, as after a power loss) and *corrupt* (bytes that nobody wrote) are different cases, for they ask for
/// different actions.
package struct StorageError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Operation: String, Sendable {
        case open, create, read, write, truncate, sync, rename, link, unlink, list, stat, lock, load, decompress
        case makeDirectory = "make directory"
        case syncDirectory = "sync directory"
    }

    package enum Reason: Equatable, Sendable {
        /// The kernel's errno.
        case system(Int32)
        /// Fewer bytes were taken than asked for, without an errno.
        case shortWrite(written: Int, expected: Int)
        /// The file ends before what it holds does.
        case truncated(String)
        /// The file holds what can't have been written.
        case corrupt(String)
        /// Well-formed, but beyond what this server knows or allows.
        case unsupported(String)
    }

    package var operation: Operation
    package var path: String
    /// Byte offset within the file, when one place is to blame.
    package var offset: Int?
    package var reason: Reason

    package init(_ operation: Operation, _ path: String, at offset: Int? = nil, _ reason: Reason) {
        self.operation = operation
        self.path = path
        self.offset = offset
        self.reason = reason
    }

    package init(_ operation: Operation, _ path: String, at offset: Int? = nil, errno code: Int32) {
        self.init(operation, path, at: offset, .system(code))
    }

    package var isTruncated: Bool { if case .truncated = reason { true } else { false } }
    package var isCorrupt: Bool { if case .corrupt = reason { true } else { false } }
    package var isNotFound: Bool { reason == .system(ENOENT) }
    package var isOutOfSpace: Bool { reason == .system(ENOSPC) || reason == .system(EDQUOT) }

    /// Why, in a few words: the part that clients see behind `MISCONF Errors writing to the AOF file:`.
    package var cause: String {
        switch reason {
        case .system(let code): String(cString: strerror(code))
        case .shortWrite(let written, let expected): "only \(written) of \(expected) bytes were written"
        case .truncated(let text), .corrupt(let text), .unsupported(let text): text
        }
    }

    /// What to do about it.
    package var remedy: String? {
        switch reason {
        case .system(ENOSPC), .system(EDQUOT), .shortWrite: "Free space on that disk; writing goes on by itself."
        case .system(EACCES), .system(EPERM): "Give the server's user the right to that path."
        case .system(EROFS): "The file system is mounted read-only: look at the kernel's log, remount it."
        case .system(EIO): "The disk failed: look at the kernel's log, and move the data to another disk."
        case .system(ENOENT): "See whether the path is right."
        case .truncated: "The end of the file is missing; the check tool with --fix keeps what is whole."
        case .corrupt: "Bytes were damaged; keep a copy of the file, then look at it with the check tool."
        case .unsupported, .system: nil
        }
    }

    package var description: String {
        let place = offset.map { " at byte \($0)" } ?? ""
        let advice = remedy.map { " \($0)" } ?? ""
        return "Can't \(operation.rawValue) \(path)\(place): \(cause).\(advice)"
    }
}
