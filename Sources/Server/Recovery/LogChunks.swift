import Engine
import Primitives
import RESP
import Storage

// A file of the log, cut into chunks of commands for the replay: the stages of a `LoadPipeline`. The reader is the one
// of every AOF, on whatever thread; what it finds wrong comes behind the commands before it.
//
//     reader's window     256 KB, or one record or sealed batch, whichever is larger
//     chunk               some thousand commands; their arguments lie in the window. A window's last chunk owns it,
//                         and chunks are given back in order: so it lives until the last of its commands ran

/// How the chunks of a file go on.
enum LogChunkEnd {
    case more
    /// Nothing is read behind this.
    case end(AOFEnd)
    case failure(StorageError)
}

final class LogChunk {
    private let capacity: Int
    let commands: UnsafeMutablePointer<ForeseenCommand>
    fileprivate(set) var count = 0
    fileprivate(set) var end = LogChunkEnd.more
    fileprivate var window: AOFWindow?
    private var ranges: UnsafeMutablePointer<Bytes>
    private var rangeCapacity: Int
    private var rangeCount = 0

    fileprivate init(_ capacity: Int) {
        self.capacity = capacity
        rangeCapacity = capacity * 4
        commands = .allocate(capacity: capacity)
        ranges = .allocate(capacity: rangeCapacity)
    }

    deinit {
        if let window { Heap.free(window.base) }
        ranges.deallocate()
        commands.deallocate()
    }

    fileprivate var isFull: Bool { count == capacity }

    fileprivate var byteCount: Int {
        (window?.capacity ?? 0) + capacity * MemoryLayout<ForeseenCommand>.stride
            + rangeCapacity * MemoryLayout<Bytes>.stride
    }

    fileprivate func empty() {
        count = 0
        rangeCount = 0
        end = .more
        if rangeCapacity > capacity * 16 {
            ranges.deallocate()
            rangeCapacity = capacity * 4
            ranges = .allocate(capacity: rangeCapacity)
        }
    }

    /// The record just read.
    @inline(__always)
    fileprivate func add(_ reader: borrowing AOFReader) {
        let arguments = reader.arguments
        if rangeCapacity - rangeCount < arguments.count { grow(arguments.count) }
        let first = ranges + rangeCount
        first.initialize(from: arguments.base, count: arguments.count)
        rangeCount += arguments.count
        let kept = Arguments(base: UnsafePointer(first), count: arguments.count)
        (commands + count).initialize(to: ForeseenCommand(kept, offset: reader.offset, end: reader.consumed))
        count += 1
    }

    private func grow(_ extra: Int) {
        let capacity = max(rangeCapacity * 2, rangeCount + extra)
        let larger = UnsafeMutablePointer<Bytes>.allocate(capacity: capacity)
        larger.initialize(from: ranges, count: rangeCount)
        for index in 0..<count {
            let arguments = commands[index].arguments
            let first = UnsafePointer(larger) + (arguments.base - UnsafePointer(ranges))
            commands[index].arguments = Arguments(base: first, count: arguments.count)
        }
        ranges.deallocate()
        ranges = larger
        rangeCapacity = capacity
    }
}

final class LogChunks: LoadStages, @unchecked Sendable {
    // @unchecked: the reader is touched by one thread at a time, the one that cuts; a chunk by whoever has it.
    private(set) var reader: AOFReader
    private let foresight: Foresight
    private let capacity: Int
    /// Read already, and not in a chunk yet.
    private var pending: AOFItem?

    /// - Parameter first: the item that `reader` has just read, if it is still to be replayed.
    init(_ reader: consuming AOFReader, first: AOFItem?, _ foresight: Foresight, _ plan: LoadPlan) {
        capacity = plan.chunkCommands
        self.reader = reader
        self.foresight = foresight
        pending = first
    }

    func makeChunk() -> LogChunk { LogChunk(capacity) }

    func byteCount(_ chunk: LogChunk) -> Int { chunk.byteCount }

    func cut(_ chunk: LogChunk) -> Bool {
        if let window = chunk.window { reader.giveBack(window) }
        chunk.window = nil
        chunk.empty()
        do throws(StorageError) {
            while !chunk.isFull {
                let item = if let pending { pending } else { try reader.next() }
                if !take(item, into: chunk) { break }
            }
        } catch {
            chunk.end = .failure(error)
            chunk.window = reader.retireNow()
        }
        if case .more = chunk.end { return true }
        return false
    }

    /// False: the chunk ends.
    @inline(__always)
    private func take(_ item: AOFItem, into chunk: LogChunk) -> Bool {
        pending = nil
        switch item {
        case .record:
            if let window = reader.takeRetired() {
                // This record is in the next window.
                chunk.window = window
                pending = item
                return false
            }
            chunk.add(reader)
            reader.lend()
            return true
        case .annotation: return true
        case .preamble: chunk.end = .end(.misplacedPreamble)
        case .end: chunk.end = .end(reader.end ?? .whole(reader.wholeEnd))
        }
        chunk.window = reader.retireNow()
        return false
    }

    func decode(_ chunk: LogChunk) {
        for index in 0..<chunk.count { foresight.look(at: &chunk.commands[index]) }
    }
}
