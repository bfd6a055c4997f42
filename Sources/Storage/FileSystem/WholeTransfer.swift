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
        let total = head.count + body.count
        var done = 0
        while done < total {
            let headDone = min(done, head.count)
            let taken = once(Bytes(rebasing: head[headDone...]), Bytes(rebasing: body[(done - headDone)...]))
            if taken == -Int(EINTR) { continue }
            if taken < 0 { throw StorageError(.write, path, errno: Int32(truncatingIfNeeded: -taken)) }
            if taken == 0 { throw StorageError(.write, path, .shortWrite(written: done, expected: total)) }
            done += taken
        }
    }
}
