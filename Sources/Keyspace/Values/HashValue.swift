import Encodings
import Primitives

/// The encodings of a Hash: one set of operations over all of them.
package enum HashValue {
    /// Frees everything the value owns.
    static func destroy(_ pointer: UnsafeMutableRawPointer, _ encoding: Encoding) { Heap.free(pointer) }
}
