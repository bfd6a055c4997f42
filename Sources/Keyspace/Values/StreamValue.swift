import Encodings
import Primitives

package enum StreamValue {
    /// Frees everything the value owns.
    static func destroy(_ pointer: UnsafeMutableRawPointer) { Heap.free(pointer) }
}
