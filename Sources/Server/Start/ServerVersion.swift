/// What this server says it is. Clients and tools go by the Redis version whose behaviour it has.
package enum ServerVersion {
    package static let redis = "7.4.1"
    /// As `--version` prints it.
    package static var line: String {
        "Redis server v=\(redis) sha=00000000:0 malloc=libc bits=\(Int.bitWidth) build=swift-redis"
    }
}

extension ServerVersion {
    static let usage = """
        Usage: swift-redis-server [/path/to/redis.conf] [options] [-]
               swift-redis-server - (read the configuration from standard input)
               swift-redis-server -v or --version
               swift-redis-server -h or --help
               swift-redis-server --check-system

        Options are directives of the configuration file with two dashes before their names.

        Examples:
               swift-redis-server (with default settings)
               echo 'maxmemory 128mb' | swift-redis-server -
               swift-redis-server /etc/redis/6379.conf
               swift-redis-server --port 7777
               swift-redis-server --port 7777 --appendonly yes --appendfsync always
               swift-redis-server /etc/myredis.conf --loglevel verbose -

        """
}
