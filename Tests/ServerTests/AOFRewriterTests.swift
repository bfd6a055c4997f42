import Commands
import Engine
import Keyspace
import Primitives
import RESP
@testable import Server
import Storage
import Testing
import TestSupport
#if canImport(Glibc)
import Glibc
#endif

/// An engine without a server, spoken to in inline commands.
struct LoneEngine {
    let engine: Engine
    private let session = Session(id: 1)

    init() {
        let keyspace = Keyspace(databaseCount: 16, seed: HashSeed.random(), random: RandomSource(seed: 1))
        engine = Engine(keyspace: keyspace, table: CommandTable(AllCommands.families))
        engine.keyspace.now = UnixMilliseconds(1_800_000_000_000)
    }

    /// The reply, as it goes out.
    @discardableResult
    func run(_ line: String) -> String {
        run(line, as: session)
        return output
    }

    /// Runs a command of another client.
    func run(_ line: String, as session: Session) {
        var text = line + "\r\n"
        text.withUTF8 { bytes in
            var parser = RequestParser(limits: RequestLimits())
            guard case .complete = parser.parse(Bytes(bytes)) else { Issue.record("no command"); return }
            session.output.pointee.truncate(to: 0)
            engine.execute(session, parser.arguments, raw: nil)
        }
    }

    /// What the client was last told.
    var output: String { String(decoding: session.output.pointee.bytes, as: UTF8.self) }

    var digest: SHA1.Digest { KeyspaceDigest.whole(engine.keyspace) }

    /// All keys with their encodings' contents as commands, in a file.
    func rewrite(to path: String, _ options: RDBSnapshotOptions = RDBSnapshotOptions()) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        defer { _ = close(descriptor) }
        return AOFRewriter.write(databases: engine.keyspace.databases, count: engine.keyspace.databaseCount,
                                 to: descriptor, options: options, progress: { _ in })
    }

    /// Runs the records of a file; answers how many there were.
    func replay(_ path: String) throws -> Int {
        let disk = PosixFileSystem(), file = try disk.open(path, .read)
        defer { disk.close(file) }
        engine.keyspace.expiryPolicy = .ignore
        var reader = AOFReader(try AOFSource(file, in: disk))
        while true {
            let item = try reader.next()
            if item == .annotation { continue }
            guard item == .record else { break }
            let id = try #require(engine.lookUp(reader.arguments))
            engine.current = engine.ownSession
            engine.ownSession.output.pointee.truncate(to: 0)
            engine.run(engine.ownSession, id, reader.arguments, raw: nil, isRetry: false, mayBlock: false)
            let reply = String(decoding: engine.ownSession.output.pointee.bytes, as: UTF8.self)
            #expect(!reply.hasPrefix("-"), "\(engine.table.rows[id].fullName): \(reply)")
        }
        #expect(reader.end?.kind == .whole)
        return reader.recordCount
    }
}

@Suite struct AOFRewriterTests {
    private func fill(_ bench: LoneEngine) {
        bench.run("SET text hello")
        bench.run("SET number 12345")
        bench.run("SET empty ''")
        bench.run("SET gone soon PXAT 1900000000000")
        bench.run("SET \"odd\\r\\n\\x00key\" \"\\xff\\r\\n$3\"")
        bench.run("SELECT 5")
        for count in [1, 64, 65, 300] {
            for index in 0..<count {
                bench.run("RPUSH list\(count) element\(index)")
                bench.run("RPUSH numbers\(count) \(index)")
                bench.run("SADD set\(count) \(index * 7)")
                bench.run("SADD words\(count) w\(index)")
                bench.run("ZADD sorted\(count) \(Double(index) / 3) m\(index)")
                bench.run("HSET hash\(count) f\(index) \(index)")
            }
            bench.run("HPEXPIREAT hash\(count) 1900000000000 FIELDS 1 f0")
            bench.run("PEXPIREAT set\(count) \(1_900_000_000_000 + count)")
        }
        bench.run("ZADD ends inf a -inf b 1e300 c -0 d 3 e")
        for index in 1...200 { bench.run("XADD stream \(index)-1 field \(index) other text") }
        bench.run("XGROUP CREATE stream group 50-1")
        bench.run("XREADGROUP GROUP group reader COUNT 10 STREAMS stream >")
        bench.run("XDEL stream 7-1 200-1")
        bench.run("XGROUP CREATE nothing group $ MKSTREAM")
        bench.run("SELECT 15")
        bench.run("SETRANGE long 3000000 x")
    }

    @Test func replayingARewriteGivesTheSameData() throws {
        let place = try TemporaryDirectory(), path = place.path("base.aof")
        let first = LoneEngine(), second = LoneEngine()
        fill(first)
        let streams = ["XINFO STREAM stream FULL", "XINFO STREAM nothing FULL", "XPENDING stream group"]
        #expect(first.rewrite(to: path) == 0)
        #expect(try second.replay(path) > 100)
        #expect(first.digest == second.digest)
        second.run("SELECT 5")
        first.run("SELECT 5")
        for line in streams {
            let reply = first.run(line)
            #expect(!reply.hasPrefix("-") && second.run(line) == reply, "\(line): \(reply)")
        }
        for database in 0..<16 {
            #expect(first.engine.keyspace.databases[database].keys.count
                == second.engine.keyspace.databases[database].keys.count)
        }
    }

    @Test func groupsHoldAtMost64Elements() throws {
        let place = try TemporaryDirectory(), path = place.path("base.aof")
        let bench = LoneEngine()
        fill(bench)
        #expect(bench.rewrite(to: path) == 0)
        let disk = PosixFileSystem(), file = try disk.open(path, .read)
        defer { disk.close(file) }
        var reader = AOFReader(try AOFSource(file, in: disk))
        while true {
            let item = try reader.next()
            if item == .annotation { continue }
            guard item == .record else { break }
            let name = reader.arguments[0]
            let isPair = name.equalsIgnoringCase("ZADD") || name.equalsIgnoringCase("HMSET")
            #expect(reader.arguments.count <= 2 + 64 * (isPair ? 2 : 1))
        }
    }

    @Test func functionsComeFirst() throws {
        let place = try TemporaryDirectory(), path = place.path("base.aof")
        var functions = RDBFunctions()
        let code = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
        var source = code
        source.withUTF8 { functions.append(Bytes($0)) }
        var options = RDBSnapshotOptions()
        options.functions = functions.bytes
        let bench = LoneEngine()
        bench.run("SET a b")
        #expect(bench.rewrite(to: path, options) == 0)
        let disk = PosixFileSystem(), bytes = try disk.contents(path, limit: 1 << 20)
        let text = String(decoding: bytes.bytes, as: UTF8.self)
        let load = "*3\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$\(code.utf8.count)\r\n\(code)\r\n"
        #expect(text.hasPrefix(load + "*2\r\n$6\r\nSELECT"))
        withExtendedLifetime(functions.count) {}
    }

    /// A base as commands is sealed in blocks: each flipped bit is found, and told by the block that it is in.
    @Test func aFlippedBitOfABaseIsToldByItsBlock() throws {
        let bench = LoneEngine()
        for index in 0..<9000 { bench.run("SET key:\(index) \(String(repeating: "v", count: 100))") }
        bench.run("SETRANGE long 300000 x")
        let directory = try TemporaryDirectory()
        let path = directory.path("a.base.aof")
        var options = RDBSnapshotOptions()
        options.sealsBlocks = true
        #expect(bench.rewrite(to: path, options) == 0)
        let other = LoneEngine()
        #expect(try other.replay(path) > 9000 && other.digest == bench.digest)
        let text = try PosixFileSystem().contents(path, limit: 1 << 24)
        let bytes = withExtendedLifetime(text.count) { text.bytes.map { $0 } }
        var edges: [Int] = []
        for index in bytes.indices where bytes[index] == UInt8(ascii: "#") && bytes[index + 2] == UInt8(ascii: ":") {
            edges.append(index)
        }
        #expect(edges.count >= 5 && edges[0] == 0)
        var random = RandomSource(seed: 7)
        for _ in 0..<100 {
            // The first line is told without a block.
            let place = 16 + Int(random.next() % UInt64(bytes.count - 16)), bit = UInt8(random.next() % 8)
            var damaged = bytes
            damaged[place] ^= 1 << bit
            let disk = OneFile(damaged)
            var reader = AOFReader(try AOFSource(File(descriptor: 0, path: "a.aof"), in: disk))
            var item = AOFItem.annotation
            while item != .end && item != .preamble { item = try reader.next() }
            let found = reader.end
            let end = try #require(found), block = try #require(end.block, "bit \(bit) of byte \(place): \(end)")
            #expect(end.kind == .corrupt && block.start <= place, "bit \(bit) of byte \(place): \(end)")
            // At the latest at the end of the next block, when the line itself is damaged.
            let last = edges.firstIndex { $0 > place }.map { min($0 + 1, edges.count - 1) } ?? edges.count - 1
            #expect(block.end <= edges[last] + 60, "bit \(bit) of byte \(place): \(end)")
        }
    }

    @Test func aFullDiskIsToldByItsErrno() throws {
        let bench = LoneEngine()
        fill(bench)
        let descriptor = open("/dev/full", O_WRONLY)
        defer { _ = close(descriptor) }
        #expect(AOFRewriter.write(databases: bench.engine.keyspace.databases, count: 16, to: descriptor,
                                  options: RDBSnapshotOptions(), progress: { _ in }) == ENOSPC)
    }
}
