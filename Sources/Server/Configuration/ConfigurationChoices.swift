import Storage

// The enumerations among the settings. Raw values are the words of a configuration file; the order of cases is that
// of redis-server's error messages.

/// A setting with a fixed set of words.
protocol ConfigurationChoice: CaseIterable, RawRepresentable<String> {}

package enum Supervision: String, ConfigurationChoice {
    case upstart, systemd, auto, no
}

package enum LogLevel: String, ConfigurationChoice, Sendable {
    case debug, verbose, notice, warning, nothing

    /// Ascending importance.
    var rank: Int {
        switch self {
        case .debug: 0
        case .verbose: 1
        case .notice: 2
        case .warning: 3
        case .nothing: 4
        }
    }
}

/// How lines of the log look (Log/LogLine.swift).
package enum LogFormat: String, ConfigurationChoice, Sendable {
    case legacy, logfmt, json
}

package enum LogTimestampFormat: String, ConfigurationChoice, Sendable {
    case legacy, iso8601, milliseconds
}

package enum MaxmemoryPolicy: String, ConfigurationChoice {
    case volatileLru = "volatile-lru"
    case volatileLfu = "volatile-lfu"
    case volatileRandom = "volatile-random"
    case volatileTtl = "volatile-ttl"
    case volatileLrm = "volatile-lrm"
    case allkeysLru = "allkeys-lru"
    case allkeysLfu = "allkeys-lfu"
    case allkeysRandom = "allkeys-random"
    case allkeysLrm = "allkeys-lrm"
    case noeviction
}

extension FsyncPolicy: ConfigurationChoice {
    package static let allCases: [FsyncPolicy] = [.everysec, .always, .no]
}

/// What to do when an fsync of the log failed: its file can't be trusted any more.
package enum FsyncErrorPolicy: String, ConfigurationChoice {
    /// Write a new base from memory to new files, and go on.
    case heal
    /// Serve reads, until somebody asks for a rewrite or starts the server anew.
    case refuse
    /// End the process: another one takes over.
    case exit
}

package enum OOMScoreAdjustment: String, ConfigurationChoice {
    case no, yes, relative, absolute
}

package enum ACLPubSubDefault: String, ConfigurationChoice {
    case allchannels, resetchannels
}

/// What a start does about a log that is damaged, not torn.
package enum CorruptionPolicy: String, ConfigurationChoice {
    case refuse, quarantine
}

extension AOFArchive.Compression: ConfigurationChoice {}

package enum DumpSanitization: String, ConfigurationChoice {
    case no, yes, clients
}

/// Who may use a dangerous command or setting: nobody, everybody, or clients on this machine.
package enum AccessPolicy: String, ConfigurationChoice {
    case no, yes, local
}

package enum DisklessLoad: String, ConfigurationChoice {
    case disabled
    case onEmptyDb = "on-empty-db"
    case swapdb
}

package enum PropagationErrorBehavior: String, ConfigurationChoice {
    case ignore, panic
    case panicOnReplicas = "panic-on-replicas"
}

package enum ClusterEndpointType: String, ConfigurationChoice {
    case ip, hostname
    case unknownEndpoint = "unknown-endpoint"
}

/// What SIGTERM or SIGINT mean; none of them: save if save points are configured.
package struct ShutdownOptions: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let save = ShutdownOptions(rawValue: 1 << 0)
    package static let nosave = ShutdownOptions(rawValue: 1 << 1)
    package static let now = ShutdownOptions(rawValue: 1 << 2)
    package static let force = ShutdownOptions(rawValue: 1 << 3)

    static let words: [(String, ShutdownOptions)] = [
        ("default", []), ("save", .save), ("nosave", .nosave), ("now", .now), ("force", .force),
    ]
}

/// After `seconds` with at least `changes`, a snapshot is due.
package struct SaveParameter: Equatable, Sendable {
    package var seconds: Int
    package var changes: Int
    package init(seconds: Int, changes: Int) {
        self.seconds = seconds
        self.changes = changes
    }

    package static let standard = [
        SaveParameter(seconds: 3600, changes: 1), SaveParameter(seconds: 300, changes: 100),
        SaveParameter(seconds: 60, changes: 10000),
    ]
}

/// Replies that may pile up for a client before it is disconnected. Bytes; 0: no limit.
package struct OutputBufferLimit: Equatable, Sendable {
    package var hard = 0
    package var soft = 0
    package var softSeconds = 0
}

package struct OutputBufferLimits: Equatable, Sendable {
    package var normal = OutputBufferLimit()
    package var replica = OutputBufferLimit(hard: 256 << 20, soft: 64 << 20, softSeconds: 60)
    package var pubsub = OutputBufferLimit(hard: 32 << 20, soft: 8 << 20, softSeconds: 60)
}

/// An address to listen on. `*` and `::*` are all of IPv4 and of IPv6.
package struct BindAddress: Equatable, Sendable {
    package var host: String
    /// Written `-host`: the server starts also when this machine has no such address.
    package var isOptional: Bool

    package static let standard = [
        BindAddress(host: "*", isOptional: false), BindAddress(host: "::*", isOptional: true),
    ]
}

package struct PrimaryAddress: Equatable, Sendable {
    package var host: String
    package var port: Int
    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}
