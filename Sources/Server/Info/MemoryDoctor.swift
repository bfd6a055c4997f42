/// MEMORY DOCTOR: what looks wrong with the memory, in words. It looks for what Redis looks for, with its limits.
struct MemoryDoctor {
    let report: String

    /// With less in use, shares say nothing.
    private static let leastUsed = 5 << 20
    /// What fragmentation must cost, in bytes, to be worth a word.
    private static let leastWaste = 10 << 20

    init(_ core: ServerCore) {
        let facts = MemoryFacts(core)
        guard facts.used >= Self.leastUsed else {
            report = "This instance is empty or uses very little memory: there is nothing to find out.\n"
            return
        }
        let findings = Self.findings(facts, clients: core.connections.count, scripts: core.engine.scripts.count)
        report = findings.isEmpty ? "No problem with memory was found.\n"
            : "Something about this instance's memory should be looked at:\n\n"
                + findings.map { " * \($0)\n\n" }.joined()
    }

    private static func findings(_ facts: MemoryFacts, clients: Int, scripts: Int) -> [String] {
        let allocator = facts.allocator
        var found: [String] = []
        func finds(_ isWrong: Bool, _ text: @autoclosure () -> String) { if isWrong { found.append(text()) } }
        func wastes(_ ratio: Double, _ bytes: Int, over limit: Double) -> Bool { ratio > limit && bytes > leastWaste }
        func digits(_ ratio: Double) -> String { InfoWriter.fixed(ratio, 2) }
        finds(Double(facts.peak) / Double(facts.used) > 1.5, """
            Peak memory: more than 150 % of what is used now was used once (\(InfoWriter.human(facts.peak))). Freed \
            memory is not always given back, and the process may look bigger than its data. It is used again before \
            more is asked for; MEMORY PURGE gives back what it can.
            """)
        finds(wastes(facts.fragmentation, facts.resident - facts.used, over: 1.4), """
            High total RSS: the process holds \(digits(facts.fragmentation)) times what its data takes. If memory was \
            used that is free now, MEMORY PURGE may help; if keys of many sizes come and go, a restart does.
            """)
        finds(wastes(allocator.fragmentationRatio, allocator.active - allocator.allocated, over: 1.1), """
            High allocator fragmentation: pages of the heap are used in part (\(digits(allocator.fragmentationRatio)) \
            times what is allocated). A restart packs them.
            """)
        finds(wastes(allocator.residentRatio, allocator.resident - allocator.active, over: 1.1), """
            High allocator RSS overhead: the heap keeps free pages in memory (\(digits(allocator.residentRatio)) times \
            those in use). MEMORY PURGE gives them back.
            """)
        finds(wastes(facts.residentOverheadRatio, facts.resident - allocator.resident, over: 1.1), """
            High process RSS overhead: \(digits(facts.residentOverheadRatio)) times the heap is in memory: the program \
            itself, threads, big scripts, or buffers that are not the data's.
            """)
        finds(facts.clients / max(clients, 1) > 200 << 10, """
            Big client buffers: \(InfoWriter.human(facts.clients / max(clients, 1))) for each client, in the mean. \
            Clients that read slowly, or send very big requests, do that: see omem, qbuf and tot-mem in CLIENT LIST, \
            and client-output-buffer-limit and maxmemory-clients.
            """)
        finds(scripts > 1000, """
            Many scripts: \(scripts) of them are kept, loaded by SCRIPT LOAD or EVAL. Scripts should get what differs \
            as arguments; SCRIPT FLUSH forgets them.
            """)
        return found
    }
}
