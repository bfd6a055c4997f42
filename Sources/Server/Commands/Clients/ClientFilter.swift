import Commands
import Engine
import Primitives

// Which clients CLIENT LIST shows and CLIENT KILL closes: those that fit all conditions given.
//
//     TYPE t   ID id [id …]   USER name   ADDR ip:port   LADDR ip:port   IP ip   NAME name   LIB-NAME name
//     LIB-VER text   DB index   FLAGS letters   CAPA letters       each of them also as NOT-…
//     MAXAGE seconds   IDLE seconds   SKIPME yes|no
//
// TYPE and ID (of LIST), and ADDR to MAXAGE (of KILL), are Redis'; the others are Valkey's. Of an option that is given
// twice the later one counts.

struct ClientFilter {
    private enum Condition {
        case ids(Set<Int64>)
        case kind(ClientTypeFilter)
        case user(User)
        case address(Bytes), localAddress(Bytes), ip(Bytes)
        case name(Bytes), libraryName(Bytes), libraryVersion(Bytes)
        case database(Int)
        /// All of these letters.
        case flags(Bytes), capabilities(Bytes)
        /// Seconds.
        case age(Int64), idle(Int64)
    }

    /// By the option's name, with `NOT-`.
    private var conditions: [String: Condition] = [:]
    private var skipsCaller: Bool

    init(skipsCaller: Bool) { self.skipsCaller = skipsCaller }

    /// The old form of KILL.
    init(address: Bytes) {
        skipsCaller = false
        conditions["ADDR"] = .address(address)
    }

    // MARK: Matching

    func matches(_ session: Session, _ core: ServerCore) -> Bool {
        if skipsCaller, session === core.engine.current { return false }
        return conditions.allSatisfy { holds($0.value, session, core) != $0.key.hasPrefix("NOT-") }
    }

    private func holds(_ condition: Condition, _ session: Session, _ core: ServerCore) -> Bool {
        let now = core.engine.keyspace.now.rawValue
        switch condition {
        case .ids(let ids): return ids.contains(session.id)
        case .kind(let kind): return ClientTypeFilter(session) == kind
        case .user(let user): return session.user === user
        case .address(let text): return isEqual(SocketFacts(session, core).address, text)
        case .localAddress(let text): return isEqual(SocketFacts(session, core).localAddress, text)
        case .ip(let text): return isEqual(SocketFacts(session, core).host, text)
        case .name(let text): return session.name.elementsEqual(text)
        case .libraryName(let text): return session.libraryName.elementsEqual(text)
        case .libraryVersion(let text): return session.libraryVersion.elementsEqual(text)
        case .database(let index): return session.database == index
        case .flags(let letters):
            let flags = ClientLine.flags(session, SocketFacts(session, core)).utf8
            return letters.allSatisfy { flags.contains($0) }
        case .capabilities(let letters): return letters.allSatisfy { session.capabilities.utf8.contains($0) }
        case .age(let seconds): return (now - session.createdAt.rawValue) / 1000 >= seconds
        case .idle(let seconds): return (now - session.lastActiveAt.rawValue) / 1000 >= seconds
        }
    }

    private func isEqual(_ text: String, _ bytes: Bytes) -> Bool { text.utf8.elementsEqual(bytes) }

    // MARK: Parsing

    /// Letters that CLIENT LIST may show, of any system that has these filters.
    private static let knownFlags = "AbBcdeEiIMNOPrRStTuUx"
    private static let options: Set<String> = {
        let positive = ["TYPE", "ID", "USER", "ADDR", "LADDR", "IP", "NAME", "LIB-NAME", "LIB-VER", "DB", "FLAGS",
                        "CAPA"]
        return Set(positive + positive.map { "NOT-" + $0 } + ["MAXAGE", "IDLE", "SKIPME"])
    }()

    /// The options from `index` on.
    /// - Parameter wrongID: what is said to something that is no client's number.
    ///   LIST takes any number, KILL those that a client may have.
    mutating func parse(_ core: ServerCore, _ call: Call, from first: Int, wrongID: CommandError,
                        leastID: Int64 = 1) throws(CommandError) {
        var index = first
        while index < call.count {
            let option = String(decoding: call[index].prefix(16), as: UTF8.self).uppercased()
            guard Self.options.contains(option), index + 1 < call.count else { throw .syntax }
            let value = call[index + 1]
            index += 2
            switch option {
            case "ID", "NOT-ID":
                var ids: Set<Int64> = [try id(value, wrongID, leastID)]
                while index < call.count, !isOption(call[index]) {
                    ids.insert(try id(call[index], wrongID, leastID))
                    index += 1
                }
                conditions[option] = .ids(ids)
            case "SKIPME":
                if value.equalsIgnoringCase("YES") {
                    skipsCaller = true
                } else if value.equalsIgnoringCase("NO") {
                    skipsCaller = false
                } else {
                    throw .syntax
                }
            default:
                conditions[option] = try condition(core, option, value)
            }
        }
    }

    private func isOption(_ word: Bytes) -> Bool {
        Self.options.contains(String(decoding: word.prefix(16), as: UTF8.self).uppercased())
    }

    private func condition(_ core: ServerCore, _ option: String, _ value: Bytes) throws(CommandError) -> Condition {
        let isNegated = option.hasPrefix("NOT-")
        switch isNegated ? String(option.dropFirst(4)) : option {
        case "TYPE": return .kind(try ClientTypeFilter(named: value))
        case "ADDR": return .address(value)
        case "LADDR": return .localAddress(value)
        case "IP": return .ip(value)
        case "NAME": return .name(value)
        case "LIB-NAME": return .libraryName(value)
        case "LIB-VER": return .libraryVersion(value)
        case "MAXAGE": return .age(try positive(value, "maxage"))
        case "IDLE": return .idle(try positive(value, "idle"))
        case "DB": return .database(try database(core, value, isNegated ? "NOT-DB" : "DB"))
        case "FLAGS": return .flags(try letters(value, Self.knownFlags, "flags", isNegated ? "NOT-FLAGS" : "provided"))
        case "CAPA": return .capabilities(try letters(value, "r", "capa", isNegated ? "NOT-CAPA" : "provided"))
        default:
            guard let user = core.engine.access.user(named: value) else {
                throw .message("ERR No such user '\(Text(value))'")
            }
            return .user(user)
        }
    }

    private func id(_ text: Bytes, _ wrong: CommandError, _ least: Int64) throws(CommandError) -> Int64 {
        guard let number = Decimal.parseInt64(text), number >= least else { throw wrong }
        return number
    }

    private func positive(_ text: Bytes, _ name: String) throws(CommandError) -> Int64 {
        guard let number = Decimal.parseInt64(text) else {
            throw .message("ERR \(name) is not an integer or out of range")
        }
        if number <= 0 { throw .message("ERR \(name) should be greater than 0") }
        return number
    }

    private func database(_ core: ServerCore, _ text: Bytes, _ name: String) throws(CommandError) -> Int {
        let last = core.engine.keyspace.databaseCount - 1
        guard let number = Decimal.parseInt64(text), number >= 0, number <= last else {
            throw .message("ERR \(name) number should be between 0 and \(last)")
        }
        return Int(number)
    }

    private func letters(_ value: Bytes, _ known: String, _ kind: String, _ filter: String)
        throws(CommandError) -> Bytes {
        if value.isEmpty || !value.allSatisfy({ known.utf8.contains($0) }) {
            throw .message("ERR Unknown \(kind) found in the \(filter) filter: \(Text(value))")
        }
        return value
    }
}
