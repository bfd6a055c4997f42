/// Files under `Fixtures/` of the repository.
package enum Fixture {
    package static func path(_ name: String) -> String {
        let here = #filePath
        let root = here.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        return "\(root)/Fixtures/\(name)"
    }
}
