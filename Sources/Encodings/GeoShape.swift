#if canImport(Glibc)
import Glibc
#endif
import Primitives

// Distances on earth, taken for a sphere, and the shapes that places are searched in.
//
// A search looks at the cell of its centre and the eight around it, at the finest precision at which these nine cover
// the shape; cells that lie outside the shape's bounding box are left out.

package enum Earth {
    /// Metres: the radius that geohash implementations agree on.
    static let radius = 6_372_797.560856

    @inline(__always) static func radians(_ degrees: Double) -> Double { degrees * (Double.pi / 180) }
    @inline(__always) static func degrees(_ radians: Double) -> Double { radians / (Double.pi / 180) }

    /// Metres along a great circle (haversine).
    package static func distance(_ a: GeoPosition, _ b: GeoPosition) -> Double {
        let v = sin((radians(b.longitude) - radians(a.longitude)) / 2)
        // On one meridian the expensive part is nothing.
        if v == 0 { return meridianDistance(a.latitude, b.latitude) }
        let from = radians(a.latitude), to = radians(b.latitude)
        let u = sin((to - from) / 2)
        return 2 * radius * asin((u * u + cos(from) * cos(to) * v * v).squareRoot())
    }

    /// Metres between two latitudes.
    static func meridianDistance(_ a: Double, _ b: Double) -> Double {
        radius * (radians(b) - radians(a)).magnitude
    }
}

/// A circle or a box of ground around a place.
package struct GeoShape {
    package enum Kind {
        case circle(radius: Double)
        case box(width: Double, height: Double)
        /// At least three vertices, in degrees; it must not cross the 180th meridian.
        case polygon([GeoPosition])
    }
    /// What distances are measured from.
    package var centre: GeoPosition
    /// Lengths in the unit of the request.
    package var kind: Kind
    /// Metres of one unit.
    package var unit: Double

    package init(centre: GeoPosition, kind: Kind, unit: Double) {
        self.centre = centre
        self.kind = kind
        self.unit = unit
    }

    /// Metres from the centre to a place in the shape; nil: it lies outside.
    package func distance(to place: GeoPosition) -> Double? {
        switch kind {
        case .circle(let radius):
            let distance = Earth.distance(centre, place)
            return distance > radius * unit ? nil : distance
        case .box(let width, let height):
            if Earth.meridianDistance(place.latitude, centre.latitude) > height * unit / 2 { return nil }
            let beside = GeoPosition(longitude: centre.longitude, latitude: place.latitude)
            if Earth.distance(place, beside) > width * unit / 2 { return nil }
            return Earth.distance(centre, place)
        case .polygon(let vertices):
            return Self.contains(vertices, place) ? Earth.distance(centre, place) : nil
        }
    }

    /// The middle of a polygon's vertices: the direction of the sum of their vectors.
    package static func centre(of vertices: [GeoPosition]) -> GeoPosition {
        var x = 0.0, y = 0.0, z = 0.0
        for vertex in vertices {
            let longitude = Earth.radians(vertex.longitude), latitude = Earth.radians(vertex.latitude)
            x += cos(latitude) * cos(longitude)
            y += cos(latitude) * sin(longitude)
            z += sin(latitude)
        }
        return GeoPosition(longitude: Earth.degrees(atan2(y, x)),
                           latitude: Earth.degrees(atan2(z, (x * x + y * y).squareRoot())))
    }

    /// Whether a ray from the place crosses an odd number of edges. Degrees are taken as if the map were flat.
    private static func contains(_ vertices: [GeoPosition], _ place: GeoPosition) -> Bool {
        var isInside = false
        var last = vertices[vertices.count - 1]
        for vertex in vertices {
            if (vertex.latitude > place.latitude) != (last.latitude > place.latitude) {
                let part = (place.latitude - vertex.latitude) / (last.latitude - vertex.latitude)
                if place.longitude < (last.longitude - vertex.longitude) * part + vertex.longitude { isInside.toggle() }
            }
            last = vertex
        }
        return isInside
    }

    // MARK: What must be looked at

    /// The degrees between a polygon's extreme vertices.
    private static func bounds(of vertices: [GeoPosition]) -> GeohashCell.Bounds {
        var box = GeohashCell.Bounds(west: vertices[0].longitude, east: vertices[0].longitude,
                                     south: vertices[0].latitude, north: vertices[0].latitude)
        for vertex in vertices {
            box.west = min(box.west, vertex.longitude)
            box.east = max(box.east, vertex.longitude)
            box.south = min(box.south, vertex.latitude)
            box.north = max(box.north, vertex.latitude)
        }
        return box
    }

    /// The middle of the area to look at.
    private var middle: GeoPosition {
        guard case .polygon(let vertices) = kind else { return centre }
        let box = Self.bounds(of: vertices)
        return GeoPosition(longitude: (box.west + box.east) / 2, latitude: (box.south + box.north) / 2)
    }

    /// Metres from the middle to the farthest point.
    private var reach: Double {
        switch kind {
        case .circle(let radius): radius * unit
        case .box(let width, let height):
            ((width / 2) * (width / 2) + (height / 2) * (height / 2)).squareRoot() * unit
        case .polygon(let vertices):
            Self.reach(vertices, from: middle)
        }
    }

    private static func reach(_ vertices: [GeoPosition], from middle: GeoPosition) -> Double {
        var farthest = 0.0
        for vertex in vertices { farthest = max(farthest, Earth.distance(middle, vertex)) }
        return farthest
    }

    /// A box of degrees around the shape. East and west are taken where the meridians are closest.
    private var bounds: GeohashCell.Bounds {
        let width: Double, height: Double
        switch kind {
        case .circle(let radius): (width, height) = (unit * radius, unit * radius)
        case .box(let across, let along): (width, height) = (unit * (across / 2), unit * (along / 2))
        case .polygon(let vertices): return Self.bounds(of: vertices)
        }
        let latitude = Earth.degrees(height / Earth.radius)
        let outer = centre.latitude < 0 ? centre.latitude - latitude : centre.latitude + latitude
        let longitude = Earth.degrees(width / Earth.radius / cos(Earth.radians(outer)))
        return GeohashCell.Bounds(west: centre.longitude - longitude, east: centre.longitude + longitude,
                                  south: centre.latitude - latitude, north: centre.latitude + latitude)
    }

    /// The precision at which a cell and its neighbours are likely to cover `metres` around a place.
    private static func steps(covering metres: Double, at latitude: Double) -> Int {
        if metres == 0 { return GeohashCell.fullSteps }
        let halfOfEarth = 20_037_726.37
        var range = metres, steps = -1
        while range < halfOfEarth {
            range *= 2
            steps += 1
        }
        // Cells grow narrow towards the poles.
        if latitude.magnitude > 66 { steps -= 1 }
        if latitude.magnitude > 80 { steps -= 1 }
        return min(max(steps, 1), GeohashCell.fullSteps)
    }

    /// Visits the cells that cover the shape, none twice: the centre's, north, south, east, west, north-east,
    /// north-west, south-east, south-west. `visit` answers false to stop.
    package func forEachCell(_ visit: (GeohashCell) -> Bool) {
        let box = bounds, middle = middle
        var steps = Self.steps(covering: reach, at: middle.latitude)
        var cell = GeohashCell(middle, steps: steps)
        if steps > 1 && !Self.neighboursCover(box, cell) {
            steps -= 1
            cell = GeohashCell(middle, steps: steps)
        }
        let own = cell.bounds
        let skips = steps >= 2
        let west = !(skips && own.west < box.west), east = !(skips && own.east > box.east)
        let south = !(skips && own.south < box.south), north = !(skips && own.north > box.north)
        var last: GeohashCell?
        func look(_ needed: Bool, _ x: Int, _ y: Int) -> Bool {
            guard needed else { return true }
            let next = cell.moved(east: x, north: y)
            // In a grid of two by two, neighbours fall together.
            if next == last { return true }
            if x != 0 || y != 0 { last = next }
            return visit(next)
        }
        _ = look(true, 0, 0) && look(north, 0, 1) && look(south, 0, -1) && look(east, 1, 0) && look(west, -1, 0)
            && look(north && east, 1, 1) && look(north && west, -1, 1)
            && look(south && east, 1, -1) && look(south && west, -1, -1)
    }

    private static func neighboursCover(_ box: GeohashCell.Bounds, _ cell: GeohashCell) -> Bool {
        let north = cell.moved(east: 0, north: 1).bounds, south = cell.moved(east: 0, north: -1).bounds
        let east = cell.moved(east: 1, north: 0).bounds, west = cell.moved(east: -1, north: 0).bounds
        return !(north.north < box.north || south.south > box.south || east.east < box.east || west.west > box.west)
    }
}
