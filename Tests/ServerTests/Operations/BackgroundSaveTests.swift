import Testing

/// BGSAVE CANCEL.
struct BackgroundSaveTests {
    @Test func aSaveIsCancelled() throws {
        let run = try ServerRun("--save", "", "--rdb-key-save-delay", "100000000")
        #expect(run.becomesReady())
        #expect(run.answer("SET a 1\r\nBGSAVE CANCEL\r\n")
            == "+OK\r\n-ERR Background saving is currently not in progress or scheduled\r\n")
        #expect(run.answer("BGSAVE\r\nBGSAVE CANCEL\r\n")
            == "+Background saving started\r\n+Background saving cancelled\r\n")
        #expect(ServerRun.waits { run.answer("INFO persistence\r\n")?.contains("rdb_bgsave_in_progress:0") == true })
    }
}
