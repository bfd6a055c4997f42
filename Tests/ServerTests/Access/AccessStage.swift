import Glibc
import Testing

/// A server with a key `secret` (`s`) and a user `u` (password `p`) who may do what is not dangerous with keys and
/// channels whose names begin with `ok`.
final class AccessStage {
    let server: ServerProcess
    let admin: TestClient

    static let noKey = "-NOPERM No permissions to access a key"

    init(_ options: [String] = []) throws {
        server = try ServerProcess(options)
        admin = try server.client()
        #expect(try admin.ask("SET", "secret", "s", reply: "+OK\r\n"))
        #expect(try ask("ACL", "SETUSER", "u", "on", ">p", "~ok*", "&ok*", "+@all", "-@dangerous") == "+OK")
    }

    func user(_ name: String = "u") throws -> TestClient {
        let client = try server.client()
        #expect(try client.ask("AUTH", name, "p", reply: "+OK\r\n"))
        return client
    }

    /// Rules more for `u`.
    func change(_ rules: String...) throws {
        #expect(try answer(admin, ["ACL", "SETUSER", "u"] + rules) == "+OK")
    }

    /// The administrator's answer: its first line.
    @discardableResult
    func ask(_ words: String...) throws -> String { try answer(admin, words) }

    /// The whole answer, whose lines are joined by blanks.
    func answer(_ client: TestClient, _ words: [String]) throws -> String {
        try client.send(request(words))
        return try reply(client)
    }

    func reply(_ client: TestClient) throws -> String {
        let head = try line(client)
        switch head.first {
        case "$", "=": return head == "$-1" ? head : try line(client)
        case "*", "~", ">", "%":
            let count = (Int(head.dropFirst()) ?? 0) * (head.first == "%" ? 2 : 1)
            return try ([head] + (0..<max(count, 0)).map { _ in try reply(client) }).joined(separator: " ")
        default: return head
        }
    }

    /// Up to CR LF, which is taken off.
    func line(_ client: TestClient) throws -> String {
        var bytes: [UInt8] = []
        while true {
            let byte = try client.receive(1)
            if byte.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += byte
            if bytes.suffix(2) == [13, 10] { return String(decoding: bytes.dropLast(2), as: UTF8.self) }
        }
    }

    /// Until so many clients wait for a key; some 25 seconds at most.
    func waitForBlocked(_ count: Int = 1) throws {
        for _ in 0..<5_000 {
            try admin.send(request(["INFO", "clients"]))
            _ = try line(admin)
            var found = false
            while true {
                let text = try line(admin)
                if text == "blocked_clients:\(count)" { found = true }
                if text.hasPrefix("total_blocking_keys_on_nokey") || text.isEmpty { break }
            }
            _ = try? drain()
            if found { return }
            usleep(5_000)
        }
        Issue.record("\(count) clients should be waiting")
    }

    /// What is left of the administrator's replies.
    private func drain() throws {
        try admin.send(request(["ECHO", "drained"]))
        while try line(admin) != "drained" {}
    }
}
