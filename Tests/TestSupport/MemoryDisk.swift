import Primitives
import Storage

// The state of the disk in memory: what programs see, and what a power loss would leave.
//
// A file has its bytes as programs see them, those on the platter, and the ranges that no sync has carried there yet.
// A sync carries them; a failed one drops them, as kernels do that mark the pages clean: programs still see the bytes,
// and a later sync that succeeds leaves zeros in their place.
//
// A name (create, rename, link, unlink) is a change of its directory, on the platter when that directory was synced.
// A rename within one directory is one change; between two it is an addition and a removal, each of its own
// directory, and the removal never comes before the addition.
//
// Invariants
//  1. `seen` and `durable` never share what one of them changes later: ranges are copied at a sync.
//  2. A crash shows nothing that was not written, but zeros.

package struct MemoryDisk: Sendable {
    package struct Node: Sendable {
        package var seen: [UInt8] = []
        package var durable: [UInt8] = []
        /// Written or cut since the last sync, whether that succeeded or not; sorted by nothing, may overlap.
        var dirty: [Range<Int>] = []
        var isCut = false
        package var isDirectory = false
        /// Names and open files that refer to it: without any its room is free again.
        var references = 0

        var isDirty: Bool { !dirty.isEmpty || isCut || durable.count != seen.count }
    }

    struct NameChange: Sendable {
        var directory: String
        var removed: String?
        var added: (name: String, node: Int)?
        /// The removal half of a rename between directories: the number of its other half.
        var number = 0
        var needs: Int?
    }

    package var faults = MemoryFileSystem.Faults()
    package var events: [String] = []
    package var recordsEvents = true
    package var syncCount = 0
    package var syncsUnderWay = 0
    /// Every change of the disk so far.
    package var changeCount = 0
    var nodes: [Node] = []
    /// Path to node.
    var names: [String: Int] = [:]
    var durableNames: [String: Int] = [:]
    var unsynced: [NameChange] = []
    var open: [Int32: (node: Int, position: Int)] = [:]
    private var nextDescriptor: Int32 = 1000
    private var nextNumber = 0
    /// Bytes of all files that somebody can reach.
    package private(set) var used = 0
    /// For short writes and interrupted calls.
    var chance = RandomSource(seed: 1)

    init(directories: [String]) {
        for path in directories {
            nodes.append(Node(isDirectory: true, references: 1))
            names[path] = nodes.count - 1
        }
        durableNames = names
    }

    mutating func note(_ text: @autoclosure () -> String) {
        changeCount += 1
        if recordsEvents { events.append(text()) }
    }

    // MARK: Files

    mutating func makeNode(isDirectory: Bool = false) -> Int {
        nodes.append(Node(isDirectory: isDirectory))
        return nodes.count - 1
    }

    mutating func descriptor(for node: Int) -> Int32 {
        nextDescriptor += 1
        open[nextDescriptor] = (node, 0)
        refer(node)
        return nextDescriptor
    }

    mutating func close(_ descriptor: Int32) -> Bool {
        guard let file = open.removeValue(forKey: descriptor) else { return false }
        release(file.node)
        return true
    }

    private mutating func refer(_ node: Int) {
        if nodes[node].references == 0 { used += nodes[node].seen.count }
        nodes[node].references += 1
    }

    private mutating func release(_ node: Int) {
        nodes[node].references -= 1
        if nodes[node].references == 0 { used -= nodes[node].seen.count }
    }

    mutating func append<Part: Collection<UInt8>>(_ bytes: Part, to node: Int) {
        let start = nodes[node].seen.count
        nodes[node].seen.append(contentsOf: bytes)
        used += bytes.count
        if let last = nodes[node].dirty.last, last.upperBound == start {
            nodes[node].dirty[nodes[node].dirty.count - 1] = last.lowerBound..<(start + bytes.count)
        } else {
            nodes[node].dirty.append(start..<(start + bytes.count))
        }
    }

    /// Over what stands there, and behind it.
    mutating func write(_ bytes: ArraySlice<UInt8>, to node: Int, at offset: Int) {
        let size = nodes[node].seen.count
        if offset > size { resize(node, to: offset) }
        let there = min(nodes[node].seen.count - offset, bytes.count)
        if there > 0 {
            let range = offset..<(offset + there)
            nodes[node].seen.replaceSubrange(range, with: bytes.prefix(there))
            nodes[node].dirty.append(range)
        }
        if there < bytes.count { append(bytes.dropFirst(there), to: node) }
    }

    mutating func resize(_ node: Int, to size: Int) {
        let before = nodes[node].seen.count
        if size < before {
            nodes[node].seen.removeLast(before - size)
            nodes[node].dirty = nodes[node].dirty.compactMap {
                $0.lowerBound >= size ? nil : $0.lowerBound..<min($0.upperBound, size)
            }
            nodes[node].isCut = true
        } else if size > before {
            append(repeatElement(0, count: size - before), to: node)
            used -= size - before
        }
        used += size - before
    }

    /// The platter gets what programs see, as far as it was not dropped before.
    mutating func carryOut(_ node: Int) {
        let size = nodes[node].seen.count
        if nodes[node].durable.count > size { nodes[node].durable.removeLast(nodes[node].durable.count - size) }
        for range in nodes[node].dirty where !range.isEmpty {
            if range.lowerBound == nodes[node].durable.count {
                nodes[node].durable.append(contentsOf: nodes[node].seen[range])
                continue
            }
            grow(node, to: range.upperBound)
            nodes[node].durable.replaceSubrange(range, with: nodes[node].seen[range])
        }
        grow(node, to: size)
        nodes[node].dirty.removeAll(keepingCapacity: true)
        nodes[node].isCut = false
    }

    private mutating func grow(_ node: Int, to size: Int) {
        let missing = size - nodes[node].durable.count
        if missing > 0 { nodes[node].durable.append(contentsOf: repeatElement(0, count: missing)) }
    }

    /// A sync failed: the pages are clean now, and their bytes nowhere but in memory.
    mutating func dropDirty(_ node: Int) {
        nodes[node].dirty.removeAll()
        nodes[node].isCut = false
    }

    /// Programs see what the platter has, but for what still waits to be carried there.
    mutating func dropCache(_ node: Int) {
        guard nodes[node].dirty.isEmpty, !nodes[node].isCut else { return }
        used += nodes[node].durable.count - nodes[node].seen.count
        nodes[node].seen = nodes[node].durable
    }

    // MARK: Names

    mutating func add(_ path: String, _ node: Int) {
        change(NameChange(directory: FilePath.directory(path), added: (path, node)))
    }

    mutating func remove(_ path: String) {
        change(NameChange(directory: FilePath.directory(path), removed: path))
    }

    mutating func rename(_ source: String, _ target: String, _ node: Int) {
        let from = FilePath.directory(source), to = FilePath.directory(target)
        if from == to {
            change(NameChange(directory: to, removed: source, added: (target, node)))
            return
        }
        change(NameChange(directory: to, added: (target, node)))
        change(NameChange(directory: from, removed: source, needs: nextNumber))
    }

    private mutating func change(_ change: NameChange) {
        var change = change
        nextNumber += 1
        change.number = nextNumber
        // References: the new name first, for a rename's node must not be free in between.
        if let added = change.added {
            refer(added.node)
            if let replaced = names[added.name] { release(replaced) }
            names[added.name] = added.node
        }
        if let removed = change.removed, let node = names.removeValue(forKey: removed) { release(node) }
        unsynced.append(change)
    }

    static func apply(_ change: NameChange, _ names: inout [String: Int]) {
        if let removed = change.removed { names[removed] = nil }
        if let added = change.added { names[added.name] = added.node }
    }

    mutating func carryOutNames(of directory: String) {
        var rest: [NameChange] = []
        var carried: Set<Int> = []
        // An addition in one directory that a removal in this one waits for goes along: no file system loses both.
        let needed = Set(unsynced.compactMap { $0.directory == directory ? $0.needs : nil })
        for change in unsynced {
            if change.directory == directory || needed.contains(change.number) {
                Self.apply(change, &durableNames)
                carried.insert(change.number)
            } else {
                rest.append(change)
            }
        }
        unsynced = rest
    }

    /// Durable as it is: for files that tests lay out.
    mutating func put(_ path: String, _ bytes: [UInt8]) {
        let node = makeNode()
        nodes[node].seen = bytes
        nodes[node].durable = bytes
        refer(node)
        if let replaced = names[path] { release(replaced) }
        names[path] = node
        durableNames[path] = node
    }

    /// Closes all files and begins with what is in `nodes` and `names`, all of it durable.
    mutating func restart() {
        open = [:]
        faults = MemoryFileSystem.Faults()
        events = []
        unsynced = []
        durableNames = names
        used = 0
        for index in nodes.indices { nodes[index].references = 0 }
        for node in names.values {
            if nodes[node].references == 0 { used += nodes[node].seen.count }
            nodes[node].references += 1
        }
        for index in nodes.indices {
            if nodes[index].references == 0 { nodes[index].seen = [] }
            nodes[index].durable = nodes[index].seen
            nodes[index].dirty = []
            nodes[index].isCut = false
        }
    }
}
