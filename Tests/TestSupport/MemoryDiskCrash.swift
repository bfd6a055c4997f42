import Primitives
import Storage

// What a power loss leaves of the disk in memory.

extension MemoryFileSystem {
    /// What a crash leaves of what was not synced.
    package enum Survival: Sendable, Equatable {
        /// The power went, and nothing was written back before.
        case nothing
        /// The power went, and everything had been written back just before.
        case everything
        /// The process was killed, and the power stayed: everything is there, and what was not synced still is not.
        case killed
        /// Names each lost or kept, as the seed has it; of a file's unsynced bytes any prefix, maybe with zeros at its
        /// end: a file system that writes blocks in order.
        case random(UInt64)
        /// Names likewise; of a file's unsynced bytes each 512-byte sector is lost or kept, and so is its new size.
        case torn(UInt64)
    }
}

extension MemoryDisk {
    static let sectorBytes = 512

    /// The disk as the next start would find it, if the power went now.
    func crashed(_ survival: MemoryFileSystem.Survival) -> MemoryDisk {
        var after = self
        switch survival {
        case .killed:
            for descriptor in open.keys { _ = after.close(descriptor) }
            after.faults = MemoryFileSystem.Faults()
            after.events = []
            return after
        case .nothing:
            after.names = durableNames
            for index in after.nodes.indices { after.nodes[index].seen = nodes[index].durable }
        case .everything: break
        case .random(let seed), .torn(let seed):
            var random = RandomSource(seed: seed)
            after.names = survivingNames(&random)
            var isTorn = false
            if case .torn = survival { isTorn = true }
            for index in nodes.indices where nodes[index].isDirty {
                after.nodes[index].seen = isTorn ? Self.torn(nodes[index], &random)
                    : Self.prefix(nodes[index], &random)
            }
        }
        after.dropOrphans()
        after.restart()
        return after
    }

    private func survivingNames(_ random: inout RandomSource) -> [String: Int] {
        var result = durableNames
        // Now and then all or none, for many changes rarely have one fate by chance.
        let fate = random.next(below: 6)
        var kept: Set<Int> = []
        for change in unsynced {
            let survives = fate == 0 ? false : fate == 1 ? true : random.next() & 1 == 0
            if !survives { continue }
            if let needed = change.needs, !kept.contains(needed), unsynced.contains(where: { $0.number == needed }) {
                continue
            }
            kept.insert(change.number)
            Self.apply(change, &result)
        }
        return result
    }

    /// What lies in a directory that is not there is not there.
    private mutating func dropOrphans() {
        var isChanged = true
        while isChanged {
            isChanged = false
            for path in names.keys {
                let parent = FilePath.directory(path)
                if parent == path || parent == "." { continue }
                if names[parent] == nil {
                    names[path] = nil
                    isChanged = true
                }
            }
        }
    }

    private static func prefix(_ node: Node, _ random: inout RandomSource) -> [UInt8] {
        let total = node.dirty.reduce(0) { $0 + $1.count }
        // What a failed sync dropped is nowhere but in memory.
        let isKnown = total > 0 && node.seen.count - node.durable.count <= total
        guard node.seen.count >= node.durable.count, !node.isCut, isKnown else {
            return random.next() & 1 == 0 ? node.durable : node.seen
        }
        var left = Int(random.next(below: UInt64(total + 1)))
        var bytes = node.durable
        var grown = 0
        for range in node.dirty where left > 0 {
            let part = range.prefix(left)
            left -= part.count
            let there = part.prefix(max(0, bytes.count - part.lowerBound))
            bytes.replaceSubrange(there, with: node.seen[there])
            let behind = part.dropFirst(there.count)
            if behind.lowerBound > bytes.count { return node.seen }
            bytes.append(contentsOf: node.seen[behind])
            grown += behind.count
        }
        // The size reached the disk, the last block did not.
        if random.next() & 3 == 0 {
            for index in bytes.indices.suffix(min(grown, Int(random.next(below: 64)))) { bytes[index] = 0 }
        }
        return bytes
    }

    private static func torn(_ node: Node, _ random: inout RandomSource) -> [UInt8] {
        let low = min(node.durable.count, node.seen.count), high = max(node.durable.count, node.seen.count)
        let size: Int
        switch random.next(below: 4) {
        case 0: size = node.durable.count
        case 1: size = low + Int(random.next(below: UInt64(high - low + 1)))
        default: size = node.seen.count
        }
        var bytes = Array(node.durable.prefix(size))
        bytes.append(contentsOf: repeatElement(0, count: size - bytes.count))
        // Most sectors, few, or half of them.
        let odds = random.next(below: 3) * 3 + 1
        for range in node.dirty where !range.isEmpty {
            var start = range.lowerBound
            while start < min(range.upperBound, size) {
                let end = min((start / sectorBytes + 1) * sectorBytes, range.upperBound, size)
                if random.next(below: 8) < odds {
                    bytes.replaceSubrange(start..<end, with: node.seen[start..<end])
                }
                start = end
            }
        }
        return bytes
    }
}
