#if canImport(Glibc)
import Glibc
#endif

enum WorkingDirectory {
    /// Absolute; empty if the system can't say.
    static var path: String {
        guard let path = getcwd(nil, 0) else { return "" }
        defer { free(path) }
        return String(cString: path)
    }

    /// `path` seen from the working directory.
    static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : Self.path + "/" + path
    }
}
