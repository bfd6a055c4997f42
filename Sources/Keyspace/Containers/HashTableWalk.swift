import Primitives

// Ways through a hash table: the stateless SCAN cursor, plain iteration, fair random picks.

extension HashTable {
    /// One step of SCAN: hands every element of the cursor's bucket to `visit` and returns the next cursor, 0 when
    /// the walk is over. `visit` must not change the table.
    package func scan(_ cursor: UInt64, _ visit: (UnsafeMutableRawPointer) -> Void) -> UInt64 {
        guard let base = buckets(0) else { return 0 }
        pauseRehash()
        defer { resumeRehash() }
        if !isRehashing {
            let mask = UInt64(self.mask(0))
            Self.forEach(in: Bucket(base + Int(cursor & mask) * Bucket.byteCount), visit)
            return Self.advance(cursor, mask)
        }
        let (small, large) = exponent(0) <= exponent(1) ? (0, 1) : (1, 0)
        let smallMask = UInt64(mask(small)), largeMask = UInt64(mask(large))
        var cursor = cursor
        let smallBase = buckets(small).unsafelyUnwrapped, largeBase = buckets(large).unsafelyUnwrapped
        Self.forEach(in: Bucket(smallBase + Int(cursor & smallMask) * Bucket.byteCount), visit)
        repeat {
            // All buckets of the larger table that the small one's bucket expands into.
            Self.forEach(in: Bucket(largeBase + Int(cursor & largeMask) * Bucket.byteCount), visit)
            cursor = Self.advance(cursor, largeMask)
        } while cursor & (smallMask ^ largeMask) != 0
        return cursor
    }

    /// Adds one to the masked part of the cursor as read from its high end.
    private static func advance(_ cursor: UInt64, _ mask: UInt64) -> UInt64 {
        ((cursor | ~mask).bitReversed &+ 1).bitReversed
    }

    /// Visits every element; `visit` must not change the table (freeing the element's own extras is fine), but may
    /// look things up in it.
    package func forEach(_ visit: (UnsafeMutableRawPointer) -> Void) {
        walk { visit($0); return true }
    }

    /// As `forEach`, until `visit` answers false. A lookup moves elements of a table that is being resized, so that
    /// rests meanwhile; the header is left alone when there is nothing to rest (a snapshot child shares its page).
    package func walk(_ visit: (UnsafeMutableRawPointer) -> Bool) {
        let mustRest = isRehashing && !header.pointee.context.pointee.avoidResize
        if mustRest { pauseRehash() }
        defer { if mustRest { resumeRehash() } }
        var iterator = makeIterator()
        while let element = iterator.next() {
            if !visit(element) { return }
        }
    }

    package func makeIterator() -> HashTableIterator<Element> { HashTableIterator(self) }

    /// A uniformly random element, nil when empty. Fair whatever the fill of the buckets: a random bucket is
    /// accepted with a probability in proportion to its number of elements.
    package func randomElement() -> UnsafeMutableRawPointer? {
        let total = count
        if total == 0 { return nil }
        let (size0, size1) = bucketCounts
        let first = isRehashing ? header.pointee.rehashIndex : 0
        let choices = size0 - first + size1
        // No chain is longer than this but with negligible probability (Poisson, mean 6.2, or 25 beside a child).
        let longest = total > choices * 8 ? 128 : 28
        while true {
            let draw = Int(context.pointee.random.next(below: UInt64(choices * longest)))
            let index = draw / longest + first, pick = draw % longest
            let base = index < size0 ? buckets(0).unsafelyUnwrapped + index * Bucket.byteCount
                : buckets(1).unsafelyUnwrapped + (index - size0) * Bucket.byteCount
            if let element = Self.element(pick, in: Bucket(base)) { return element }
        }
    }

    private static func element(_ number: Int, in first: Bucket) -> UnsafeMutableRawPointer? {
        var bucket = first
        var left = number
        while true {
            var taken = bucket.meta & (bucket.isChained ? 0x3f : 0x7f)
            let here = taken.nonzeroBitCount
            if left < here {
                while left > 0 { taken &= taken &- 1; left -= 1 }
                return bucket.slot(taken.trailingZeroBitCount).pointee
            }
            left -= here
            guard let next = bucket.next else { return nil }
            bucket = next
        }
    }
}

/// Goes through a table that nobody changes, or looks anything up in, meanwhile. Plain values only: safe in a
/// snapshot child.
package struct HashTableIterator<Element: HashElement> {
    private let table: HashTable<Element>
    private var number = 0
    private var index = -1
    private var bucket: Bucket?
    private var taken: UInt8 = 0

    init(_ table: HashTable<Element>) { self.table = table }

    package mutating func next() -> UnsafeMutableRawPointer? {
        while true {
            if taken != 0, let bucket {
                let slot = taken.trailingZeroBitCount
                taken &= taken &- 1
                return bucket.slot(slot).pointee
            }
            if let following = bucket?.next {
                enter(following)
                continue
            }
            index += 1
            while number < 2, table.buckets(number) == nil || index >= 1 << Int(table.exponent(number)) {
                number += 1
                index = 0
            }
            guard number < 2, let base = table.buckets(number) else { return nil }
            enter(Bucket(base + index * Bucket.byteCount))
        }
    }

    private mutating func enter(_ bucket: Bucket) {
        self.bucket = bucket
        taken = bucket.meta & (bucket.isChained ? 0x3f : 0x7f)
    }
}

extension UInt64 {
    /// The 64 bits in reverse order.
    var bitReversed: UInt64 {
        var v = self.byteSwapped
        v = ((v >> 4) & 0x0f0f_0f0f_0f0f_0f0f) | ((v & 0x0f0f_0f0f_0f0f_0f0f) << 4)
        v = ((v >> 2) & 0x3333_3333_3333_3333) | ((v & 0x3333_3333_3333_3333) << 2)
        return ((v >> 1) & 0x5555_5555_5555_5555) | ((v & 0x5555_5555_5555_5555) << 1)
    }
}
