#if canImport(Glibc)
import Glibc
#endif

/// Where the build that these tests belong to put the programs.
package enum BuiltProgram {
    /// Path of a program; SWIFT_REDIS_BUILD names another build folder than `.build` (tools/lib/sanitize).
    package static func path(_ name: String) -> String {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let folder = getenv("SWIFT_REDIS_BUILD").map { String(cString: $0) } ?? ".build"
        return "\(root)/\(folder)/debug/\(name)"
    }

    package static var server: String { path("swift-redis-server") }
}
