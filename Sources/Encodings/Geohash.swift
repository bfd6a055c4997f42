import Primitives

// Geohashes: a place on earth as one integer, and so as the score of a sorted set.
//
// Longitude and latitude are each cut into 2^steps equal strips; the two strip numbers, interleaved bit by bit, are
// the hash. With 26 steps it has 52 bits, which a double holds exactly.
//
//     bit     51 50 49 48 …  1  0
//             lo la lo la … lo la        lo: longitude −180 … 180, la: latitude −85.05112878 … 85.05112878
//
// Invariants
//  1. A cell of n steps is the range [hash << (52 − 2n), (hash + 1) << (52 − 2n)) of 26-step hashes.
//  2. A decoded place is the centre of its cell, and within the limits.
//
// The very edge (180, 85.05112878) is strip 2^steps: one bit more than the others, as stored data has it.

/// Degrees.
package struct GeoPosition: Equatable, Sendable {
    package var longitude: Double
    package var latitude: Double

    package init(longitude: Double, latitude: Double) {
        self.longitude = longitude
        self.latitude = latitude
    }

    package static let maximumLongitude = 180.0
    /// Where Web Mercator ends.
    package static let maximumLatitude = 85.05112878

    /// Whether a geohash can hold it.
    package var isValid: Bool {
        longitude.magnitude <= Self.maximumLongitude && latitude.magnitude <= Self.maximumLatitude
    }
}

/// One cell of the grid: strip numbers at a precision of `steps` bits each.
package struct GeohashCell: Equatable, Sendable {
    package var longitude: UInt32
    package var latitude: UInt32
    /// 1 to 26.
    package var steps: Int

    package static let fullSteps = 26

    /// The cell of a valid place.
    package init(_ position: GeoPosition, steps: Int = fullSteps, latitudeLimit: Double = GeoPosition.maximumLatitude) {
        longitude = Self.strip(position.longitude, GeoPosition.maximumLongitude, steps)
        latitude = Self.strip(position.latitude, latitudeLimit, steps)
        self.steps = steps
    }

    /// The cell of a score. Any double is taken: of what no geohash can be, the low bits count.
    package init(score: Double) {
        let bits = Self.bits(of: score)
        latitude = Self.gather(bits)
        longitude = Self.gather(bits >> 1)
        steps = Self.fullSteps
    }

    package var bits: UInt64 { Self.spread(latitude) | Self.spread(longitude) << 1 }

    /// Scores of the places in the cell: from the first up to, but without, the second.
    package var scores: (from: Double, below: Double) {
        let shift = UInt64(2 * (Self.fullSteps - steps))
        return (Double(bits << shift), Double((bits &+ 1) << shift))
    }

    /// The cell so many strips to the east and to the north, round the edge.
    package func moved(east: Int, north: Int) -> GeohashCell {
        let mask = (UInt32(1) << UInt32(steps)) &- 1
        var cell = self
        if east != 0 { cell.longitude = (longitude &+ UInt32(truncatingIfNeeded: east)) & mask }
        if north != 0 { cell.latitude = (latitude &+ UInt32(truncatingIfNeeded: north)) & mask }
        return cell
    }

    package struct Bounds {
        package var west, east, south, north: Double
    }

    package var bounds: Bounds {
        Bounds(west: edge(longitude, GeoPosition.maximumLongitude),
               east: edge(longitude &+ 1, GeoPosition.maximumLongitude),
               south: edge(latitude, GeoPosition.maximumLatitude),
               north: edge(latitude &+ 1, GeoPosition.maximumLatitude))
    }

    package var centre: GeoPosition {
        let bounds = bounds
        let longitude = (bounds.west + bounds.east) / 2, latitude = (bounds.south + bounds.north) / 2
        return GeoPosition(longitude: clamped(longitude, GeoPosition.maximumLongitude),
                           latitude: clamped(latitude, GeoPosition.maximumLatitude))
    }

    // MARK: Arithmetic

    private static func strip(_ degrees: Double, _ limit: Double, _ steps: Int) -> UInt32 {
        let share = (degrees + limit) / (limit + limit) * Double(UInt64(1) << UInt64(steps))
        return share > 0 && share < 4_294_967_295 ? UInt32(share) : 0
    }

    private func clamped(_ degrees: Double, _ limit: Double) -> Double { min(max(degrees, -limit), limit) }

    private func edge(_ strip: UInt32, _ limit: Double) -> Double {
        Double(strip) / Double(UInt64(1) << UInt64(steps)) * (limit + limit) - limit
    }

    private static func bits(of score: Double) -> UInt64 {
        let high = 9_223_372_036_854_775_808.0
        if score >= high { return UInt64(exactly: score.rounded(.towardZero)) ?? 0 }
        return UInt64(bitPattern: Int64(exactly: score.rounded(.towardZero)) ?? .min)
    }

    /// The bits of a number at the even places.
    private static func spread(_ value: UInt32) -> UInt64 {
        var bits = UInt64(value)
        bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff
        bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff
        bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f
        bits = (bits | bits << 2) & 0x3333_3333_3333_3333
        return (bits | bits << 1) & 0x5555_5555_5555_5555
    }

    private static func gather(_ value: UInt64) -> UInt32 {
        var bits = value & 0x5555_5555_5555_5555
        bits = (bits | bits >> 1) & 0x3333_3333_3333_3333
        bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f
        bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff
        bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff
        return UInt32(truncatingIfNeeded: bits | bits >> 16)
    }

    // MARK: Text

    /// Bytes of a geohash's text.
    package static let textLength = 11

    /// Writes the common 11-character form at `target`. Its grid spans all latitudes up to 90, so the place is put
    /// into that first; 52 bits fill ten characters and two bits, and the last character is always 0.
    package static func writeText(_ position: GeoPosition, to target: UnsafeMutableRawPointer) {
        let alphabet = ("0123456789bcdefghjkmnpqrstuvwxyz" as StaticString).utf8Start
        let bits = GeohashCell(position, latitudeLimit: 90).bits
        for index in 0..<textLength {
            let digit = index == textLength - 1 ? 0 : Int(bits >> UInt64(52 - (index + 1) * 5) & 31)
            target.storeBytes(of: alphabet[digit], toByteOffset: index, as: UInt8.self)
        }
    }
}
