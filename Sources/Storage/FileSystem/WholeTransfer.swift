import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// Carries a write through to its end, whatever the kernel makes of it: EINTR, and fewer bytes than asked for.
package enum WholeTransfer {
    /// - Parameter once: one call: bytes taken of what is left of `head` and then `body`, or a negated errno.
    /// - Throws: with any part of the bytes written.
    @inline(__always)
    package static func write(_ path: String, _ head: Bytes, _ body: Bytes,
                              _ once: (Bytes, Bytes) -> Int) throws(StorageError) {
        try write(path, head, body, Bytes(start: nil, count: 0)) { head, body, _, _ in once(head, body) }
    }

    /// - Parameter once: likewise of `head`, `body` and `tail`; the last argument: how many bytes were taken before.
    @inline(__always)
    package static func write(_ path: String, _ head: Bytes, _ body: Bytes, _ tail: Bytes,
                              _ once: (Bytes, Bytes, Bytes, Int) -> Int) throws(StorageError) {
        let total = head.count + body.count + tail.count
        var done = 0
        while done < total {
            let headDone = min(done, head.count), bodyDone = min(done - headDone, body.count)
            let taken = once(Bytes(rebasing: head[headDone...]), Bytes(rebasing: body[bodyDone...]),
                             Bytes(rebasing: tail[(done - headDone - bodyDone)...]), done)
            if taken == -Int(EINTR) { continue }
            if taken < 0 { throw StorageError(.write, path, errno: Int32(truncatingIfNeeded: -taken)) }
            if taken == 0 { throw StorageError(.write, path, .shortWrite(written: done, expected: total)) }
            done += taken
        }
    }
}
