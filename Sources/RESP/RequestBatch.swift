import Primitives

// The requests of a pipeline, found all at once, so that the memory which the later ones need is on its way while the
// first are executed (Engine/Pipeline.swift).
//
// Takes only what nearly every request is: a canonical multibulk of at most 99 arguments of less than 100,000 bytes,
// whole. It stops before anything else, which is `RequestParser`'s: unusual numbers, inline requests, the beginning of
// a request, errors. What both take, they take alike.
//
// Invariants
//  1. `requests[0..<count]` follow one another in the input, the first from where `fill` was told to begin.
//  2. Every byte is compared with the input's end before it is looked at.

/// A request of a batch. Its arguments lie in the input that `fill` was given.
package struct BatchedRequest {
    package var arguments: Arguments
    /// Where it begins and ends in the input.
    package var start: Int
    package var end: Int
    /// The command's id, −1 if its name is none; and the hash of its first key, if `hasHash`. The engine's.
    package var commandID = -1
    package var keyHash: UInt64 = 0
    package var hasHash = false

    @inline(__always)
    init(arguments: Arguments, start: Int, end: Int) {
        self.arguments = arguments
        self.start = start
        self.end = end
    }
}

/// Owns the room for the requests of one batch; `deallocate` when done.
package struct RequestBatch {
    package static let capacity = 32
    private static let argumentCapacity = 256
    private static let longestDigits = 5

    package let requests: UnsafeMutablePointer<BatchedRequest>
    private let ranges: UnsafeMutablePointer<Bytes>
    package private(set) var count = 0

    package init() {
        requests = .allocate(capacity: Self.capacity)
        ranges = .allocate(capacity: Self.argumentCapacity)
    }

    package func deallocate() {
        requests.deallocate()
        ranges.deallocate()
    }

    /// Finds the requests at `offset` of `input` and behind it, as many as there are and fit; maybe none.
    package mutating func fill(_ input: Bytes, from offset: Int) {
        count = 0
        guard let base = input.baseAddress else { return }
        let end = base + input.count
        var position = base + offset
        var argument = ranges
        let limit = ranges + Self.argumentCapacity
        while count < Self.capacity {
            let start = position
            guard let words = Self.number(&position, end, UInt8(ascii: "*")), words > 0, words < 100,
                  words <= limit - argument else { return }
            let first = argument
            for _ in 0..<words {
                guard let length = Self.number(&position, end, UInt8(ascii: "$")), end - position >= length &+ 2,
                      (position + length).loadUnaligned(as: UInt16.self) == 0x0a0d else { return }
                argument.initialize(to: Bytes(start: position, count: length))
                argument += 1
                position += length &+ 2
            }
            let found = Arguments(base: UnsafePointer(first), count: words)
            (requests + count).initialize(to: BatchedRequest(arguments: found, start: start - base,
                                                             end: position - base))
            count &+= 1
        }
    }

    /// The number between `mark` and CR LF at `position`, which then is behind them; nil if it isn't there, isn't
    /// canonical or is long.
    @inline(__always)
    private static func number(_ position: inout UnsafeRawPointer, _ end: UnsafeRawPointer, _ mark: UInt8) -> Int? {
        let available = end - position
        guard available >= 4, position.load(as: UInt8.self) == mark else { return nil }
        var digit = position.load(fromByteOffset: 1, as: UInt8.self) &- 0x30
        guard digit <= 9 else { return nil }
        if position.loadUnaligned(fromByteOffset: 2, as: UInt16.self) == 0x0a0d {
            position += 4
            return Int(digit)
        }
        if digit == 0 { return nil }
        var value = Int(digit)
        var index = 2
        let last = min(available &- 2, longestDigits)
        while index <= last {
            digit = position.load(fromByteOffset: index, as: UInt8.self) &- 0x30
            if digit > 9 { break }
            value = value &* 10 &+ Int(digit)
            index &+= 1
        }
        guard index &+ 2 <= available, position.loadUnaligned(fromByteOffset: index, as: UInt16.self) == 0x0a0d else {
            return nil
        }
        position += index &+ 2
        return value
    }
}
