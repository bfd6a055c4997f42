import Commands
import Engine
import Keyspace
import Primitives
@testable import Server
import Storage
import Testing
import TestSupport

/// A start on a log that lies on a memory disk.
private struct Start {
    let disk = MemoryFileSystem(directories: ["data", "data/log"])
    let core: ServerCore
    var manifest = AOFManifest(filename: "a")
    let directory: AOFDirectory

    init(_ files: [String], loadsTruncated: Bool = true) throws {
        let keyspace = Keyspace(databaseCount: 16, seed: HashSeed.random(), random: RandomSource(seed: 1))
        let engine = Engine(keyspace: keyspace, table: CommandTable(AllCommands.families))
        let log = ServerLog()
        log.path = "/dev/null"
        core = ServerCore(engine: engine, loop: try EngineLoop(), configuration: Configuration(), log: log)
        core.configuration.aofLoadTruncated = loadsTruncated
        directory = AOFDirectory(disk, serverDirectory: "data", name: "log", filename: "a")
        for text in files { disk.put(directory.path(manifest.addIncrement()), Array(text.utf8)) }
    }

    func load() throws -> LogReplayResult {
        try LogReplay.load(directory: directory, manifest: manifest, core)
    }

    func bytes(_ number: Int) -> [UInt8]? { disk.bytes(directory.path(manifest.increments[number - 1])) }

    /// The names of the files that keep what was cut off.
    var kept: [String] { ((try? disk.list("data/log")) ?? []).filter { $0.contains(".torn-") } }

    func string(_ key: String) -> String? {
        var key = key
        return key.withUTF8 { bytes in
            core.engine.keyspace.find(Bytes(bytes), in: 0, .peek).map { entry in
                withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
                    String(decoding: entry.string(scratch.baseAddress.unsafelyUnwrapped), as: UTF8.self)
                }
            }
        }
    }
}

private func record(_ words: String...) -> String {
    words.reduce("*\(words.count)\r\n") { $0 + "$\($1.utf8.count)\r\n\($1)\r\n" }
}

@Suite struct LogReplayTests {
    private let whole = record("SELECT", "0") + record("SET", "a", "1") + "#TS:1700000000\r\n"
    private let unit = record("MULTI") + record("INCR", "a") + record("SET", "b", "2") + record("EXEC")

    @Test func loadsAllFilesInOrder() throws {
        let start = try Start([whole, unit, record("SELECT", "3") + record("SET", "a", "x"), record("INCR", "a")])
        #expect(try start.load().failures == 0)
        #expect(start.string("a") == "3" && start.string("b") == "2")
    }

    @Test func everyTruncationLoadsTheWholeUnitsAndKeepsTheRest() throws {
        let text = Array((whole + unit).utf8)
        let edges = [0, record("SELECT", "0").utf8.count, (record("SELECT", "0") + record("SET", "a", "1")).utf8.count,
                     whole.utf8.count, text.count]
        for count in 0...text.count {
            let start = try Start([String(decoding: text[..<count], as: UTF8.self)])
            _ = try start.load()
            let edge = edges.last { $0 <= count } ?? 0
            #expect(start.bytes(1)?.count == edge, "cut at \(count)")
            #expect(start.string("a") == (edge < edges[2] ? nil : edge < text.count ? "1" : "2"), "cut at \(count)")
            #expect(start.string("b") == (edge < text.count ? nil : "2"), "cut at \(count)")
            if edge == count {
                #expect(start.kept.isEmpty && start.disk.events.isEmpty, "cut at \(count)")
            } else {
                let kept = try #require(start.kept.first)
                #expect(start.disk.bytes("data/log/" + kept) == Array(text[edge..<count]), "cut at \(count)")
            }
        }
    }

    @Test func aTornFileBeforeAnEmptyOneIsTheLast() throws {
        let start = try Start([whole + unit.dropLast(5), ""])
        _ = try start.load()
        #expect(start.bytes(1) == Array(whole.utf8) && start.kept.count == 1 && start.string("b") == nil)
    }

    @Test func whatIsNotATornEndStopsTheStartAndStaysAsItIs() throws {
        let torn = whole + unit.dropLast(5)
        for (files, loadsTruncated, offset) in [
            ([torn, whole], true, whole.utf8.count), ([torn], false, whole.utf8.count),
            ([whole + "garbage" + unit], true, whole.utf8.count),
            ([whole + record("NOSUCH", "x")], true, whole.utf8.count),
            ([whole + record("SET", "x")], true, whole.utf8.count),
            ([whole + record("MULTI") + record("NOSUCH") + record("EXEC")], true,
             (whole + record("MULTI")).utf8.count),
            ([whole + record("EXEC")], true, whole.utf8.count),
        ] {
            let start = try Start(files, loadsTruncated: loadsTruncated)
            do {
                _ = try start.load()
                Issue.record("loaded: \(files)")
            } catch let error as StorageError {
                #expect(error.path == "data/log/a.1.incr.aof" && error.offset == offset, "\(error)")
            }
            #expect(start.disk.events.isEmpty && start.bytes(1) == Array(files[0].utf8))
        }
    }

    @Test func aMissingFileStopsTheStart() throws {
        let start = try Start([whole, unit])
        try start.disk.unlink(start.directory.path(start.manifest.increments[1]))
        #expect(throws: StorageError.self) { try start.load() }
    }

    @Test func keysWhoseTimeHasComeAreReplayedAsTheyWere() throws {
        let start = try Start([whole + record("SET", "old", "1", "PXAT", "1000") + record("APPEND", "old", "2")])
        #expect(try start.load().failures == 0)
        #expect(start.string("old") == "12")
    }

    @Test func aCommandThatAnswersAnErrorIsCounted() throws {
        let start = try Start([whole + record("LPUSH", "a", "x") + record("SET", "b", "1")])
        #expect(try start.load().failures == 1 && start.string("b") == "1")
    }
}
