import Foundation
import Glibc
import Testing
import TestSupport

/// MIGRATE between two servers of ours, and to a redis-server if one is installed.
struct MigrateTests {
    private static let redis = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    private func pair(_ arguments: String...) throws -> (ServerRun, ServerRun) {
        let source = try ServerRun("--appendonly", "yes")
        let target = arguments.isEmpty ? try ServerRun("--save", "")
            : try ServerRun("--save", "", arguments[0], arguments[1])
        #expect(source.becomesReady() && target.becomesReady())
        return (source, target)
    }

    @Test func keysMoveWithValueAndExpire() throws {
        let (source, target) = try pair()
        let port = target.port
        #expect(source.answer("SET k v PX 500000\r\n") == "+OK\r\n")
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) none 0 30000\r\n") == "+NOKEY\r\n")
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) k 0 30000\r\n") == "+OK\r\n")
        #expect(source.answer("EXISTS k\r\n") == ":0\r\n")
        #expect(target.answer("GET k\r\n") == "$1\r\nv\r\n")
        let left = target.answer("PTTL k\r\n").flatMap { Int($0.dropFirst().dropLast()) } ?? 0
        #expect(left > 400_000 && left <= 500_000)
        // Several keys, another database, copies and replacements.
        #expect(source.answer("RPUSH l a b c\r\nHSET h f 1\r\nHPEXPIRE h 500000 FIELDS 1 f\r\nSET k w\r\n") != nil)
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) \"\" 3 30000 COPY KEYS l h none\r\n") == "+OK\r\n")
        #expect(source.answer("EXISTS l h\r\n") == ":2\r\n")
        #expect(target.answer("SELECT 3\r\nLRANGE l 0 -1\r\nHGET h f\r\n")
            == "+OK\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\n1\r\n")
        let told = target.answer("SELECT 3\r\nHTTL h FIELDS 1 f\r\n")
        let seconds = told.flatMap { Int($0.dropFirst(8).dropLast()) } ?? 0
        #expect(seconds > 400 && seconds <= 500)
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) \"\" 0 30000 KEYS k l\r\n")
            == "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n")
        #expect(source.answer("EXISTS k\r\n") == ":1\r\n", "refused keys stay")
        #expect(source.answer("EXISTS l\r\n") == ":0\r\n", "the others have moved")
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) k 0 30000 REPLACE\r\n") == "+OK\r\n")
        #expect(target.answer("GET k\r\nLLEN l\r\n") == "$1\r\nw\r\n:3\r\n")
        // What moved does not come back with the log.
        #expect(source.answer("DEBUG LOADAOF\r\n") != nil)
        #expect(source.answer("EXISTS k l h\r\n") == ":1\r\n")
    }

    @Test func errorsLeaveTheKeyWhereItIs() throws {
        let (source, target) = try pair("--requirepass", "secret")
        let port = target.port
        #expect(source.answer("SET k v\r\n") == "+OK\r\n")
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) k 0 30000\r\n")?
            .hasPrefix("-ERR Target instance replied with error: NOAUTH") == true)
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) k 0 30000 AUTH wrong\r\n")?
            .hasPrefix("-ERR Target instance replied with error: WRONGPASS") == true)
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) k 99 30000 AUTH secret\r\n")
            == "-ERR Target instance replied with error: ERR DB index is out of range\r\n")
        #expect(target.answer("AUTH secret\r\nDBSIZE\r\n") == "+OK\r\n:0\r\n")
        let closed = try ServerProcess.freePort()
        #expect(source.answer("MIGRATE 127.0.0.1 \(closed) k 0 30000\r\n")
            == "-IOERR error or timeout connecting to the client\r\n")
        for (words, error) in [
            ("k 0 1000 KEYS k", "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"),
            ("k 0 30000 NOW", "ERR syntax error"), ("k 0 30000 AUTH", "ERR syntax error"),
            ("k x 30000", "ERR value is not an integer or out of range"),
            ("k 0 x", "ERR value is not an integer or out of range"),
        ] {
            #expect(source.answer("MIGRATE 127.0.0.1 \(port) \(words)\r\n") == "-\(error)\r\n", "\(words)")
        }
        #expect(source.answer("GET k\r\n") == "$1\r\nv\r\n")
        #expect(source.answer("CONFIG SET slowlog-log-slower-than 0\r\n") == "+OK\r\n")
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) k 0 30000 AUTH2 default secret\r\n") == "+OK\r\n")
        let log = source.answer("SLOWLOG GET 5\r\n") ?? ""
        #expect(log.contains("MIGRATE") && log.contains("(redacted)") && !log.contains("secret"))
        #expect(target.answer("AUTH secret\r\nGET k\r\n") == "+OK\r\n$1\r\nv\r\n")
    }

    /// Nobody answers: the key stays, and the server goes on after the timeout.
    @Test func aSilentTargetTimesOut() throws {
        let source = try ServerRun("--save", "")
        #expect(source.becomesReady())
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(listener) }
        let port = Int(try ServerProcess.freePort())
        #expect(ServerRun.withAddress(port) { bind(listener, $0, $1) } == 0)
        #expect(listen(listener, 5) == 0)
        #expect(source.answer("SET k v\r\n") == "+OK\r\n")
        let start = Date()
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) k 0 100\r\n")
            == "-IOERR error or timeout reading from target instance\r\n")
        #expect(Date().timeIntervalSince(start) < 30)
        #expect(source.answer("GET k\r\n") == "$1\r\nv\r\n")
    }

    /// A payload of our version is refused there and sent again in an older form.
    @Test(.enabled(if: MigrateTests.redis != nil)) func aRedisServerTakesOurKeys() throws {
        let source = try ServerRun("--save", "")
        #expect(source.becomesReady())
        let directory = try TemporaryDirectory()
        let port = Int(try ServerProcess.freePort())
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(MigrateTests.redis))
        process.arguments = ["--port", "\(port)", "--save", "", "--dir", directory.path]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        defer {
            kill(process.processIdentifier, SIGKILL)
            _ = ServerRun.waits { !process.isRunning }
        }
        #expect(ServerRun.waits { source.answer("PING\r\n", port: port) == "+PONG\r\n" })
        let fill = "SET s v\r\nRPUSH l a b\r\nSADD i 1 2 3\r\nSADD m x y\r\nZADD z 1 a 2 b\r\nHSET h f v\r\n"
            + "XADD x 1-1 f v\r\nXGROUP CREATE x g 0\r\nXREADGROUP GROUP g c STREAMS x >\r\nPFADD p a b c\r\n"
        #expect(source.answer(fill) != nil)
        let keys = "s l i m z h x p"
        var digests: [String] = []
        for key in keys.split(separator: " ") { digests.append(source.answer("DEBUG DIGEST-VALUE \(key)\r\n") ?? "") }
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) \"\" 0 30000 KEYS \(keys)\r\n") == "+OK\r\n")
        #expect(source.answer("DBSIZE\r\n") == ":0\r\n")
        #expect(source.answer("DBSIZE\r\n", port: port) == ":8\r\n")
        #expect(source.answer("XPENDING x g\r\n", port: port)?.hasPrefix("*4\r\n:1\r\n") == true)
        // And back.
        let back = "MIGRATE 127.0.0.1 \(source.port) \"\" 0 30000 KEYS \(keys)\r\n"
        #expect(source.answer(back, port: port) == "+OK\r\n")
        for (key, digest) in zip(keys.split(separator: " "), digests) {
            #expect(source.answer("DEBUG DIGEST-VALUE \(key)\r\n") == digest, "\(key)")
        }
        #expect(source.answer("HSET h e 1\r\nHPEXPIRE h 500000 FIELDS 1 e\r\n") != nil)
        #expect(source.answer("MIGRATE 127.0.0.1 \(port) h 0 30000\r\n")?.contains("DUMP payload version") == true)
        #expect(source.answer("HLEN h\r\n") == ":2\r\n", "an expire is not lost on the way")
    }
}
