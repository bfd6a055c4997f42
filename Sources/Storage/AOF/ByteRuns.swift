import Primitives

// Runs of like bytes in a plain file, far longer than what is held in memory: zeros, filler.

extension AOFSource {
    private static let chunkBytes = 1 << 16

    /// Where the bytes end that, from `start` on, belong to a run. `start` if the file is not plain.
    @inline(__always)
    func runEnd(from start: Int, _ belongs: (_ byte: UInt8, _ offset: Int) -> Bool) throws(StorageError) -> Int {
        guard let size else { return start }
        let chunk = UnsafeMutableRawBufferPointer(start: Heap.allocate(Self.chunkBytes), count: Self.chunkBytes)
        defer { if let base = chunk.baseAddress { Heap.free(base) } }
        var end = start
        while end < size {
            let count = try read(at: end, into: chunk)
            if count == 0 { break }
            for index in 0..<count where !belongs(chunk[index], end + index) { return end + index }
            end += count
        }
        return end
    }

    /// Where the bytes begin that belong to a run up to the file's end; not before `floor`. `floor` if the file is not
    /// plain.
    @inline(__always)
    func runStart(notBefore floor: Int,
                  _ belongs: (_ byte: UInt8, _ offset: Int) -> Bool) throws(StorageError) -> Int {
        guard let size else { return floor }
        let chunk = UnsafeMutableRawBufferPointer(start: Heap.allocate(Self.chunkBytes), count: Self.chunkBytes)
        defer { if let base = chunk.baseAddress { Heap.free(base) } }
        var start = size
        while start > floor {
            let count = min(chunk.count, start - floor), place = start - count
            let got = try read(at: place, into: UnsafeMutableRawBufferPointer(rebasing: chunk[..<count]))
            for index in stride(from: got - 1, through: 0, by: -1) where !belongs(chunk[index], place + index) {
                return place + index + 1
            }
            start = place
        }
        return start
    }
}
