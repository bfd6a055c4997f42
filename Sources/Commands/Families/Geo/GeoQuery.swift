import Encodings
import Keyspace
import Primitives

/// What a search asks for; the grammar of GEORADIUS, GEORADIUSBYMEMBER and GEOSEARCH in all their forms.
struct GeoQuery {
    /// The command that asks.
    enum Form { case radius, radiusReadOnly, radiusByMember, radiusByMemberReadOnly, search, searchStore }
    enum Order { case unsorted, ascending, descending }

    let form: Form
    var centre: GeoPosition?
    var kind: GeoShape.Kind?
    /// Metres.
    var unit = 1.0
    var order = Order.unsorted
    /// 0: all.
    var count = 0
    /// The first `count` that are found will do.
    var any = false
    var withCoordinates = false, withDistance = false, withHash = false
    /// Argument that names the key to store at.
    var target: Int?
    var storesDistance = false
    /// FROMMEMBER or FROMLONLAT was given; the centre may be missing still, when there is no key.
    private var hasMember = false, hasPlace = false

    static let noMember = CommandError.text("ERR could not decode requested zset member")

    /// Without a key (`set` nil) arguments are checked as far as that goes.
    init(_ call: Call, _ set: SortedSetValue?, _ form: Form) throws(CommandError) {
        self.form = form
        var index: Int
        switch form {
        case .radius, .radiusReadOnly:
            centre = try GeoCommands.position(call, 2)
            try parseCircle(call, 4)
            index = 6
        case .radiusByMember, .radiusByMemberReadOnly:
            if let set {
                centre = try Self.centre(call[2], set)
                try parseCircle(call, 3)
            }
            index = 5
        case .search: index = 2
        case .searchStore:
            target = 1
            index = 3
        }
        while index < call.count {
            let left = call.count - 1 - index
            var taken = try parseCommon(call, index, left)
            if taken == nil {
                taken = isSearch ? try parseSearch(call, index, left, set) : parseStore(call, index, left)
            }
            guard let taken else { throw .syntax }
            index += taken
        }
        try check(call)
        // The nearest so many are meant, unless any will do.
        if count > 0 && order == .unsorted && !any { order = .ascending }
    }

    private var isSearch: Bool {
        switch form {
        case .search, .searchStore: true
        case .radius, .radiusReadOnly, .radiusByMember, .radiusByMemberReadOnly: false
        }
    }
    private var mayStore: Bool {
        switch form {
        case .radius, .radiusByMember: true
        case .radiusReadOnly, .radiusByMemberReadOnly, .search, .searchStore: false
        }
    }

    // MARK: Options. Each answers how many arguments it took; nil: not its word.

    private mutating func parseCommon(_ call: Call, _ index: Int, _ left: Int) throws(CommandError) -> Int? {
        if call.isWord(index, "WITHDIST") { withDistance = true
        } else if call.isWord(index, "WITHHASH") { withHash = true
        } else if call.isWord(index, "WITHCOORD") { withCoordinates = true
        } else if call.isWord(index, "ANY") { any = true
        } else if call.isWord(index, "ASC") { order = .ascending
        } else if call.isWord(index, "DESC") { order = .descending
        } else if call.isWord(index, "COUNT") && left >= 1 {
            count = Int(try call.integer(index + 1))
            if count <= 0 { throw .text("ERR COUNT must be > 0") }
            return 2
        } else { return nil }
        return 1
    }

    private mutating func parseStore(_ call: Call, _ index: Int, _ left: Int) -> Int? {
        let byDistance = call.isWord(index, "STOREDIST")
        guard mayStore, left >= 1, byDistance || call.isWord(index, "STORE") else { return nil }
        target = index + 1
        storesDistance = byDistance
        return 2
    }

    private mutating func parseSearch(_ call: Call, _ index: Int, _ left: Int, _ set: SortedSetValue?)
        throws(CommandError) -> Int? {
        if call.isWord(index, "FROMMEMBER") && left >= 1 && !hasPlace {
            if let set { centre = try Self.centre(call[index + 1], set) }
            hasMember = true
            return 2
        }
        if call.isWord(index, "FROMLONLAT") && left >= 2 && !hasMember {
            centre = try GeoCommands.position(call, index + 1)
            hasPlace = true
            return 3
        }
        if call.isWord(index, "BYRADIUS") && left >= 2 && shape != .box && shape != .polygon {
            try parseCircle(call, index + 1)
            return 3
        }
        if call.isWord(index, "BYBOX") && left >= 3 && (shape == nil || shape == .box) {
            try parseBox(call, index + 1)
            return 4
        }
        if call.isWord(index, "BYPOLYGON") && left >= 1 && shape == nil {
            return try parsePolygon(call, index + 1, left - 1) + 2
        }
        guard call.isWord(index, "STOREDIST"), case .searchStore = form else { return nil }
        storesDistance = true
        return 1
    }

    private enum Shape { case circle, box, polygon }
    private var shape: Shape? {
        switch kind {
        case nil: nil
        case .circle: .circle
        case .box: .box
        case .polygon: .polygon
        }
    }

    private mutating func parseCircle(_ call: Call, _ index: Int) throws(CommandError) {
        guard let radius = DoubleText.parse(call[index]) else { throw .text("ERR need numeric radius") }
        if radius < 0 { throw .text("ERR radius cannot be negative") }
        unit = try GeoCommands.unit(call, index + 1)
        kind = .circle(radius: radius)
    }

    private mutating func parseBox(_ call: Call, _ index: Int) throws(CommandError) {
        guard let width = DoubleText.parse(call[index]) else { throw .text("ERR need numeric width") }
        guard let height = DoubleText.parse(call[index + 1]) else { throw .text("ERR need numeric height") }
        if width < 0 || height < 0 { throw .text("ERR height or width cannot be negative") }
        unit = try GeoCommands.unit(call, index + 2)
        kind = .box(width: width, height: height)
    }

    /// `num-vertices longitude latitude …`: how many arguments the vertices took. Distances are in metres.
    private mutating func parsePolygon(_ call: Call, _ index: Int, _ left: Int) throws(CommandError) -> Int {
        let number = try call.integer(index)
        if number < 3 { throw .text("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices") }
        if number > left / 2 { throw .syntax }
        var vertices: [GeoPosition] = []
        for vertex in 0..<Int(number) { vertices.append(try GeoCommands.position(call, index + 1 + vertex * 2)) }
        kind = .polygon(vertices)
        centre = GeoShape.centre(of: vertices)
        return Int(number) * 2
    }

    private static func centre(_ member: Bytes, _ set: SortedSetValue) throws(CommandError) -> GeoPosition {
        guard let score = set.score(of: member) else { throw noMember }
        return GeohashCell(score: score).centre
    }

    // MARK: Checks

    private func check(_ call: Call) throws(CommandError) {
        if target != nil && (withDistance || withHash || withCoordinates) {
            let who = isSearch ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS"
            throw .message("ERR \(who) is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
        }
        let name = String(decoding: call[0], as: UTF8.self)
        if shape == .polygon && (hasMember || hasPlace) { throw .syntax }
        if isSearch && !hasMember && !hasPlace && shape != .polygon {
            throw .message("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for \(name)")
        }
        if isSearch && kind == nil {
            throw .message("ERR exactly one of BYRADIUS and BYBOX can be specified for \(name)")
        }
        if any && count == 0 { throw .text("ERR the ANY argument requires COUNT argument") }
    }
}
