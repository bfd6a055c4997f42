import Primitives

package enum RESPVersion: UInt8, Sendable {
    case resp2 = 2, resp3 = 3
}

/// Writes replies in the client's protocol version. A trivial handle: the output's owner is the session.
package struct ReplyWriter {
    package let output: UnsafeMutablePointer<OwnedBytes>
    package var version: RESPVersion

    @inline(__always)
    package init(_ output: UnsafeMutablePointer<OwnedBytes>, _ version: RESPVersion) {
        self.output = output
        self.version = version
    }

    @inline(__always) private var isRESP3: Bool { version == .resp3 }

    // MARK: Simple

    @inline(__always) package func ok() { output.pointee.append("+OK\r\n") }

    @inline(__always)
    package func simple(_ text: StaticString) { line(UInt8(ascii: "+"), text.bytes) }
    package func simple(_ bytes: Bytes) { line(UInt8(ascii: "+"), bytes) }

    /// An error line: code and text, without the leading minus; CR and LF become spaces.
    package func error(_ text: StaticString) { line(UInt8(ascii: "-"), text.bytes) }
    package func error(_ text: String) {
        var text = text
        text.withUTF8 { error(Bytes($0)) }
    }
    package func error(_ bytes: Bytes) {
        output.pointee.append(UInt8(ascii: "-"))
        // Line ends at the end would be spaces that nobody sees.
        var bytes = bytes
        while let last = bytes.last, last == 13 || last == 10 { bytes = Bytes(rebasing: bytes.dropLast()) }
        for byte in bytes { output.pointee.append(byte == 13 || byte == 10 ? 32 : byte) }
        crlf()
    }

    @inline(__always)
    package func integer(_ value: Int64) { header(UInt8(ascii: ":"), value) }
    @inline(__always)
    package func integer(_ value: Int) { header(UInt8(ascii: ":"), Int64(value)) }

    package func boolean(_ value: Bool) {
        if isRESP3 { output.pointee.append(value ? "#t\r\n" : "#f\r\n") } else { integer(value ? 1 : 0) }
    }

    @inline(__always)
    package func null() { output.pointee.append(isRESP3 ? "_\r\n" : "$-1\r\n") }
    package func nullArray() { output.pointee.append(isRESP3 ? "_\r\n" : "*-1\r\n") }

    // MARK: Bulk

    @inline(__always)
    package func bulk(_ bytes: Bytes) {
        output.pointee.reserve(bytes.count + 26)
        header(UInt8(ascii: "$"), Int64(bytes.count))
        output.pointee.append(bytes)
        crlf()
    }
    package func bulk(_ text: StaticString) { bulk(text.bytes) }
    package func bulk(_ text: String) {
        var text = text
        text.withUTF8 { bulk(Bytes($0)) }
    }
    package func bulk(integer value: Int64) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            bulk(Bytes(start: start, count: Decimal.write(value, to: start)))
        }
    }

    /// RESP3 `,`; RESP2 a bulk string of the same text.
    package func double(_ value: Double) {
        withUnsafeTemporaryAllocation(byteCount: DoubleText.maximumLength, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            double(text: Bytes(start: start, count: DoubleText.write(value, to: start)))
        }
    }

    /// A double whose digits the caller chose.
    package func double(text: Bytes) {
        if isRESP3 { line(UInt8(ascii: ","), text) } else { bulk(text) }
    }

    /// RESP3 verbatim string with a three-letter format (`txt`, `mkd`); RESP2 a bulk string.
    package func verbatim(_ format: StaticString, _ bytes: Bytes) {
        guard isRESP3 else { bulk(bytes); return }
        header(UInt8(ascii: "="), Int64(bytes.count + 4))
        output.pointee.append(format)
        output.pointee.append(UInt8(ascii: ":"))
        output.pointee.append(bytes)
        crlf()
    }

    /// RESP3 `(`; RESP2 a bulk string of the digits.
    package func bigNumber(_ digits: Bytes) {
        if isRESP3 { line(UInt8(ascii: "("), digits) } else { bulk(digits) }
    }

    // MARK: Aggregates

    @inline(__always)
    package func array(_ count: Int) { header(UInt8(ascii: "*"), Int64(count)) }
    /// `pairs` keys with their values; RESP2 a flat array.
    package func map(_ pairs: Int) {
        if isRESP3 { header(UInt8(ascii: "%"), Int64(pairs)) } else { array(pairs * 2) }
    }
    package func set(_ count: Int) { header(isRESP3 ? UInt8(ascii: "~") : UInt8(ascii: "*"), Int64(count)) }
    package func push(_ count: Int) { header(isRESP3 ? UInt8(ascii: ">") : UInt8(ascii: "*"), Int64(count)) }
    /// RESP3 only: pairs that go before the reply proper.
    package func attribute(_ pairs: Int) { header(UInt8(ascii: "|"), Int64(pairs)) }

    /// Where an aggregate begins whose length is known only after its elements.
    package func beginDeferred() -> Int { output.pointee.count }

    package func endArray(_ mark: Int, _ count: Int) { insertHeader(mark, UInt8(ascii: "*"), count) }
    package func endSet(_ mark: Int, _ count: Int) {
        insertHeader(mark, isRESP3 ? UInt8(ascii: "~") : UInt8(ascii: "*"), count)
    }
    package func endMap(_ mark: Int, _ pairs: Int) {
        insertHeader(mark, isRESP3 ? UInt8(ascii: "%") : UInt8(ascii: "*"), isRESP3 ? pairs : pairs * 2)
    }

    private func insertHeader(_ mark: Int, _ kind: UInt8, _ count: Int) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            start.storeBytes(of: kind, as: UInt8.self)
            let digits = Decimal.write(Int64(count), to: start + 1)
            start.storeBytes(of: UInt16(0x0a0d), toByteOffset: 1 + digits, as: UInt16.self)
            output.pointee.insert(Bytes(start: start, count: digits + 3), at: mark)
        }
    }

    // MARK: Private

    @inline(__always)
    private func crlf() {
        output.pointee.append(uninitialized: 2) { $0.storeBytes(of: UInt16(0x0a0d), as: UInt16.self) }
    }

    @inline(__always)
    private func line(_ mark: UInt8, _ bytes: Bytes) {
        output.pointee.append(mark)
        output.pointee.append(bytes)
        crlf()
    }

    @inline(__always)
    private func header(_ mark: UInt8, _ number: Int64) {
        output.pointee.reserve(24)
        let start = output.pointee.base + output.pointee.count
        start.storeBytes(of: mark, as: UInt8.self)
        let digits = Decimal.write(number, to: start + 1)
        start.storeBytes(of: UInt16(0x0a0d), toByteOffset: 1 + digits, as: UInt16.self)
        output.pointee.commit(digits + 3)
    }
}
