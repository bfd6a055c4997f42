import Glibc
import Testing

/// SYNC for a dump and nothing after it, as `redis-cli --rdb` asks.
struct SnapshotTransferTests {
    /// The bytes that follow SYNC's header, up to the end of the connection.
    private func dump(_ client: TestClient, _ wishes: [String]) throws -> String {
        for option in [["capa", "eof"], ["rdb-only", "1"]] + (wishes.isEmpty ? [] : [wishes]) {
            try client.send(request(["REPLCONF"] + option))
            #expect(try client.text(5) == "+OK\r\n")
        }
        try client.send("SYNC\r\n")
        var header = ""
        while !header.hasSuffix("\r\n") {
            let next = try client.text(1)
            if next.isEmpty { return header }
            header += next
        }
        let size = try #require(Int(header.dropFirst().dropLast()), "\(header)")
        let bytes = try client.receive(size)
        #expect(bytes.count == size)
        #expect(try client.receive(1).isEmpty, "the connection ends behind the dump")
        return bytes.reduce(into: "") { $0.unicodeScalars.append(Unicode.Scalar($1)) }
    }

    @Test func aDumpAndNothingElseIsSent() throws {
        let server = try ServerProcess()
        let other = try server.client()
        let value = String(repeating: "0123456789abcdef", count: 20_000)
        for index in 0..<20 {
            // Not compressible into nothing: more than the socket and the output hold.
            #expect(try other.ask("SET", "key\(index)", "\(index)" + value, reply: "+OK\r\n"))
        }
        let text = try dump(try server.client(), [])
        #expect(text.hasPrefix("REDIS00"))
        for index in 0..<20 { #expect(text.contains("key\(index)")) }
        #expect(try other.ask("PING", reply: "+PONG\r\n"))
        // What was acknowledged before SYNC is in the next one, though a dump is being written at present.
        try other.send(request(["BGSAVE"]))
        #expect(try other.text(27) == "+Background saving started\r")
        #expect(try other.text(1) == "\n")
        #expect(try other.ask("SET", "late", "1", reply: "+OK\r\n"))
        #expect(try dump(try server.client(), []).contains("late"))
    }

    @Test func theLibrariesAloneAreSent() throws {
        let server = try ServerProcess()
        let other = try server.client()
        let library = "#!lua name=lib\nredis.register_function('answer', function() return 42 end)"
        #expect(try other.ask("FUNCTION", "LOAD", library, reply: "$3\r\nlib\r\n"))
        #expect(try other.ask("SET", "somekey", "1", reply: "+OK\r\n"))
        let text = try dump(try server.client(), ["rdb-filter-only", "functions"])
        #expect(text.hasPrefix("REDIS00"))
        #expect(text.contains("register_function"))
        #expect(!text.contains("somekey"))
    }

    @Test func replicationIsRefused() throws {
        let server = try ServerProcess()
        let client = try server.client()
        #expect(try client.ask("SYNC", reply: "-ERR this server does not support replication yet\r\n"))
        #expect(try client.ask("REPLCONF", "rdb-only", reply: "-ERR syntax error\r\n"))
        #expect(try client.ask("REPLCONF", "foo", "1", reply: "-ERR Unrecognized REPLCONF option: foo\r\n"))
        #expect(try client.ask("PING", reply: "+PONG\r\n"))
    }
}
