import Primitives

/// How many bytes of the data plane's memory `body` leaves allocated. Tests of other suites allocate meanwhile, so the
/// least of several tries counts: what leaks does so each time.
package func heapGrowth(tries: Int = 8, _ body: () -> Void) -> Int {
    var least = Int.max
    for _ in 0..<tries {
        let before = Heap.usedBytes
        body()
        least = min(least, Heap.usedBytes - before)
    }
    return least
}
