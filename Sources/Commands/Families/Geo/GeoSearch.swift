import Encodings
import Keyspace
import Primitives
import RESP

// GEORADIUS, GEORADIUSBYMEMBER, GEOSEARCH: the members of a sorted set that lie within a shape.

/// A member that was found; its bytes are those of the sorted set.
private struct GeoHit {
    var member: ListpackElement
    var score: Double
    var position: GeoPosition
    /// Metres from the centre.
    var distance: Double
}

private struct GeoHits: ~Copyable {
    private var base = UnsafeMutablePointer<GeoHit>.allocate(capacity: 16)
    private var capacity = 16
    private(set) var count = 0

    deinit { base.deallocate() }

    mutating func append(_ hit: GeoHit) {
        if count == capacity {
            let grown = UnsafeMutablePointer<GeoHit>.allocate(capacity: capacity * 2)
            grown.moveInitialize(from: base, count: count)
            base.deallocate()
            base = grown
            capacity *= 2
        }
        (base + count).initialize(to: hit)
        count += 1
    }

    subscript(index: Int) -> GeoHit { base[index] }

    /// Sorts, as far as the first `wanted` are concerned. Those of equal distance keep their order.
    mutating func sort(_ order: GeoQuery.Order, first wanted: Int) {
        switch order {
        case .unsorted: return
        case .ascending: select(wanted) { $0.distance < $1.distance }
        case .descending: select(wanted) { $0.distance > $1.distance }
        }
    }

    /// Few of many are kept sorted at the front while the rest passes by; else everything is sorted.
    private mutating func select(_ wanted: Int, _ precedes: (GeoHit, GeoHit) -> Bool) {
        if wanted > 32 || wanted >= count {
            var all = UnsafeMutableBufferPointer(start: base, count: count)
            all.sort(by: precedes)
            return
        }
        var kept = 0
        for index in 0..<count {
            let hit = base[index]
            if kept == wanted && !precedes(hit, base[kept - 1]) { continue }
            var place = kept < wanted ? kept : kept - 1
            while place > 0 && precedes(hit, base[place - 1]) {
                base[place] = base[place - 1]
                place -= 1
            }
            base[place] = hit
            if kept < wanted { kept += 1 }
        }
        count = kept
    }
}

extension GeoCommands {
    static func georadius(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try search(&keyspace, &call, .radius)
    }
    static func georadiusRO(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try search(&keyspace, &call, .radiusReadOnly)
    }
    static func georadiusbymember(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try search(&keyspace, &call, .radiusByMember)
    }
    static func georadiusbymemberRO(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try search(&keyspace, &call, .radiusByMemberReadOnly)
    }
    static func geosearch(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try search(&keyspace, &call, .search)
    }
    static func geosearchstore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try search(&keyspace, &call, .searchStore)
    }

    private static func search(_ keyspace: inout Keyspace, _ call: inout Call, _ form: GeoQuery.Form)
        throws(CommandError) {
        var source = 1
        if case .searchStore = form { source = 2 }
        let set = try SortedSetCommands.sortedSet(&keyspace, call, source)
        let query = try GeoQuery(call, set, form)
        var hits = GeoHits()
        if let set, let centre = query.centre, let kind = query.kind {
            find(set, GeoShape(centre: centre, kind: kind, unit: query.unit), query.any ? query.count : .max, &hits)
        }
        let wanted = query.count > 0 ? min(query.count, hits.count) : hits.count
        hits.sort(query.order, first: wanted)
        if let target = query.target {
            store(&keyspace, &call, hits, wanted, query, at: target)
        } else {
            reply(hits, wanted, query, call.reply)
        }
    }

    /// Gathers members within a shape, cell by cell, in each by score, until there are `limit`.
    private static func find(_ set: SortedSetValue, _ shape: GeoShape, _ limit: Int, _ hits: inout GeoHits) {
        shape.forEachCell { cell in
            let (from, below) = cell.scores
            var cursor = set.first(in: ScoreRange(minimum: from, maximum: below, excludesMaximum: true))
            while let current = cursor {
                let score = set.score(current)
                if score >= below { break }
                let position = GeohashCell(score: score).centre
                if let distance = shape.distance(to: position) {
                    hits.append(GeoHit(member: set.member(current), score: score, position: position,
                                       distance: distance))
                    if hits.count >= limit { return false }
                }
                cursor = set.next(current)
            }
            return true
        }
    }

    private static func reply(_ hits: borrowing GeoHits, _ wanted: Int, _ query: GeoQuery, _ writer: ReplyWriter) {
        let parts = 1 + (query.withDistance ? 1 : 0) + (query.withHash ? 1 : 0) + (query.withCoordinates ? 1 : 0)
        writer.array(wanted)
        for index in 0..<wanted {
            let hit = hits[index]
            if parts > 1 { writer.array(parts) }
            HashCommands.reply(hit.member, writer)
            if query.withDistance { reply(distance: hit.distance / query.unit, writer) }
            if query.withHash { writer.integer(whole(hit.score)) }
            if query.withCoordinates { reply(hit.position, writer) }
        }
    }

    /// The geohash of a score; of one that is none, whatever comes near.
    private static func whole(_ score: Double) -> Int64 { Int64(exactly: score.rounded(.towardZero)) ?? .min }

    private static func store(_ keyspace: inout Keyspace, _ call: inout Call, _ hits: borrowing GeoHits,
                              _ wanted: Int, _ query: GeoQuery, at target: Int) {
        var result = SortedSetValue.create(expected: wanted, longest: 0, keyspace)
        for index in 0..<wanted {
            let hit = hits[index]
            withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
                let member = hit.member.text(scratch.baseAddress.unsafelyUnwrapped)
                result.insert(member, query.storesDistance ? hit.distance / query.unit : hit.score, keyspace)
            }
        }
        let event: StaticString
        switch query.form {
        case .searchStore: event = "geosearchstore"
        case .search, .radius, .radiusReadOnly, .radiusByMember, .radiusByMemberReadOnly: event = "georadiusstore"
        }
        var isRecorded = false
        if case .polygon = query.kind { isRecorded = true }
        SortedSetCommands.storeResult(&keyspace, &call, result, event, at: target, changes: wanted,
                                      isRecorded: isRecorded)
    }
}
