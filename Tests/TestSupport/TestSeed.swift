#if canImport(Glibc)
import Glibc
#endif

/// A seed for what a test leaves to chance: the one of SWIFT_REDIS_TEST_SEED, which `tools/test` gives, so that a run
/// can be had again; without it, any. The test prints it.
package func testSeed() -> UInt64 {
    getenv("SWIFT_REDIS_TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? .random(in: 0..<1_000_000_000)
}
