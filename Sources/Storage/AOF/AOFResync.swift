import Primitives
import RESP

/// Looks for whole records behind a record that lacks its end. In a torn file there are none: a crash cuts the tail
/// off. When there are, a length was damaged and the rest of the file is good.
///
/// A value may itself hold what looks like records (a log stored as a value), so one is not enough: three in a row, or
/// all that there is up to the file's end.
enum AOFResync {
    private static let windowBytes = 1 << 16
    private static let recordsInARow = 3
    private static let trials = 64

    /// Where the first of them begins. Only plain files are searched.
    static func find(_ source: AOFSource, after offset: Int) throws(StorageError) -> Int? {
        guard let size = source.size else { return nil }
        let window = UnsafeMutableRawBufferPointer(start: Heap.allocate(windowBytes * 2), count: windowBytes * 2)
        defer { if let base = window.baseAddress { Heap.free(base) } }
        var parser = RequestParser(limits: AOFLimits.request)
        var start = offset, left = trials
        while start < size {
            let count = try source.read(at: start, into: window)
            if count == 0 { return nil }
            let bytes = Bytes(rebasing: window[..<count])
            for index in 1..<max(1, min(count, windowBytes + 1))
            where bytes[index] == UInt8(ascii: "*") && bytes[index - 1] == 10 {
                parser.reset()
                guard case .complete = parser.parse(bytes.from(index)), parser.isCanonical else { continue }
                if try isFollowed(source, start + index) { return start + index }
                left -= 1
                if left == 0 { return nil }
            }
            start += windowBytes
        }
        return nil
    }

    private static func isFollowed(_ source: AOFSource, _ offset: Int) throws(StorageError) -> Bool {
        var reader = AOFReader(AOFSource(source, from: offset), isProbe: true)
        while true {
            switch try reader.next() {
            case .record: if reader.recordCount == recordsInARow { return true }
            case .annotation: break
            case .preamble: return false
            case .end: return reader.recordCount > 0 && reader.end?.kind == .whole
            }
        }
    }
}
