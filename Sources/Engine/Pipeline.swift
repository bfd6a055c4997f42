import Commands
import Keyspace
import Primitives
import RESP

// A pipeline's memory, asked for ahead.
//
// A key that was not used for a while costs two or three cache misses, each as long as all the rest of a GET. The
// requests of a batch are known before the first is executed: so their buckets are asked for first, then the entries
// that the buckets name, then the values that the entries point at. Each pass finds what the one before it asked for,
// and all the misses of a pass are under way at once. Nothing depends on it: a key that moved meanwhile is looked up as
// ever, only its hash is kept (`Keyspace.knownHash`).

/// For each command its first key's place among the arguments, 0: none, or not always the same.
struct FirstKeys: ~Copyable {
    private let places: UnsafeMutablePointer<UInt8>

    init(_ table: CommandTable) {
        places = .allocate(capacity: table.count)
        for id in 0..<table.count {
            var place: UInt8 = 0
            if case .index(let index)? = KeySpec.parse(table.commands[id].keys).first?.begin {
                place = UInt8(clamping: index)
            }
            (places + id).initialize(to: place)
        }
    }

    deinit { places.deallocate() }

    @inline(__always)
    subscript(id: Int) -> Int { Int(places[id]) }

    /// By command id; as long as this lives.
    var all: UnsafePointer<UInt8> { UnsafePointer(places) }
}

extension Engine {
    /// Finds out what the requests of a batch of `session` will look at, and asks for it.
    package func prepare(_ batch: RequestBatch, _ session: Session) {
        let requests = batch.requests, count = batch.count, database = session.database
        for index in 0..<count {
            let request = requests + index
            let arguments = request.pointee.arguments
            guard let id = table.find(arguments[0]) else { continue }
            request.pointee.commandID = id
            let place = firstKeys[id]
            guard place > 0, place < arguments.count else { continue }
            let hash = keyspace.hash(arguments[place])
            request.pointee.keyHash = hash
            request.pointee.hasHash = true
            keyspace.prefetchBucket(hash, in: database)
        }
        for index in 0..<count where requests[index].hasHash {
            keyspace.prefetchEntry(requests[index].keyHash, in: database)
        }
        for index in 0..<count where requests[index].hasHash {
            keyspace.prefetchValue(requests[index].keyHash, in: database)
        }
    }

    /// As `execute`, for a request that `prepare` has seen.
    @inline(__always)
    package func execute(_ session: Session, prepared request: BatchedRequest, raw: Bytes) {
        if request.hasHash {
            keyspace.knownHash.set(request.arguments[firstKeys[request.commandID]], request.keyHash)
            execute(session, request.arguments, raw: raw, commandID: request.commandID)
            keyspace.knownHash.forget()
        } else {
            execute(session, request.arguments, raw: raw, commandID: request.commandID)
        }
    }
}
