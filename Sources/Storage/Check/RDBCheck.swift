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
    /// Nil: the file is good.
    package var damage: Damage?

    package struct Damage: Sendable {
        package var error: StorageError
        package var stage: RDBStage
        package var key: String?
        package var type: RDBType?
    }
}

package enum RDBCheck {
    /// Reads the whole of `input`.
    /// - Parameter report: called for every finding as it is made, for tools that print while they read.
    package static func run(_ input: consuming RDBInput, now: UnixMilliseconds,
                            _ report: @escaping (RDBCheckReport.Finding) -> Void = { _ in }) -> RDBCheckReport {
        let path = input.path
        var walker = RDBWalker(input)
        var visitor = CheckVisitor(path: path, now: now, tell: report)
        do throws(StorageError) {
            try walker.walk(&visitor)
        } catch {
            let key = walker.hasKey ? String(decoding: walker.key, as: UTF8.self) : nil
            visitor.report.damage = .init(error: error, stage: walker.stage, key: key, type: walker.type)
        }
        visitor.report.size = walker.input.offset
        return visitor.report
    }
}

private struct CheckVisitor: RDBVisitor {
    var report: RDBCheckReport
    let now: UnixMilliseconds
    let tell: (RDBCheckReport.Finding) -> Void

    init(path: String, now: UnixMilliseconds, tell: @escaping (RDBCheckReport.Finding) -> Void) {
        report = RDBCheckReport(path: path)
        self.now = now
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

    mutating func selectDatabase(_ index: Int, at offset: Int) { found(.database(index: index, offset: offset)) }
    mutating func function(_ code: Bytes) { report.functions += 1 }
    mutating func moduleAux(_ module: RDBModuleID, _ parts: Bytes, at offset: Int) {
        found(.moduleAux(name: module.name, offset: offset))
    }

    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError) {
        report.keys += 1
        if let expire = attributes.expire {
            report.expires += 1
            if expire < now { report.alreadyExpired += 1 }
        }
        try input.skipValue(type)
        report.types[type, default: 0] += 1
    }

    mutating func end(_ checksum: RDBChecksum, at offset: Int) { found(.checksum(checksum, offset: offset)) }
}
