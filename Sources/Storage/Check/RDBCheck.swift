import Primitives

// Checking an RDB file without a server: what the file says, whether it is whole, and if not, where and in what the
// damage is.

/// What a check came to.
package struct RDBCheckReport: Sendable {
    package enum Finding: Sendable {
        case aux(name: String, value: String, offset: Int)
        case moduleAux(name: String, offset: Int)
        case database(index: Int, offset: Int)
        case checksum(RDBChecksum, offset: Int)

        /// Some servers write an AUX field for every key.
        var isFrequent: Bool { if case .checksum = self { false } else { true } }
    }

    package var path: String
    /// Of the format.
    package var version: Int?
    /// In the file's order; the first thousand.
    package var findings: [Finding] = []
    /// Number of values of each type.
    package var types: [RDBType: Int] = [:]
    package var functions = 0
    package var keys = 0
    /// Keys that expire, and how many of them did before now.
    package var expires = 0
    package var alreadyExpired = 0
    /// Bytes read.
    package var size = 0
    package var dialect = RDBDialect.redis
    /// What no server of ours can hold: the first thousand, and how many there are.
    package var losses: [RDBLoss] = []
    package var lossCount = 0
    package var statistics: DumpStatistics?
    /// Nil: the file is good.
    package var damage: Damage?

    package struct Damage: Sendable {
        package var error: StorageError
        package var stage: RDBStage
        package var key: String?
        package var type: RDBType?
    }

    mutating func add(_ loss: RDBLoss) {
        lossCount += 1
        if losses.count < RDBLimits.findings { losses.append(loss) }
    }

    mutating func count(_ attributes: RDBKeyAttributes, _ type: RDBType, _ now: UnixMilliseconds) {
        keys += 1
        if let expire = attributes.expire {
            expires += 1
            if expire < now { alreadyExpired += 1 }
        }
        types[type, default: 0] += 1
    }
}

package struct RDBCheckOptions {
    package var now = UnixMilliseconds(0)
    /// What can't be represented is told, and no damage.
    package var skipsUnsupported = false
    package var selection = DumpSelection()
    /// Filled with the selected keys.
    package var statistics: DumpStatistics?
    package var progress: (Int) -> Void = { _ in }

    package init() {}
}

package enum RDBCheck {
    /// Reads the whole of `input`.
    package static func run(_ input: consuming RDBInput, now: UnixMilliseconds, skipsUnsupported: Bool = false,
                            _ report: @escaping (RDBCheckReport.Finding) -> Void = { _ in }) -> RDBCheckReport {
        var options = RDBCheckOptions()
        options.now = now
        options.skipsUnsupported = skipsUnsupported
        return run(input, options, report)
    }

    /// Reads the whole of `input`, and builds each value as a server would that loads it.
    /// - Parameter report: called for every finding as it is made, for tools that print while they read.
    package static func run(_ input: consuming RDBInput, _ options: RDBCheckOptions,
                            _ report: @escaping (RDBCheckReport.Finding) -> Void) -> RDBCheckReport {
        let path = input.path
        var walker = RDBWalker(input)
        walker.input.skipsUnsupported = options.skipsUnsupported
        var visitor = CheckVisitor(path: path, options, tell: report)
        do throws(StorageError) {
            try walker.walk(&visitor)
        } catch {
            let key = walker.hasKey ? String(decoding: walker.key, as: UTF8.self) : nil
            visitor.report.damage = .init(error: error, stage: walker.stage, key: key, type: walker.type)
        }
        visitor.report.size = walker.input.offset
        visitor.report.dialect = walker.input.dialect
        return visitor.report
    }
}

private struct CheckVisitor: RDBVisitor, ~Copyable {
    var report: RDBCheckReport
    private let options: RDBCheckOptions
    private let tell: (RDBCheckReport.Finding) -> Void
    private var scratch = DumpScratch()
    private var keys = DumpKeys()
    private var database = 0

    init(path: String, _ options: RDBCheckOptions, tell: @escaping (RDBCheckReport.Finding) -> Void) {
        report = RDBCheckReport(path: path)
        report.statistics = options.statistics
        self.options = options
        self.tell = tell
    }

    private mutating func found(_ finding: RDBCheckReport.Finding) {
        if report.findings.count < RDBLimits.findings || !finding.isFrequent { report.findings.append(finding) }
        tell(finding)
    }

    mutating func begin(_ version: RDBVersion) { report.version = version.number }

    mutating func aux(_ name: Bytes, _ value: Bytes, at offset: Int) {
        found(.aux(name: String(decoding: name, as: UTF8.self), value: String(decoding: value, as: UTF8.self),
                   offset: offset))
    }

    mutating func selectDatabase(_ index: Int, at offset: Int) {
        database = index
        found(.database(index: index, offset: offset))
    }

    mutating func function(_ code: Bytes) { report.functions += 1 }
    mutating func moduleAux(_ module: RDBModuleID, _ parts: Bytes, at offset: Int) {
        found(.moduleAux(name: module.name, offset: offset))
    }
    mutating func memberExpire(_ member: Bytes, _ time: UnixMilliseconds, of key: Bytes) -> Bool {
        scratch.setExpire(of: member, time)
    }
    mutating func lost(_ loss: RDBLoss) { report.add(loss) }

    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError) {
        let start = input.offset
        options.progress(start)
        report.count(attributes, type, options.now)
        // An empty collection is left out by servers: its key may come again.
        guard let entry = try scratch.decode(key, attributes, type, &input) else { return }
        guard keys.insert(key, database) else {
            throw input.corrupt("RDB has a duplicated key in DB \(database)")
        }
        guard report.statistics != nil, options.selection.includes(key, type, database) else { return }
        report.statistics?.add(entry, database, bytes: input.offset - start)
    }

    mutating func end(_ checksum: RDBChecksum, at offset: Int) { found(.checksum(checksum, offset: offset)) }
}
