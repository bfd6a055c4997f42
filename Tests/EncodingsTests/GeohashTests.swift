import Encodings
import Primitives
import Testing
import TestSupport

@Suite struct GeohashTests {
    private static func text(_ position: GeoPosition) -> String {
        withUnsafeTemporaryAllocation(byteCount: GeohashCell.textLength, alignment: 1) {
            GeohashCell.writeText(position, to: $0.baseAddress!)
            return String(decoding: $0, as: UTF8.self)
        }
    }

    private static func place(_ random: inout RandomSource, _ longitude: Double, _ latitude: Double) -> GeoPosition {
        GeoPosition(longitude: (random.nextUnit() * 2 - 1) * longitude,
                    latitude: (random.nextUnit() * 2 - 1) * latitude)
    }

    @Test func knownPlacesHaveTheirScores() {
        let palermo = GeohashCell(GeoPosition(longitude: 13.361389, latitude: 38.115556))
        #expect(palermo.bits == 3_479_099_956_230_698)
        #expect(Self.text(palermo.centre) == "sqc8b49rny0")
        let catania = GeohashCell(GeoPosition(longitude: 15.087269, latitude: 37.502669))
        #expect(catania.bits == 3_479_447_370_796_909)
        #expect(Self.text(catania.centre) == "sqdtr74hyu0")
        #expect((Earth.distance(palermo.centre, catania.centre) - 166_274.1516).magnitude < 0.0001)
    }

    @Test func aPlaceDecodesWithinItsCellAndEncodesAgain() {
        let seed = testSeed()
        var random = RandomSource(seed: seed)
        for _ in 0..<20_000 {
            let place = Self.place(&random, 180, GeoPosition.maximumLatitude)
            let cell = GeohashCell(place)
            let bounds = cell.bounds
            #expect(bounds.west <= place.longitude && place.longitude <= bounds.east, "seed \(seed)")
            #expect(bounds.south <= place.latitude && place.latitude <= bounds.north, "seed \(seed)")
            #expect(GeohashCell(score: Double(cell.bits)) == cell, "seed \(seed)")
            #expect(GeohashCell(cell.centre) == cell, "seed \(seed)")
        }
    }

    @Test func anyScoreDecodesToAValidPlace() {
        let scores: [Double] = [-1, 0.5, -.infinity, .infinity, 1e300, -1e300, 9_007_199_254_740_992, 1.8e19, -0.0]
        for score in scores { #expect(GeohashCell(score: score).centre.isValid, "\(score)") }
    }

    @Test func edgesAreKeptAsTheyAre() {
        let corner = GeohashCell(GeoPosition(longitude: 180, latitude: GeoPosition.maximumLatitude))
        #expect(corner.bits == 3 << 52)
        #expect(corner.centre == GeoPosition(longitude: 180, latitude: GeoPosition.maximumLatitude))
        #expect(GeohashCell(GeoPosition(longitude: -180, latitude: -GeoPosition.maximumLatitude)).bits == 0)
    }

    @Test func cellsAreScoreRangesAndMoveRoundTheEdge() {
        let cell = GeohashCell(GeoPosition(longitude: 179, latitude: 1), steps: 4)
        let (from, below) = cell.scores
        #expect(below - from == Double(UInt64(1) << 44))
        #expect(cell.moved(east: 1, north: 0) == GeohashCell(GeoPosition(longitude: -179, latitude: 1), steps: 4))
        #expect(cell.moved(east: 1, north: -1).moved(east: -1, north: 1) == cell)
    }

    /// What is within a shape lies in exactly one of the cells that the shape visits.
    @Test func cellsOfAShapeCoverIt() {
        let seed = testSeed()
        var random = RandomSource(seed: seed)
        for _ in 0..<300 {
            let centre = Self.place(&random, 120, 60)
            let length = Double(random.next(below: 1_000_000)) + 1
            let other = Double(random.next(below: 1_000_000)) + 1
            let isBox = random.next(below: 2) == 0
            let kind = isBox ? GeoShape.Kind.box(width: length, height: other) : .circle(radius: length)
            let shape = GeoShape(centre: centre, kind: kind, unit: 1)
            var ranges: [(from: Double, below: Double)] = []
            shape.forEachCell { ranges.append($0.scores); return true }
            #expect(ranges.count <= 9)
            for _ in 0..<200 {
                let spread = length / 60_000
                let offset = Self.place(&random, spread, spread / 2)
                let place = GeoPosition(longitude: centre.longitude + offset.longitude,
                                        latitude: centre.latitude + offset.latitude)
                guard place.isValid else { continue }
                let cell = GeohashCell(place), score = Double(cell.bits)
                guard shape.distance(to: cell.centre) != nil else { continue }
                let homes = ranges.filter { score >= $0.from && score < $0.below }.count
                #expect(homes == 1, "seed \(seed): \(place) in \(homes) cells of \(shape)")
            }
        }
    }
}
