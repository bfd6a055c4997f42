import Encodings
import Primitives

extension HashValue {
    /// Adds a field to a hash in table form; false if it has one of that name.
    /// - Parameter expire: Unix ms; nil: none.
    package func addToTable(_ field: Bytes, _ value: Bytes, expire: Int64?) -> Bool {
        fields.set(field, value, expire: expire)
    }

    package static func createListpackex() -> HashValue { HashValue(.listpackex, Listpack.create().pointer) }

    /// Adds a field that is not there to a hash in listpack form with expires; 0: none.
    package mutating func addToListpackex(_ field: Bytes, _ value: Bytes, expire: Int64) {
        var pack = listpack
        var target = pack.byteCount - 1
        if expire != 0 {
            var current = pack.first
            while let at = current, let second = pack.next(at), let third = pack.next(second) {
                let time = pack.get(third).integer ?? 0
                if time == 0 || time > expire { target = at; break }
                current = pack.next(third)
            }
        }
        pack.insert(expire, before: target)
        pack.insert(value, before: target)
        pack.insert(field, before: target)
        self = HashValue(.listpackex, pack.pointer)
    }
}
