import Primitives

/// Sections of INFO.
struct InfoSections: OptionSet {
    let rawValue: UInt32

    static let server = InfoSections(rawValue: 1 << 0)
    static let clients = InfoSections(rawValue: 1 << 1)
    static let memory = InfoSections(rawValue: 1 << 2)
    static let persistence = InfoSections(rawValue: 1 << 3)
    static let stats = InfoSections(rawValue: 1 << 4)
    static let replication = InfoSections(rawValue: 1 << 5)
    static let cpu = InfoSections(rawValue: 1 << 6)
    static let modules = InfoSections(rawValue: 1 << 7)
    static let commandStats = InfoSections(rawValue: 1 << 8)
    static let errorStats = InfoSections(rawValue: 1 << 9)
    static let latencyStats = InfoSections(rawValue: 1 << 10)
    static let cluster = InfoSections(rawValue: 1 << 11)
    static let keyspace = InfoSections(rawValue: 1 << 12)
    static let debug = InfoSections(rawValue: 1 << 13)
    static let hotKeys = InfoSections(rawValue: 1 << 14)

    static let standard: InfoSections = [
        .server, .clients, .memory, .persistence, .stats, .replication, .cpu, .hotKeys, .modules, .errorStats,
        .cluster, .keyspace,
    ]
    static let everything: InfoSections = standard.union([.commandStats, .latencyStats])

    private static let names: [(StaticString, InfoSections)] = [
        ("server", .server), ("clients", .clients), ("memory", .memory), ("persistence", .persistence),
        ("stats", .stats), ("replication", .replication), ("cpu", .cpu), ("module_list", .modules),
        ("modules", .modules), ("commandstats", .commandStats), ("errorstats", .errorStats),
        ("latencystats", .latencyStats), ("cluster", .cluster), ("keyspace", .keyspace), ("debug", .debug),
        ("hotkeys", .hotKeys),
        ("default", .standard), ("all", .everything), ("everything", .everything),
    ]

    init(rawValue: UInt32) { self.rawValue = rawValue }

    /// None for a name that is no section.
    init(named name: Bytes) {
        self = Self.names.first { name.equalsIgnoringCase($0.0) }?.1 ?? []
    }
}
