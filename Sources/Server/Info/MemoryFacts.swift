import CShims
import Engine
import Keyspace
import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// What the memory allocator says, in bytes.
struct Allocator: Sendable {
    /// Handed out and not given back.
    let allocated: Int
    /// Taken from the system for the heap: what is handed out and what lies between.
    let active: Int
    /// The part of it that is in memory.
    let resident: Int

    init(resident processResident: Int) {
        var handedOut = 0, taken = 0
        sr_allocator_facts(&handedOut, &taken)
        allocated = handedOut
        active = max(handedOut, taken)
        resident = min(active, processResident)
    }

    var fragmentationRatio: Double { allocated == 0 ? 0 : Double(active) / Double(allocated) }
    var residentRatio: Double { active == 0 ? 0 : Double(resident) / Double(active) }

    static func purge() { sr_allocator_purge() }

    /// The allocator's statistics as it writes them itself.
    static func report() -> String {
        guard let text = sr_allocator_report() else { return "" }
        defer { free(text) }
        return String(cString: text)
    }
}

/// What the system and the allocator say of the process' memory. Asking takes longer than the rest of INFO: answers are
/// kept for a tenth of a second.
struct ProcessMemory {
    private static let lifetimeNanoseconds: UInt64 = 100_000_000

    struct Answer {
        let resident: Int
        let allocator: Allocator
    }

    private var answer: Answer?
    private var askedAt: UInt64 = 0

    mutating func with(_ monotonicNow: UInt64) -> Answer {
        if let answer, monotonicNow &- askedAt < Self.lifetimeNanoseconds { return answer }
        let resident = ProcessFacts.residentBytes()
        let asked = Answer(resident: resident, allocator: Allocator(resident: resident))
        (answer, askedAt) = (asked, monotonicNow)
        return asked
    }

    /// Much has just changed.
    mutating func forget() { answer = nil }
}

/// Where the memory goes, in bytes.
struct MemoryFacts {
    let used: Int
    let peak: Int
    let startup: Int
    /// Of the whole process.
    let resident: Int
    let allocator: Allocator
    var keys = 0
    /// The databases' own tables.
    var tables = 0
    /// Tables that are being emptied into larger ones.
    var rehashing = 0
    var rehashingCount = 0
    /// Sessions, buffers, queued and waiting commands.
    var clients = 0
    let logBuffer: Int
    private let atStart: Int

    /// - Parameter besides: bytes in use that are the answer's own.
    init(_ core: ServerCore, besides: Int = 0) {
        used = Heap.usedBytes - besides
        core.control.notePeak(used)
        peak = core.control.peakMemory
        startup = core.control.startupMemory
        let process = core.control.processMemory.with(core.engine.monotonicNow)
        resident = process.resident
        allocator = process.allocator
        for index in 0..<core.engine.keyspace.databaseCount {
            let database = core.engine.keyspace.databases[index]
            keys += database.keys.count
            tables += database.keys.overheadBytes + database.expires.overheadBytes
                + database.fieldExpires.overheadBytes
            for table in [database.keys, database.expires] where table.isRehashing {
                rehashing += table.bucketCounts.0 * 64
                rehashingCount += 1
            }
        }
        for connection in core.connections.values {
            clients += connection.memory.heap
        }
        logBuffer = core.engine.logMemory
        atStart = core.control.startupTables
    }

    /// What was in use at the start counts once.
    var overhead: Int { startup + max(0, tables + logBuffer - atStart) + clients }
    var dataset: Int { max(0, used - overhead) }
    var datasetPercent: Double { used <= startup ? 0 : Double(dataset) * 100 / Double(used - startup) }
    var peakPercent: Double { peak == 0 ? 0 : Double(used) * 100 / Double(peak) }
    var residentOverheadRatio: Double {
        allocator.resident == 0 ? 0 : Double(resident) / Double(allocator.resident)
    }
    var fragmentation: Double { used == 0 ? 0 : Double(resident) / Double(used) }
}

enum ProcessFacts {
    static var identifier: Int { Int(getpid()) }

    /// Bytes of the process that are in memory; 0 if the system doesn't say.
    static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .split(separator: " ")
        guard words.count > 1, let pages = Int(words[1]) else { return 0 }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    static func systemMemory() -> Int { sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)) }

    enum Processor: Int32 { case process = 0, children = 1, thread = 2 }

    /// CPU time in µs.
    static func processorTime(_ who: Processor) -> (system: Int64, user: Int64) {
        var user: Int64 = 0, system: Int64 = 0
        sr_processor_time(who.rawValue, &user, &system)
        return (system, user)
    }
}
