import Primitives

extension SortedSet {
    /// A node that is in no set yet: what a snapshot holds of it comes member first. Link it or `discard` it.
    package static func makeNode(_ member: Bytes, _ context: UnsafeMutablePointer<HashContext>) -> SkiplistNode {
        SkiplistNode.create(levels: levels(of: SipHash.hash(member, context.pointee.seed)), score: 0, member: member)
    }

    package static func discard(_ node: SkiplistNode) { Heap.free(node.base) }

    /// Takes the node over; false if the member is in the set already, then the node stays the caller's.
    package func insert(made node: SkiplistNode, _ score: Double) -> Bool {
        let table = table
        let hash = table.hash(node.member)
        if table.find(node.member, hash) != nil { return false }
        node.score = score
        link(node)
        table.insert(node.base, hash)
        return true
    }
}
