#if canImport(Glibc)
import Glibc
#endif

/// Plain text to a descriptor, before there is a log.
enum FileHandleText {
    static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { _ = Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}

