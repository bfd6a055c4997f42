import Encodings
#if canImport(Glibc)
import Glibc
#endif
import Keyspace
import Primitives
import RESP

// Places on earth: members of a sorted set whose scores are geohashes. Searches are in GeoSearch.swift, their
// grammar in GeoQuery.swift, the declarations in GeoDeclarations.swift.

package enum GeoCommands {
    // MARK: Reading arguments

    /// Longitude and latitude at arguments `index` and `index + 1`.
    static func position(_ call: Call, _ index: Int) throws(CommandError) -> GeoPosition {
        let position = GeoPosition(longitude: try call.double(index), latitude: try call.double(index + 1))
        if position.isValid { return position }
        let pair = "\(fixed(position.longitude)),\(fixed(position.latitude))"
        throw .message("ERR invalid longitude,latitude pair \(pair)")
    }

    /// Six digits behind the point, for the one error that shows numbers.
    private static func fixed(_ value: Double) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
            let start = buffer.baseAddress.unsafelyUnwrapped
            _ = withVaList([value]) { vsnprintf(start, 512, "%f", $0) }
            return String(cString: start)
        }
    }

    /// Metres of the unit at argument `index`.
    static func unit(_ call: Call, _ index: Int) throws(CommandError) -> Double {
        if call.isWord(index, "M") { return 1 }
        if call.isWord(index, "KM") { return 1_000 }
        if call.isWord(index, "FT") { return 0.3048 }
        if call.isWord(index, "MI") { return 1_609.34 }
        throw .text("ERR unsupported unit provided. please use M, KM, FT, MI")
    }

    // MARK: Replies

    /// A distance with four digits behind the point.
    static func reply(distance: Double, _ writer: ReplyWriter) {
        // No distance on earth comes near the bound.
        let scaled = min((distance * 10_000).rounded(.toNearestOrEven), 1e18)
        let whole = Int64(scaled) / 10_000, fraction = Int64(scaled) % 10_000
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            let length = Decimal.write(whole, to: start)
            // The leading 1 keeps the zeros; the point takes its place.
            let digits = Decimal.write(10_000 + fraction, to: start + length)
            start.storeBytes(of: UInt8(ascii: "."), toByteOffset: length, as: UInt8.self)
            writer.bulk(Bytes(start: start, count: length + digits))
        }
    }

    static func reply(_ position: GeoPosition, _ writer: ReplyWriter) {
        writer.array(2)
        reply(degrees: position.longitude, writer)
        reply(degrees: position.latitude, writer)
    }

    private static func reply(degrees: Double, _ writer: ReplyWriter) {
        withUnsafeTemporaryAllocation(byteCount: LongDoubleText.maximumLength, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            writer.double(text: Bytes(start: start, count: LongDoubleText.write(LongDouble(degrees), to: start)))
        }
    }

    // MARK: GEOADD

    private struct AddOptions {
        var nx = false, xx = false, changed = false
        var first = 2

        init(_ call: Call) throws(CommandError) {
            loop: while first < call.count {
                if call.isWord(first, "NX") { nx = true } else if call.isWord(first, "XX") { xx = true
                } else if call.isWord(first, "CH") { changed = true } else { break loop }
                first += 1
            }
            if first == call.count || (call.count - first) % 3 != 0 || (nx && xx) { throw .syntax }
        }
    }

    static func geoadd(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try AddOptions(call)
        let places = (call.count - options.first) / 3
        // All places are checked before anything changes.
        for place in 0..<places { _ = try position(call, options.first + place * 3) }
        let entry = try call.entry(&keyspace, 1, .sortedSet, .write)
        if entry == nil && options.xx { call.reply.integer(0); return }
        var set = entry.map { SortedSetValue($0) }
            ?? .create(expected: places, longest: call[options.first + 2].count, keyspace)
        if entry != nil { set.prepare(added: places, keyspace) }
        var added = 0, updated = 0
        for place in 0..<places {
            let at = options.first + place * 3, member = call[at + 2]
            let score = Double(GeohashCell(try position(call, at)).bits)
            guard let current = set.score(of: member) else {
                if options.xx { continue }
                set.insert(member, score, keyspace)
                added += 1
                continue
            }
            if options.nx || current == score { continue }
            set.update(member, score)
            updated += 1
        }
        if let entry { set.store(entry) } else if set.count > 0 {
            keyspace.set(call[1], to: set.makeValue(), in: call.database)
        } else {
            set.destroy()
        }
        if added + updated > 0 {
            call.modified(call[1], .sortedSet, "zadd", changes: added + updated)
            try recordAdd(call, options.first)
        }
        call.reply.integer(options.changed ? added + updated : added)
    }

    /// The log has the scores: ZADD with the same options.
    private static func recordAdd(_ call: Call, _ first: Int) throws(CommandError) {
        call.record(argumentCount: first + (call.count - first) / 3 * 2)
        call.recordArgument("ZADD")
        for index in 1..<first { call.recordArgument(call[index]) }
        for at in stride(from: first, to: call.count, by: 3) {
            call.recordArgument(Int64(bitPattern: GeohashCell(try position(call, at)).bits))
            call.recordArgument(call[at + 2])
        }
    }

    // MARK: Members

    static func geopos(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let set = try SortedSetCommands.sortedSet(&keyspace, call)
        call.reply.array(call.count - 2)
        for index in 2..<call.count {
            if let score = set?.score(of: call[index]) {
                reply(GeohashCell(score: score).centre, call.reply)
            } else {
                call.reply.nullArray()
            }
        }
    }

    static func geohash(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let set = try SortedSetCommands.sortedSet(&keyspace, call)
        call.reply.array(call.count - 2)
        for index in 2..<call.count {
            guard let score = set?.score(of: call[index]) else { call.reply.null(); continue }
            withUnsafeTemporaryAllocation(byteCount: GeohashCell.textLength, alignment: 1) { scratch in
                let start = scratch.baseAddress.unsafelyUnwrapped
                GeohashCell.writeText(GeohashCell(score: score).centre, to: start)
                call.reply.bulk(Bytes(start: start, count: GeohashCell.textLength))
            }
        }
    }

    static func geodist(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if call.count > 5 { throw .syntax }
        let unit = call.count == 5 ? try unit(call, 4) : 1
        guard let set = try SortedSetCommands.sortedSet(&keyspace, call), let from = set.score(of: call[2]),
              let to = set.score(of: call[3]) else { call.reply.null(); return }
        let distance = Earth.distance(GeohashCell(score: from).centre, GeohashCell(score: to).centre)
        reply(distance: distance / unit, call.reply)
    }
}
