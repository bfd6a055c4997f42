import CShims
import Foundation
@testable import Primitives
import Testing
import TestSupport

/// The allocator of small blocks, seen from `Heap`.
struct HeapTests {
    private struct Block {
        let start: UnsafeMutableRawPointer
        let count: Int
        let mark: UInt8

        init(_ start: UnsafeMutableRawPointer, _ count: Int, _ mark: UInt8) {
            (self.start, self.count, self.mark) = (start, count, mark)
            memset(start, Int32(mark), count)
        }

        var isWhole: Bool { (0..<count).allSatisfy { start.load(fromByteOffset: $0, as: UInt8.self) == mark } }
    }

    /// Blocks of all sizes, in any order: none touches another, each keeps its bytes when it is moved, the account is
    /// that of the blocks.
    @Test func blocksKeepWhatIsInThem() {
        let seed = testSeed()
        var random = RandomSource(seed: seed)
        var blocks: [Block] = []
        for step in 0..<60_000 {
            let size = random.next(below: 10) == 0 ? random.next(below: 4000) : random.next(below: 520)
            let mark = UInt8(truncatingIfNeeded: step)
            switch random.next(below: 5) {
            case 0, 1: blocks.append(Block(Heap.allocate(size), size, mark))
            case 2:
                let start = Heap.allocateZeroed(size)
                #expect((0..<size).allSatisfy { start.load(fromByteOffset: $0, as: UInt8.self) == 0 }, "seed \(seed)")
                blocks.append(Block(start, size, mark))
            case 3 where !blocks.isEmpty:
                let index = random.next(below: blocks.count), old = blocks[index]
                #expect(old.isWhole, "seed \(seed)")
                let moved = Heap.reallocate(old.start, size)
                let kept = (0..<min(size, old.count)).allSatisfy {
                    moved.load(fromByteOffset: $0, as: UInt8.self) == old.mark
                }
                #expect(kept, "seed \(seed): \(old.count) to \(size)")
                blocks[index] = Block(moved, size, mark)
            default:
                guard !blocks.isEmpty else { continue }
                let index = random.next(below: blocks.count)
                #expect(blocks[index].isWhole, "seed \(seed)")
                Heap.free(blocks[index].start)
                blocks.swapAt(index, blocks.count - 1)
                blocks.removeLast()
            }
        }
        for block in blocks {
            #expect(block.isWhole && Heap.usableSize(block.start) >= block.count)
            Heap.free(block.start)
        }
    }

    @Test(.enabled(if: sr_slabs_serve() != 0)) func blocksAreAlignedAndTight() {
        for size in 1...512 {
            let block = Heap.allocate(size)
            defer { Heap.free(block) }
            let usable = Heap.usableSize(block)
            #expect(UInt(bitPattern: block) % (usable % 16 == 0 ? 16 : 8) == 0)
            #expect(usable >= size && usable - size < (size <= 128 ? 8 : size <= 256 ? 16 : 32))
        }
    }

    /// What is freed as a whole goes back to the system when asked for, and what is there stays.
    @Test(.enabled(if: sr_slabs_serve() != 0)) func emptySlabsAreGivenBack() {
        let kept = Block(Heap.allocate(72), 72, 7)
        var given = Int.min
        // Tests of other suites allocate meanwhile: one quiet round is proof enough.
        for round in 0..<100 where given <= 10_000_000 {
            if round > 0 { usleep(50_000) }
            let blocks = (0..<200_000).map { _ in Heap.allocate(72) }
            var allocated = 0, before = 0, after = 0
            sr_allocator_facts(&allocated, &before)
            for block in blocks { Heap.free(block) }
            sr_allocator_purge()
            sr_allocator_facts(&allocated, &after)
            given = max(given, before - after)
        }
        #expect(given > 10_000_000, "\(given) of 14 MB")
        #expect(kept.isWhole)
        Heap.free(kept.start)
    }

    /// The background thread frees what the engine made.
    @Test func threadsShareTheAllocator() {
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            var random = RandomSource(seed: UInt64(thread))
            var blocks: [Block] = []
            for _ in 0..<50_000 {
                if blocks.count > 500 || (!blocks.isEmpty && random.next(below: 2) == 0) {
                    let block = blocks.removeLast()
                    if !block.isWhole { Issue.record("a block of another thread lies over this one") }
                    Heap.free(block.start)
                } else {
                    let size = 1 + random.next(below: 300)
                    blocks.append(Block(Heap.allocate(size), size, UInt8(thread + 1)))
                }
            }
            for block in blocks { Heap.free(block.start) }
        }
    }
}
