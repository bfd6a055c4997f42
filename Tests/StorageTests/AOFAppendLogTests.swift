import Primitives
import Storage
import Synchronization
import Testing
import TestSupport
#if canImport(Glibc)
import Glibc
#endif

@Suite struct AOFAppendLogTests {
    /// An engine that only appends lines, over a memory disk.
    final class Engine {
        let disk: MemoryFileSystem
        let log: AppendLog
        var pending = OwnedBytes(capacity: 64)
        let wakes: Counter

        final class Counter: Sendable {
            let value = Atomic<Int>(0)
        }

        init(_ policy: FsyncPolicy, _ disk: MemoryFileSystem = MemoryFileSystem(), timestamps: Bool = false,
             now: @escaping @Sendable () -> UnixMicroseconds = UnixMicroseconds.now) throws {
            self.disk = disk
            let file = try disk.open("data/log", .appendOrCreate)
            try disk.syncDirectory("data")
            let wakes = Counter()
            self.wakes = wakes
            log = try AppendLog(disk, file, startingAt: LogOffset(0), policy: policy,
                                framing: TimestampFraming(enabled: timestamps), now: now) {
                wakes.value.wrappingAdd(1, ordering: .relaxed)
            }
        }

        deinit { log.close() }

        var end: LogOffset { log.takenOffset.advanced(by: pending.count) }
        func write(_ text: String) { pending.append(text) }
        func flush() { _ = log.flush(&pending) }

        /// Runs ticks until the condition holds; false after 40 seconds and more.
        func settle(_ condition: () -> Bool) -> Bool {
            for _ in 0..<40_000 {
                flush()
                if condition() { return true }
                usleep(1000)
            }
            return false
        }

        func text(_ name: String = "log", _ disk: MemoryFileSystem? = nil) -> String {
            String(decoding: (disk ?? self.disk).bytes("data/" + name) ?? [], as: UTF8.self)
        }

        func newFile(_ name: String) throws -> File {
            let file = try disk.open("data/" + name, .createNew)
            try disk.syncDirectory("data")
            return file
        }
    }

    @Test func alwaysAcknowledgesOnlyWhatSurvivesACrash() throws {
        let seed = testSeed()
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        let engine = try Engine(.always)
        var written = ""
        for round in 0..<400 {
            let line = "line \(round)\n"
            written += line
            engine.write(line)
            engine.flush()
            let acknowledged = Int(engine.log.acknowledgedOffset.rawValue)
            let after = engine.text("log", engine.disk.crashed(.random(random.next())))
            let whole = after.utf8.prefix(acknowledged)
            #expect(whole.elementsEqual(written.utf8.prefix(acknowledged)))
        }
        try engine.log.drain(&engine.pending, sync: true)
        #expect(engine.log.durableOffset == engine.end && engine.text("log", engine.disk.crashed(.nothing)) == written)
    }

    @Test func alwaysGathersWhileASyncIsUnderWay() throws {
        let engine = try Engine(.always)
        engine.disk.faults.holdsSyncs = true
        engine.write("first\n")
        #expect(engine.settle { engine.disk.syncsUnderWay == 1 })
        for index in 0..<1000 {
            engine.write("x\(index)\n")
            engine.flush()
        }
        // It goes on: nobody waited for it.
        #expect(engine.disk.syncsUnderWay == 1 && engine.log.acknowledgedOffset == LogOffset(0))
        engine.disk.faults.holdsSyncs = false
        let end = engine.end
        #expect(engine.settle { engine.log.acknowledgedOffset == end })
        #expect(engine.log.currentCounters.batches < 20)
        #expect(engine.settle { engine.wakes.value.load(ordering: .relaxed) >= engine.log.currentCounters.batches })
    }

    @Test(arguments: [FsyncPolicy.everysec, .no])
    func writtenAtFlushIsAcknowledgedAtOnce(_ policy: FsyncPolicy) throws {
        let engine = try Engine(policy)
        // The first write after a pause may find the once-a-second fsync at work; the second here does.
        engine.write("a\n")
        engine.flush()
        #expect(engine.log.acknowledgedOffset == engine.end && engine.text() == "a\n")
        #expect(engine.log.currentCounters.bytes == 2)
    }

    @Test func everysecSyncsByItself() throws {
        let engine = try Engine(.everysec)
        engine.write("a\n")
        engine.flush()
        for _ in 0..<40_000 where engine.log.durableOffset != engine.end { usleep(1000) }
        #expect(engine.log.durableOffset == engine.end)
        engine.write("b\n")
        #expect(engine.settle { engine.log.durableOffset == engine.end })
        #expect(engine.log.currentCounters.syncs == 2)
        #expect(engine.text("log", engine.disk.crashed(.nothing)) == "a\nb\n")
    }

    @Test func everysecNeverBlocksTheEngineDuringASync() throws {
        let engine = try Engine(.everysec)
        engine.disk.faults.holdsSyncs = true
        engine.write("a\n")
        engine.flush()
        #expect(engine.settle { engine.disk.syncsUnderWay == 1 })
        engine.write("b\n")
        engine.flush()
        engine.write("c\n")
        engine.flush()
        #expect(engine.disk.syncsUnderWay == 1, "the engine waited for its end")
        engine.disk.faults.holdsSyncs = false
        #expect(engine.settle { engine.log.acknowledgedOffset == engine.end && engine.pending.isEmpty })
        #expect(engine.text() == "a\nb\nc\n")
    }

    @Test func noNeverSyncsUntilAsked() throws {
        let engine = try Engine(.no)
        engine.write("a\n")
        engine.flush()
        usleep(1_200_000)
        #expect(engine.log.durableOffset == LogOffset(0))
        engine.log.requestSync()
        #expect(engine.settle { engine.log.durableOffset == engine.end })
    }

    @Test func changingThePolicyToAlwaysMakesWhatIsWrittenDurable() throws {
        let engine = try Engine(.no)
        engine.write("a\n")
        engine.flush()
        engine.log.policy = .always
        #expect(engine.log.acknowledgedOffset <= engine.end)
        #expect(engine.settle { engine.log.acknowledgedOffset == engine.end })
        #expect(engine.text("log", engine.disk.crashed(.nothing)) == "a\n")
    }

    // MARK: Faults

    @Test(arguments: [FsyncPolicy.always, .everysec, .no])
    func fullDiskLosesNothingAndHealsByItself(_ policy: FsyncPolicy) throws {
        let engine = try Engine(policy)
        engine.write("first\n")
        #expect(engine.settle { engine.log.acknowledgedOffset == engine.end })
        let before = engine.log.acknowledgedOffset
        engine.disk.faults.room = 3
        engine.write("second\n")
        #expect(engine.settle { !engine.log.isHealthy })
        #expect(engine.log.currentState.error?.isOutOfSpace == true)
        #expect(engine.log.currentState.error?.offset == 6)
        engine.write("third\n")
        engine.flush()
        #expect(engine.text() == "first\n" && engine.log.acknowledgedOffset == before)
        engine.disk.faults.room = nil
        #expect(engine.settle { engine.log.isHealthy && engine.log.acknowledgedOffset == engine.end })
        #expect(engine.text() == "first\nsecond\nthird\n")
        #expect(engine.log.currentCounters.writeFailures >= 1)
    }

    @Test func tornBatchIsCutOffBeforeTheNextWriteWhenTruncationFailsToo() throws {
        let engine = try Engine(.everysec)
        engine.write("one\n")
        engine.flush()
        engine.disk.faults.tearWriteAfter = 2
        engine.disk.faults.failTruncate = true
        engine.write("two\n")
        #expect(engine.settle { !engine.log.isHealthy })
        #expect(engine.text() == "one\ntw")
        engine.disk.faults = .init()
        #expect(engine.settle { engine.log.isHealthy })
        #expect(engine.text() == "one\ntwo\n")
    }

    @Test(arguments: [FsyncPolicy.always, .everysec])
    func failedFsyncIsNeverRetriedOnTheSameFile(_ policy: FsyncPolicy) throws {
        let engine = try Engine(policy)
        engine.write("one\n")
        #expect(engine.settle { engine.log.durableOffset == engine.end })
        engine.disk.faults.failSync = 1
        engine.write("two\n")
        #expect(engine.settle { engine.log.currentState.isPoisoned })
        let syncs = engine.disk.syncCount
        let durable = engine.log.durableOffset
        engine.write("three\n")
        engine.flush()
        usleep(1_300_000)
        engine.flush()
        #expect(engine.disk.syncCount == syncs && engine.log.durableOffset == durable && durable == LogOffset(4))
        #expect(throws: StorageError.self) { try engine.log.drain(&engine.pending, sync: true) }
        if policy == .always { #expect(engine.log.acknowledgedOffset == durable) }

        // A base covers one and two and three; four comes after its image was taken.
        let covered = engine.end
        engine.write("four\n")
        let file = try engine.newFile("fresh")
        #expect(engine.log.replaceFile(file, coveredUpTo: covered, &engine.pending))
        #expect(engine.log.isHealthy && engine.log.durableOffset == covered)
        #expect(engine.settle { engine.log.acknowledgedOffset == engine.end && engine.pending.isEmpty })
        #expect(engine.text("fresh") == "four\n")
    }

    // MARK: Files

    @Test(arguments: [FsyncPolicy.always, .everysec, .no])
    func switchedFileGetsNothingBeforeTheOldOneIsDurable(_ policy: FsyncPolicy) throws {
        let engine = try Engine(policy)
        engine.disk.faults.syncMicroseconds = 5000
        var old = ""
        for index in 0..<50 {
            engine.write("old \(index)\n")
            old += "old \(index)\n"
            if index % 3 == 0 { engine.flush() }
        }
        let next = try engine.newFile("next")
        #expect(engine.log.switchFile(to: next, &engine.pending))
        let isEmpty = engine.pending.isEmpty
        #expect(isEmpty)
        engine.write("new\n")
        let settled = engine.settle {
            let lost = engine.disk.crashed(.nothing), kept = engine.disk.crashed(.random(7))
            if engine.text("next") != "" { #expect(engine.text("log", lost) == old && engine.text("log", kept) == old) }
            return engine.log.acknowledgedOffset == engine.end
        }
        #expect(settled)
        #expect(engine.text() == old && engine.text("next") == "new\n")
        #expect(engine.log.currentCounters.fileBytes == 4 && !engine.log.isSwitching)
    }

    @Test func secondSwitchWaitsForTheFirst() throws {
        let engine = try Engine(.everysec)
        engine.disk.faults.holdsSyncs = true
        engine.write("a")
        engine.flush()
        #expect(engine.log.switchFile(to: try engine.newFile("two"), &engine.pending))
        let third = try engine.newFile("three")
        #expect(!engine.log.switchFile(to: third, &engine.pending))
        engine.disk.faults.holdsSyncs = false
        #expect(engine.settle { !engine.log.isSwitching })
        engine.write("b")
        #expect(engine.log.switchFile(to: third, &engine.pending))
        engine.write("c")
        try engine.log.drain(&engine.pending, sync: true)
        #expect(engine.text() == "a" && engine.text("two") == "b" && engine.text("three") == "c")
    }

    @Test func drainWritesAndSyncsEverything() throws {
        let engine = try Engine(.no)
        engine.disk.faults.syncMicroseconds = 10000
        for index in 0..<100 {
            engine.write("\(index)\n")
            engine.flush()
        }
        engine.write("last\n")
        try engine.log.drain(&engine.pending, sync: true)
        let end = engine.end
        #expect(end == engine.log.takenOffset && engine.log.durableOffset == end)
        #expect(engine.text("log", engine.disk.crashed(.nothing)).hasSuffix("99\nlast\n"))
        try engine.log.drain(&engine.pending, sync: true)
    }

    @Test func timestampsAreWrittenWhenTheSecondChanges() throws {
        final class Time: Sendable { let value = Atomic<Int64>(1_700_000_000_000_000) }
        let time = Time()
        let engine = try Engine(.everysec, timestamps: true) { UnixMicroseconds(time.value.load(ordering: .relaxed)) }
        engine.write("a\r\n")
        #expect(engine.settle { engine.log.acknowledgedOffset == engine.end })
        engine.write("b\r\n")
        #expect(engine.settle { engine.log.acknowledgedOffset == engine.end })
        time.value.store(1_700_000_001_500_000, ordering: .relaxed)
        engine.write("c\r\n")
        #expect(engine.settle { engine.log.acknowledgedOffset == engine.end })
        #expect(engine.text() == "#TS:1700000000\r\na\r\nb\r\n#TS:1700000001\r\nc\r\n")
        #expect(engine.end == LogOffset(9))  // Annotations have no offsets.
    }

    @Test func randomFaultsKeepTheFileAPrefixOfTheLog() throws {
        let seed = testSeed()
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        for policy in [FsyncPolicy.always, .everysec, .no] {
            let engine = try Engine(policy)
            var all = ""
            for round in 0..<300 {
                if random.next() % 20 == 0 {
                    engine.disk.faults.room = random.next() & 1 == 0 ? Int(random.next() % 40) : nil
                }
                let line = "record \(round)\n"
                all += line
                engine.write(line)
                if random.next() & 1 == 0 { engine.flush() }
                let acknowledged = Int(engine.log.acknowledgedOffset.rawValue)
                #expect(engine.text().utf8.starts(with: all.utf8.prefix(acknowledged)))
            }
            engine.disk.faults.room = nil
            try engine.log.drain(&engine.pending, sync: true)
            #expect(engine.text() == all)
        }
    }

    @Test func realDiskRoundTrip() throws {
        let directory = try TemporaryDirectory()
        let disk = PosixFileSystem()
        let path = directory.path("log")
        let file = try disk.open(path, .createNew)
        try disk.syncDirectory(directory.path)
        let log = try AppendLog(disk, file, startingAt: LogOffset(0), policy: .always,
                                framing: TimestampFraming(enabled: true)) {}
        var pending = OwnedBytes(capacity: 64)
        for index in 0..<1000 {
            pending.append("line \(index)\n")
            _ = log.flush(&pending)
        }
        try log.drain(&pending, sync: true)
        log.close()
        let bytes = try disk.contents(path, limit: 1 << 20)
        let lines = String(decoding: bytes.bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
        let isSame = lines.filter { !$0.hasPrefix("#TS:") }.elementsEqual((0..<1000).map { "line \($0)" })
        #expect(isSame && lines.first?.hasPrefix("#TS:") == true)
    }
}
