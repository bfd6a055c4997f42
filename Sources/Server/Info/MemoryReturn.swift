/// When memory that was freed goes back to the system. glibc keeps what is freed in the middle of the heap; after much
/// was freed it is told to give back whole pages. Costs and gains: docs/ARCHITECTURE.md.
struct MemoryReturn {
    /// The most that was in use since memory was last given back.
    private var most = 0

    /// Less is not worth the walk through the free list.
    static let leastBytes = 32 << 20

    /// Asked at every turn of the cron. True: now. In steps, so that no step takes long.
    mutating func isDue(used: Int) -> Bool {
        most = max(most, used)
        let freed = most - used
        guard freed >= Self.leastBytes, freed >= most / 16 else { return false }
        most = used
        return true
    }
}
