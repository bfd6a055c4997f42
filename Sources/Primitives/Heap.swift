import CShims
#if canImport(Glibc)
import Glibc
#endif

/// Bytes that somebody else owns; valid as long as the owner leaves them alone. Never stored beyond the call
/// it was passed to, unless the owner's documentation says so.
@usableFromInline
package typealias Bytes = UnsafeRawBufferPointer

/// The data plane's memory: slabs for what is small and malloc for the rest, with an exact account
/// (`Heap.usedBytes`), so that `used_memory` and eviction are true. Everything that lives in the keyspace comes from
/// here and goes back here.
@usableFromInline
package enum Heap {
    @inlinable
    @inline(__always)
    package static func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        sr_malloc(byteCount).unsafelyUnwrapped
    }

    @inlinable
    @inline(__always)
    package static func allocateZeroed(_ byteCount: Int) -> UnsafeMutableRawPointer {
        sr_calloc(byteCount).unsafelyUnwrapped
    }

    /// Grows or shrinks; the contents up to the smaller size stay, the address may change.
    @inlinable
    @inline(__always)
    package static func reallocate(_ pointer: UnsafeMutableRawPointer, _ byteCount: Int) -> UnsafeMutableRawPointer {
        sr_realloc(pointer, byteCount).unsafelyUnwrapped
    }

    @inlinable
    @inline(__always)
    package static func free(_ pointer: UnsafeMutableRawPointer) {
        sr_free(pointer)
    }

    /// What the allocator really gave for `pointer`, in bytes (at least what was asked for).
    @inlinable
    @inline(__always)
    package static func usableSize(_ pointer: UnsafeRawPointer) -> Int {
        sr_usable_size(pointer)
    }

    /// Has the cache line at an address fetched while other work is done.
    @inlinable
    @inline(__always)
    package static func prefetch(_ pointer: UnsafeRawPointer) { sr_prefetch(pointer) }

    /// The calling thread will allocate much beside others that do: until `endCache` it takes small blocks many at a
    /// time. What it has and does not use counts as used.
    package static func beginCache() { sr_slab_begin_cache() }
    package static func endCache() { sr_slab_end_cache() }

    /// Bytes allocated through `Heap` and not freed, as the allocator rounds them.
    package static var usedBytes: Int { sr_used_memory() }
}

extension UnsafeRawBufferPointer {
    /// Equality of contents.
    @inlinable
    @inline(__always)
    package func equals(_ other: Bytes) -> Bool {
        guard count == other.count else { return false }
        return count == 0 || memcmp(baseAddress.unsafelyUnwrapped, other.baseAddress.unsafelyUnwrapped, count) == 0
    }

    /// Order of contents as unsigned bytes, the shorter first when one is a prefix: negative, 0 or positive.
    @inlinable
    @inline(__always)
    package func compare(_ other: Bytes) -> Int {
        let common = Swift.min(count, other.count)
        if common > 0 {
            let order = memcmp(baseAddress.unsafelyUnwrapped, other.baseAddress.unsafelyUnwrapped, common)
            if order != 0 { return Int(order) }
        }
        return count - other.count
    }
}

extension StaticString {
    /// The literal's UTF-8 bytes; they live as long as the program.
    @inlinable
    @inline(__always)
    package var bytes: Bytes { Bytes(start: utf8Start, count: utf8CodeUnitCount) }
}
