import Primitives
import RESP
#if canImport(Glibc)
import Glibc
#endif

/// Records to a file descriptor, for a forked child: raw memory only. After an error nothing more is written; the
/// error is kept and told by `failure`.
struct AOFOutput: ~Copyable {
    private static let bufferBytes = 1 << 16
    /// Every so many bytes the file is synced, so that the last sync is short.
    private static let syncInterval = 4 << 20

    private var buffer = OwnedBytes(capacity: bufferBytes + 1024)
    private let descriptor: Int32
    private let syncsIncrementally: Bool
    private var unsyncedBytes = 0
    /// errno of the first failure; 0: none.
    private(set) var failure: Int32 = 0

    init(_ descriptor: Int32, syncsIncrementally: Bool) {
        self.descriptor = descriptor
        self.syncsIncrementally = syncsIncrementally
    }

    /// Begins a record; exactly `argumentCount` arguments must follow.
    @inline(__always)
    mutating func begin(_ argumentCount: Int) {
        RequestEncoder.begin(argumentCount: argumentCount, into: &buffer)
    }

    @inline(__always)
    mutating func argument(_ bytes: Bytes) {
        if bytes.count > Self.bufferBytes {
            long(bytes)
        } else {
            RequestEncoder.argument(bytes, into: &buffer)
            if buffer.count >= Self.bufferBytes { flush() }
        }
    }

    mutating func argument(_ text: StaticString) { argument(text.bytes) }

    mutating func argument(_ integer: Int64) { RequestEncoder.argument(integer, into: &buffer) }

    /// The shortest text that reads as the same number.
    mutating func argument(_ number: Double) {
        withUnsafeTemporaryAllocation(byteCount: DoubleText.maximumLength, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            argument(Bytes(start: start, count: DoubleText.write(number, to: start)))
        }
    }

    /// Straight from where it is: a copy could double the child's memory.
    private mutating func long(_ bytes: Bytes) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            start.storeBytes(of: UInt8(ascii: "$"), as: UInt8.self)
            let digits = Decimal.write(Int64(bytes.count), to: start + 1)
            buffer.append(Bytes(start: start, count: 1 + digits))
        }
        buffer.append("\r\n")
        flush()
        write(bytes)
        buffer.append("\r\n")
    }

    mutating func flush() {
        write(buffer.bytes)
        buffer.truncate(to: 0)
    }

    private mutating func write(_ bytes: Bytes) {
        guard failure == 0, let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            // Not more than the interval, so that long values are synced on the way, too.
            let count = Glibc.write(descriptor, base + done, min(bytes.count &- done, Self.syncInterval))
            if count < 0 {
                if errno == EINTR { continue }
                failure = errno
                return
            }
            if count == 0 {
                failure = EIO
                return
            }
            done &+= count
            unsyncedBytes &+= count
            if syncsIncrementally, unsyncedBytes >= Self.syncInterval {
                unsyncedBytes = 0
                if fdatasync(descriptor) != 0 {
                    failure = errno
                    return
                }
            }
        }
    }
}
