/// What this server says it is. Clients and tools go by the Redis version whose behaviour it has.
package enum ServerVersion {
    package static let redis = "7.4.1"
    /// As `--version` prints it.
    package static var line: String {
        "Redis server v=\(redis) sha=00000000:0 malloc=libc bits=\(Int.bitWidth) build=swift-redis"
    }
}
