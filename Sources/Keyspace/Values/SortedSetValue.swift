import Encodings
import Primitives

/// The encodings of a SortedSet: one set of operations over all of them.
package enum SortedSetValue {
    /// Frees everything the value owns.
    static func destroy(_ pointer: UnsafeMutableRawPointer, _ encoding: Encoding) { Heap.free(pointer) }
}
