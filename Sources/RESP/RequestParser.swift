import Primitives

// Requests as clients, logs and primaries send them.
//
//     *2\r\n $3\r\nGET\r\n $1\r\nk\r\n        multibulk: count, then length and bytes of each argument
//     GET k\r\n                               inline: words, quoted as in a shell
//
// The parser owns no input. It is given the bytes that begin at a request and answers with ranges of them; when the
// request is not whole, it remembers how far it came (relative to the request's start) and goes on from there when
// called with more (wherever that lies by now), so that a request of n bytes costs O(n) however it is cut.
//
// Invariants
//  1. `ranges[0..<parsed]` lie within the bytes that were given.
//  2. No number from outside is used before it was compared with its limit.

/// Arguments of one request, borrowed from the input.
package struct Arguments {
    package let base: UnsafePointer<Bytes>
    package let count: Int
    @inline(__always)
    package init(base: UnsafePointer<Bytes>, count: Int) {
        self.base = base
        self.count = count
    }
    @inline(__always)
    package subscript(index: Int) -> Bytes { base[index] }
}

/// Why the input can't be a request; the connection ends after the reply.
package enum ProtocolError: Error, Equatable, Sendable {
    case tooBigInline, unbalancedQuotes, invalidMultibulkLength, tooBigCountString, tooBigBulkCountString
    case expectedDollar(UInt8), invalidBulkLength, unauthenticatedMultibulk, unauthenticatedBulk

    /// The error line without its leading minus.
    package var line: String {
        switch self {
        case .tooBigInline: "ERR Protocol error: too big inline request"
        case .unbalancedQuotes: "ERR Protocol error: unbalanced quotes in request"
        case .invalidMultibulkLength: "ERR Protocol error: invalid multibulk length"
        case .tooBigCountString: "ERR Protocol error: too big mbulk count string"
        case .tooBigBulkCountString: "ERR Protocol error: too big bulk count string"
        case .expectedDollar(let byte):
            "ERR Protocol error: expected '$', got '\(byte == 0 ? " " : String(UnicodeScalar(byte)))'"
        case .invalidBulkLength: "ERR Protocol error: invalid bulk length"
        case .unauthenticatedMultibulk: "ERR Protocol error: unauthenticated multibulk length"
        case .unauthenticatedBulk: "ERR Protocol error: unauthenticated bulk length"
        }
    }
}

package enum ParseOutcome: Equatable {
    /// A whole request of this many bytes; see `RequestParser.arguments`.
    case complete(consumed: Int)
    /// More input is needed; `needed` is how many bytes from the request's start are worth having before the next
    /// call, 0 if unknown.
    case incomplete(needed: Int)
    /// An empty line or an empty multibulk: nothing to do.
    case empty(consumed: Int)
    case failure(ProtocolError)
}

package struct RequestParser: ~Copyable {
    package var limits: RequestLimits
    /// The arguments of the request just completed; valid until the input goes away or the next `parse`.
    package private(set) var arguments: Arguments
    /// The request's bytes are just what our encoder would write for its arguments.
    package private(set) var isCanonical = false
    /// False for an inline request.
    package private(set) var isMultibulk = false

    /// Arguments found so far, as addresses in the input that the last `parse` was given (`inputBase`).
    private var ranges: UnsafeMutablePointer<Bytes>
    private var capacity = 8
    private var inputBase: UnsafeRawPointer?
    private var expected = -1
    private var parsed = 0
    private var position = 0
    private var canonical = true
    private var words = OwnedBytes(capacity: 16)

    package init(limits: RequestLimits) {
        self.limits = limits
        ranges = .allocate(capacity: capacity)
        arguments = Arguments(base: UnsafePointer(ranges), count: 0)
    }

    deinit { ranges.deallocate() }

    /// - Parameter input: begins where the current request begins; what an earlier call saw comes first.
    @inline(__always)
    package mutating func parse(_ input: Bytes) -> ParseOutcome {
        guard input.count > 0 else { return .incomplete(needed: 0) }
        if parsed > 0 { rebase(input) }
        inputBase = input.baseAddress
        if expected < 0 {
            if input[0] != UInt8(ascii: "*") { return parseInline(input) }
            if let outcome = parseCount(input) { return outcome }
        }
        return parseArguments(input)
    }

    /// No request was begun.
    @inline(__always)
    package var isIdle: Bool { expected < 0 }

    /// Forgets a request that was begun.
    package mutating func reset() {
        expected = -1
        parsed = 0
        position = 0
    }

    /// The input moved since the last call: so do the arguments found in it.
    private mutating func rebase(_ input: Bytes) {
        guard let old = inputBase, let new = input.baseAddress, old != new else { return }
        for index in 0..<parsed {
            guard let start = ranges[index].baseAddress else { continue }
            ranges[index] = Bytes(start: new + old.distance(to: start), count: ranges[index].count)
        }
    }

    // MARK: Multibulk

    private enum Number {
        case value(Int, next: Int, canonical: Bool)
        case incomplete, tooLong, malformed
    }

    /// A decimal number up to CR LF, from `start`.
    @inline(__always)
    private func number(_ input: Bytes, _ start: Int) -> Number {
        var index = start, value = 0
        let end = min(input.count, start + 32)
        // One digit, as in nearly every request.
        if start + 2 < input.count {
            let digit = input[start] &- 0x30
            if digit <= 9 && input[start + 1] == 13 && input[start + 2] == 10 {
                return .value(Int(digit), next: start + 3, canonical: true)
            }
        }
        while index < end {
            let digit = input[index] &- 0x30
            if digit > 9 { break }
            if index - start >= 18 { break }
            value = value &* 10 &+ Int(digit)
            index += 1
        }
        if index > start, index + 1 < input.count, input[index] == 13, input[index + 1] == 10 {
            // Zeros in front are no number to Redis.
            if input[start] == 0x30 && index - start > 1 { return .malformed }
            return .value(value, next: index + 2, canonical: true)
        }
        return unusualNumber(input, start)
    }

    @inline(never)
    private func unusualNumber(_ input: Bytes, _ start: Int) -> Number {
        var end = start
        while end < input.count && input[end] != 13 {
            end += 1
            if end - start > limits.maximumInlineBytes { return .tooLong }
        }
        if end + 1 >= input.count { return .incomplete }
        guard let value = Decimal.parseInt64(Bytes(rebasing: input[start..<end])) else { return .malformed }
        return .value(Int(value), next: end + 2, canonical: false)
    }

    @inline(__always)
    private mutating func parseCount(_ input: Bytes) -> ParseOutcome? {
        switch number(input, 1) {
        case .incomplete: return .incomplete(needed: 0)
        case .tooLong: return fail(.tooBigCountString)
        case .malformed: return fail(.invalidMultibulkLength)
        case .value(let count, let next, let isCanonical):
            if count > limits.maximumArguments { return fail(.invalidMultibulkLength) }
            if count <= 0 { return .empty(consumed: next) }
            if limits.isUnauthenticated && count > RequestLimits.unauthenticatedArguments {
                return fail(.unauthenticatedMultibulk)
            }
            expected = count
            parsed = 0
            position = next
            canonical = isCanonical
            return nil
        }
    }

    @inline(__always)
    private mutating func parseArguments(_ input: Bytes) -> ParseOutcome {
        while parsed < expected {
            guard position < input.count else { return .incomplete(needed: 0) }
            let mark = input[position]
            if mark != UInt8(ascii: "$") { return fail(.expectedDollar(mark)) }
            switch number(input, position + 1) {
            case .incomplete: return .incomplete(needed: 0)
            case .tooLong: return fail(.tooBigBulkCountString)
            case .malformed: return fail(.invalidBulkLength)
            case .value(let length, let next, let isCanonical):
                if length < 0 || length > limits.maximumBulkBytes { return fail(.invalidBulkLength) }
                if limits.isUnauthenticated && length > RequestLimits.unauthenticatedBulkBytes {
                    return fail(.unauthenticatedBulk)
                }
                let end = next + length
                if end + 2 > input.count { return .incomplete(needed: end + 2) }
                if parsed == capacity { grow() }
                ranges[parsed] = Bytes(start: input.baseAddress.unsafelyUnwrapped + next, count: length)
                if !isCanonical || input[end] != 13 || input[end + 1] != 10 { canonical = false }
                parsed += 1
                position = end + 2
            }
        }
        return complete(input)
    }

    @inline(__always)
    private mutating func complete(_ input: Bytes) -> ParseOutcome {
        arguments = Arguments(base: UnsafePointer(ranges), count: parsed)
        isCanonical = canonical
        isMultibulk = true
        let consumed = position
        if capacity > Self.keptCapacity && parsed < Self.keptCapacity / 2 { resize(to: Self.keptCapacity) }
        reset()
        return .complete(consumed: consumed)
    }

    private mutating func fail(_ error: ProtocolError) -> ParseOutcome {
        reset()
        return .failure(error)
    }

    private mutating func grow() { resize(to: capacity * 2) }

    /// What is not given back after a request of many arguments.
    private static let keptCapacity = 256

    private mutating func resize(to newCapacity: Int) {
        let newRanges = UnsafeMutablePointer<Bytes>.allocate(capacity: newCapacity)
        newRanges.update(from: ranges, count: min(parsed, newCapacity))
        ranges.deallocate()
        ranges = newRanges
        capacity = newCapacity
        arguments = Arguments(base: UnsafePointer(ranges), count: arguments.count)
    }

    // MARK: Inline

    @inline(never)
    private mutating func parseInline(_ input: Bytes) -> ParseOutcome {
        var end = 0
        while end < input.count && input[end] != 10 { end += 1 }
        if end == input.count {
            return input.count > limits.maximumInlineBytes ? .failure(.tooBigInline) : .incomplete(needed: 0)
        }
        if end > limits.maximumInlineBytes { return .failure(.tooBigInline) }
        let consumed = end + 1
        if end > 0 && input[end - 1] == 13 { end -= 1 }
        guard let split = SplitArguments.split(Bytes(rebasing: input[0..<end])) else {
            return .failure(.unbalancedQuotes)
        }
        if split.count == 0 { return .empty(consumed: consumed) }
        words.removeAll()
        parsed = 0
        for index in 0..<split.count { words.append(split[index]) }
        var start = words.base
        for index in 0..<split.count {
            if parsed == capacity { grow() }
            ranges[parsed] = Bytes(start: start, count: split[index].count)
            start += split[index].count
            parsed += 1
        }
        arguments = Arguments(base: UnsafePointer(ranges), count: parsed)
        isCanonical = false
        isMultibulk = false
        reset()
        return .complete(consumed: consumed)
    }
}
