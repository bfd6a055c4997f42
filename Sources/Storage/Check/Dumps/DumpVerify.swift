import Keyspace
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// A dump checked by all cores. The answer is the one of `RDBCheck.run`, without statistics:
//
//     one thread     walks the file by its layout and cuts it into stretches of keys
//     meanwhile      the others compute the checksum, a piece each; the pieces' checksums are combined
//     then all       decode the keys of the stretches, as a server would
//
// Files with compressed blobs (Dragonfly), and those that have a key twice, are checked by one thread: whether the
// first was empty, and so is left out, is known only to who decodes in order.

package enum DumpVerify {
    private static let stretchBytes = 1 << 20

    package static func run(_ path: String, threads: Int, skipsUnsupported: Bool, now: UnixMilliseconds,
                            in fileSystem: any FileSystem) throws(StorageError) -> RDBCheckReport {
        let file = try MappedFile(path, in: fileSystem)
        if let damage = file.damage { throw damage }
        let count = min(max(threads, 1), ParallelRun.limit)
        let work = VerifyWork(file)
        let trailer = work.bytes.count - 8
        ParallelRun.run(count + 1) { index in
            if index == 0 {
                work.outline = outline(work.bytes, path, now, skipsUnsupported)
            } else if trailer > 0 {
                let size = trailer / count, start = (index - 1) * size
                let end = index == count ? trailer : start + size
                work.sums[index - 1] = CRC64.of(Bytes(rebasing: work.bytes[start..<end]))
            }
        }
        guard var outline = work.outline else { return RDBCheckReport(path: path) }
        if outline.hasBlobs || outline.hasKeyTwice {
            return RDBCheck.run(RDBInput(work.bytes, named: path), now: now, skipsUnsupported: skipsUnsupported)
        }
        let stretches = outline.stretches, context = outline.context
        ParallelRun.run(count) { index in
            while let next = work.take(stretches.count) {
                if let damage = decode(stretches[next], work.bytes, path, context) { work.note(damage, next) }
            }
        }
        if let damage = work.firstDamage {
            outline.report.damage = damage
        } else if outline.report.damage == nil {
            outline.checkSum(work, trailer, count)
        }
        return outline.report
    }

    // MARK: The outline

    fileprivate struct Stretch: Sendable {
        var start: Int
        var end: Int
    }

    /// What decoding needs to know of the file's beginning.
    fileprivate struct Context: Sendable {
        var version = RDBVersion.redis7_4
        var dialect = RDBDialect.redis
        var templates = RDBHashTemplates()
        var skipsUnsupported = false
    }

    fileprivate struct Outline {
        var report: RDBCheckReport
        var stretches: [Stretch] = []
        var context = Context()
        var hasBlobs = false
        var hasKeyTwice = false
        /// Where the checksum begins.
        var end: Int?

        mutating func checkSum(_ work: VerifyWork, _ trailer: Int, _ count: Int) {
            guard context.version.hasChecksum, let end else { return }
            let bytes = work.bytes
            let stored = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self))
            var outcome = RDBChecksum.disabled
            if stored != 0 {
                var sum = CRC64.of(Bytes(rebasing: bytes[..<end]), from: work.sums, pieces: count, of: trailer)
                if end != trailer { sum = CRC64.of(Bytes(rebasing: bytes[..<end])) }
                outcome = .matches
                if sum != stored {
                    report.damage = .init(error: StorageError(.load, work.path, at: end + 8, .corrupt("RDB CRC error")),
                                          stage: .checksum)
                    return
                }
            }
            report.findings.append(.checksum(outcome, offset: end + 8))
        }
    }

    private static func outline(_ bytes: Bytes, _ path: String, _ now: UnixMilliseconds,
                                _ skipsUnsupported: Bool) -> Outline {
        var walker = RDBWalker(RDBInput(bytes, named: path), verifiesChecksum: false)
        walker.input.skipsUnsupported = skipsUnsupported
        var visitor = OutlineVisitor(path: path, now: now)
        var outline = Outline(report: RDBCheckReport(path: path))
        do throws(StorageError) {
            try walker.readMagic(&visitor)
            var start = walker.input.offset
            while try walker.readRecord(&visitor) {
                let offset = walker.input.offset
                guard offset - start >= stretchBytes, walker.keyOffset == nil else { continue }
                outline.stretches.append(Stretch(start: start, end: offset))
                start = offset
            }
            outline.stretches.append(Stretch(start: start, end: walker.input.offset))
            outline.end = walker.input.offset
            if walker.input.version.hasChecksum { _ = try walker.input.uint64() }
        } catch {
            let key = walker.hasKey ? String(decoding: walker.key, as: UTF8.self) : nil
            visitor.report.damage = .init(error: error, stage: walker.stage, key: key, type: walker.type)
        }
        outline.hasBlobs = walker.hadBlobs
        outline.hasKeyTwice = visitor.hasKeyTwice
        outline.context = Context(version: walker.input.version, dialect: walker.input.dialect,
                                  templates: walker.input.templates, skipsUnsupported: skipsUnsupported)
        visitor.report.size = walker.input.offset
        visitor.report.dialect = walker.input.dialect
        outline.report = visitor.report
        return outline
    }

    private static func decode(_ stretch: Stretch, _ bytes: Bytes, _ path: String,
                               _ context: Context) -> RDBCheckReport.Damage? {
        var input = RDBInput(Bytes(rebasing: bytes[stretch.start..<stretch.end]), named: path)
        input.base = stretch.start
        input.version = context.version
        input.dialect = context.dialect
        input.skipsUnsupported = context.skipsUnsupported
        var walker = RDBWalker(input, verifiesChecksum: false)
        var visitor = DecodeVisitor(templates: context.templates)
        do throws(StorageError) {
            while try walker.input.hasMore(), try walker.readRecord(&visitor) {}
            return nil
        } catch {
            let key = walker.hasKey ? String(decoding: walker.key, as: UTF8.self) : nil
            return .init(error: error, stage: walker.stage, key: key, type: walker.type)
        }
    }
}

/// What the threads of one run share.
private final class VerifyWork: @unchecked Sendable {
    // @unchecked: `outline` and each of `sums` are written by one thread before the others are joined; the rest is
    // under the lock.
    private let file: MappedFile
    var outline: DumpVerify.Outline?
    let sums = UnsafeMutablePointer<UInt64>.allocate(capacity: ParallelRun.limit)
    private let lock = HandoverLock()
    private var next = 0
    private var damages: [(index: Int, damage: RDBCheckReport.Damage)] = []

    var bytes: Bytes { file.bytes }
    var path: String { file.path }

    init(_ file: MappedFile) {
        self.file = file
        sums.initialize(repeating: 0, count: ParallelRun.limit)
    }

    deinit { sums.deallocate() }

    func take(_ count: Int) -> Int? {
        lock.lock()
        defer { lock.unlock() }
        guard next < count else { return nil }
        next += 1
        return next - 1
    }

    func note(_ damage: RDBCheckReport.Damage, _ index: Int) {
        lock.lock()
        damages.append((index, damage))
        lock.unlock()
    }

    /// The one that comes first in the file.
    var firstDamage: RDBCheckReport.Damage? { damages.min { $0.index < $1.index }?.damage }
}

private struct OutlineVisitor: RDBVisitor {
    var report: RDBCheckReport
    var hasKeyTwice = false
    private var keys = DumpKeys()
    private let now: UnixMilliseconds
    private var database = 0

    init(path: String, now: UnixMilliseconds) {
        report = RDBCheckReport(path: path)
        self.now = now
    }

    mutating func begin(_ version: RDBVersion) { report.version = version.number }
    mutating func selectDatabase(_ index: Int, at offset: Int) { database = index }
    mutating func function(_ code: Bytes) { report.functions += 1 }
    mutating func lost(_ loss: RDBLoss) { report.add(loss) }

    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError) {
        report.count(attributes, type, now)
        if !keys.insert(key, database) { hasKeyTwice = true }
        try input.skipValue(type)
    }
}

private struct DecodeVisitor: RDBVisitor, ~Copyable {
    private var scratch = DumpScratch()
    private let templates: RDBHashTemplates

    init(templates: RDBHashTemplates) { self.templates = templates }

    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError) {
        if type == .hashTemplateListpackRef || type == .hashTemplateArrayRef { input.templates = templates }
        _ = try scratch.decode(key, attributes, type, &input)
    }
}

/// One function on several threads.
package enum ParallelRun {
    package static let limit = 64

    /// Cores of this machine.
    package static var cores: Int { max(min(Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), limit), 1) }

    /// Runs `body` with 0 ..< count, each on a thread of its own (the first on this one), and waits for all.
    package static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        var threads: [WorkerThread] = []
        for index in stride(from: 1, to: count, by: 1) {
            let thread = WorkerThread("worker") { body(index) }
            if (try? thread.start()) != nil { threads.append(thread) } else { body(index) }
        }
        body(0)
        threads.forEach { $0.join() }
    }
}

extension CRC64 {
    /// The checksum of `bytes` from those of `pieces` equal pieces (the last one longer) of their first `total` bytes.
    fileprivate static func of(_ bytes: Bytes, from sums: UnsafeMutablePointer<UInt64>, pieces: Int,
                               of total: Int) -> UInt64 {
        let size = total / pieces
        var crc = sums[0]
        for index in 1..<max(pieces, 1) {
            let length = index == pieces - 1 ? total - size * (pieces - 1) : size
            crc = combine(crc, sums[index], length)
        }
        return crc
    }

    /// The checksum of two runs of bytes from their own: the first one's, moved on by as many zero bytes as the second
    /// has (squaring the step that one zero bit makes), and the second one's.
    package static func combine(_ first: UInt64, _ second: UInt64, _ secondBytes: Int) -> UInt64 {
        var step = [UInt64](repeating: 0, count: 64)
        step[0] = 0x95ac_9329_ac4b_c9b5
        for bit in 1..<64 { step[bit] = 1 << UInt64(bit - 1) }
        func times(_ matrix: [UInt64], _ vector: UInt64) -> UInt64 {
            var sum: UInt64 = 0, rest = vector, row = 0
            while rest != 0 {
                if rest & 1 != 0 { sum ^= matrix[row] }
                rest >>= 1
                row += 1
            }
            return sum
        }
        var crc = first, left = secondBytes
        // One bit, two, four; then bytes.
        for _ in 0..<3 { step = step.map { times(step, $0) } }
        while left > 0 {
            if left & 1 != 0 { crc = times(step, crc) }
            step = step.map { times(step, $0) }
            left >>= 1
        }
        return crc ^ second
    }
}
