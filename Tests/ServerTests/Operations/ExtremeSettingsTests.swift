import Testing

/// The largest and smallest values that CONFIG SET takes.
@Suite(.serialized) struct ExtremeSettingsTests {
    private static let values = ["\(Int64.max)", "\(Int64.min)", "\(Int64.max - 1)", "\(UInt32.max)", "\(Int32.max)",
                                 "\(UInt64.max)", "-1", "0"]

    /// Milliseconds were multiplied to nanoseconds without looking.
    @Test func aLatencyThresholdOfCenturiesTrapped() throws {
        let server = try ServerProcess()
        let client = try server.client()
        #expect(try client.ask("CONFIG", "SET", "latency-monitor-threshold", "\(Int64.max)", reply: "+OK\r\n"))
        #expect(try client.ask("PING", reply: "+PONG\r\n"))
    }

    @Test func noNumberThatASettingTakesEndsTheServer() throws {
        let stage = try AccessStage(["--appendonly", "yes"])
        let listed = try stage.ask("CONFIG", "GET", "*").split(separator: " ", omittingEmptySubsequences: false)
        #expect(listed.count > 300)
        // What would take the server or the connection away from the test. Values that hold blanks can't be told apart
        // in what was listed; names can.
        let names = Set(listed.filter { $0.contains("-") || $0 == "hz" || $0 == "maxmemory" }.map(String.init))
            .filter { $0.wholeMatch(of: /[a-z][a-z0-9-]+/) != nil }
            .subtracting(["tls-port", "metrics-port", "key-load-delay", "maxmemory-clients", "protected-mode"])
        var taken = 0
        for name in names.sorted() {
            let before = try stage.ask("CONFIG", "GET", name)
            guard before.hasPrefix("*2 \(name) ") else { continue }
            for value in Self.values where try stage.ask("CONFIG", "SET", name, value) == "+OK" {
                taken += 1
                for words in [["SET", "k", "v"], ["LPUSH", "l", "v"], ["EVAL", "return 1", "0"], ["DEL", "l"]] {
                    let answer = try stage.answer(stage.admin, words)
                    #expect(!answer.isEmpty, "\(name) \(value): the connection ended")
                }
            }
            _ = try stage.ask("CONFIG", "SET", name, String(before.dropFirst(name.utf8.count + 4)))
        }
        #expect(taken > 200, "\(taken)")
        #expect(try stage.ask("PING") == "+PONG")
    }
}
