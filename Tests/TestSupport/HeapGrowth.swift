import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// How many bytes of the data plane's memory `body` leaves allocated. Tests of other suites allocate meanwhile, so the
/// least of several tries counts: what leaks does so each time. It tries on, some seconds at most, until nothing grew.
package func heapGrowth(_ body: () -> Void) -> Int {
    var least = Int.max
    for round in 0..<200 where least > 0 {
        if round >= 8 { usleep(20_000) }
        let before = Heap.usedBytes
        body()
        least = min(least, Heap.usedBytes - before)
    }
    return least
}
