#if canImport(Glibc)
import Glibc
#endif

/// A growable run of bytes with one owner: reply buffers, log buffers, scratch space. No reference counting, no
/// copy on write; growth doubles, so that n appends cost O(n).
@usableFromInline
package struct OwnedBytes: ~Copyable {
    @usableFromInline package internal(set) var base: UnsafeMutableRawPointer
    @usableFromInline package internal(set) var count: Int
    @usableFromInline package internal(set) var capacity: Int

    @inlinable
    package init(capacity: Int = 64) {
        self.capacity = max(capacity, 16)
        base = Heap.allocate(self.capacity)
        count = 0
    }

    package init(copying bytes: Bytes) {
        self.init(capacity: bytes.count)
        append(bytes)
    }

    @inlinable
    deinit { Heap.free(base) }

    /// The bytes written so far; valid until the next mutation.
    @inlinable
    @inline(__always)
    package var bytes: Bytes { Bytes(start: base, count: count) }

    @inlinable
    @inline(__always)
    package var isEmpty: Bool { count == 0 }

    /// Makes room for `extra` more bytes beyond `count`.
    @inlinable
    @inline(__always)
    package mutating func reserve(_ extra: Int) {
        if capacity - count < extra { grow(extra) }
    }

    @inline(never)
    @usableFromInline
    mutating func grow(_ extra: Int) {
        capacity = max(capacity * 2, count + extra)
        base = Heap.reallocate(base, capacity)
    }

    @inlinable
    @inline(__always)
    package mutating func append(_ bytes: Bytes) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        memcpy(base + count, source, bytes.count)
        count += bytes.count
    }

    @inlinable
    @inline(__always)
    package mutating func append(_ byte: UInt8) {
        reserve(1)
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    @inlinable
    @inline(__always)
    package mutating func append(_ text: StaticString) { append(text.bytes) }

    /// Appends a string's UTF-8. Literals are `StaticString`s above, which need no string at all.
    @_disfavoredOverload
    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(Bytes($0)) }
    }

    /// Appends `n` bytes that `body` must fill.
    @inlinable
    @inline(__always)
    package mutating func append(uninitialized n: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
        reserve(n)
        body(base + count)
        count += n
    }

    /// Says that `n` bytes were written behind `count` (after `reserve`) by someone else, for example read(2).
    @inlinable
    @inline(__always)
    package mutating func commit(_ n: Int) {
        precondition(n >= 0 && count + n <= capacity)
        count += n
    }

    /// Puts bytes before offset `offset`, moving what follows.
    package mutating func insert(_ bytes: Bytes, at offset: Int) {
        precondition(offset >= 0 && offset <= count)
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        memmove(base + offset + bytes.count, base + offset, count - offset)
        memcpy(base + offset, source, bytes.count)
        count += bytes.count
    }

    /// Forgets everything after `newCount` bytes.
    @inlinable
    @inline(__always)
    package mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }

    /// Drops the first `n` bytes, moving the rest down.
    package mutating func dropFirst(_ n: Int) {
        precondition(n >= 0 && n <= count)
        if n == count { count = 0; return }
        memmove(base, base + n, count - n)
        count -= n
    }

    /// Empties it; gives memory back when more than `keeping` bytes were held.
    package mutating func removeAll(keeping: Int = 1 << 16) {
        count = 0
        if capacity > keeping {
            capacity = keeping
            base = Heap.reallocate(base, keeping)
        }
    }
}
