import Commands
import Primitives
import RESP
import Testing
@testable import Engine
@testable import Server

@Suite struct AccessRulesTests {
    private let table = CommandTable(AllCommands.families)
    private var access: AccessControl { AccessControl(table) }

    private func words(_ text: String) -> [[UInt8]] { text.split(separator: " ").map { Array($0.utf8) } }

    private func user(_ rules: String, in access: AccessControl? = nil) throws -> User {
        let access = access ?? self.access
        try access.change(Array("u".utf8), RuleReader.merged(words(rules)).rules ?? [])
        return try #require(Array("u".utf8).withUnsafeBytes { access.user(named: Bytes($0)) })
    }

    private func description(_ rules: String) throws -> String {
        String(decoding: try user(rules).rules.description, as: UTF8.self)
    }

    /// What the user is told of a command line; nil: it may run.
    private func denial(_ rules: String, _ line: String) throws -> AccessDenial? {
        let access = access
        let user = try user(rules, in: access)
        let stored = words(line).map { Array($0) }
        let block = stored.flatMap { $0 }
        return block.withUnsafeBytes { bytes in
            var ranges: [Bytes] = []
            var offset = 0
            for word in stored {
                ranges.append(Bytes(rebasing: bytes[offset..<(offset + word.count)]))
                offset += word.count
            }
            return ranges.withUnsafeBufferPointer { buffer -> AccessDenial? in
                guard let base = buffer.baseAddress else { return nil }
                let arguments = Arguments(base: base, count: buffer.count)
                guard var id = table.find(arguments[0]) else { return nil }
                if table.rows[id].subcommandCount > 0, buffer.count > 1 {
                    id = table.findSubcommand(arguments[1], of: id) ?? id
                }
                return access.denial(user, id, arguments)
            }
        }
    }

    @Test func aNewUserMayDoNothing() throws {
        #expect(try description("") == "off sanitize-payload resetchannels -@all")
        #expect(try denial("on", "get k") == .command)
        // What everybody needs to get in.
        #expect(try denial("on", "auth x") == nil)
    }

    @Test func rulesAreShownAsTheyWereGiven() throws {
        #expect(try description("on >pw ~a* %R~b* %W~b* &ch* +@read -get +config|get +select|0 (~x +set)")
            == "on sanitize-payload #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 ~a* ~b* "
            + "resetchannels &ch* -@all +@read -get +config|get +select|0 (~x resetchannels -@all +set)")
        #expect(try description("+@all -@READ -Config|Get")
            == "off sanitize-payload resetchannels +@all -@read -config|get")
        #expect(try description("+config|get +config|set -config +get -get") == "off sanitize-payload resetchannels "
            + "-@all -config -get")
        #expect(try description("skip-sanitize-payload nopass allkeys allchannels %RW~x".replacing(" %RW~x", with: ""))
            == "off nopass skip-sanitize-payload ~* &* -@all")
    }

    @Test(arguments: [
        ("+@foo", RuleError.unknownCommand), ("+foo", .unknownCommand), ("-select|1", .unknownCommand),
        ("+config|foo", .unknownCommand), ("+config|get|x", .deepFirstArgument), ("+debug|", .syntax),
            ("+", .unknownCommand),
        ("%~x", .syntax), ("%X~a", .syntax), ("%RR~a", .syntax), ("%R", .syntax), ("%", .syntax), ("foo", .syntax),
        ("#abc", .badHash), ("!zz", .badHash), ("<zz", .unknownPassword), ("(+foo)", .unknownCommand),
            ("(\"a)", .syntax),
        ("(on)", .syntax), ("((+get))", .syntax),
    ])
    func wrongRulesAreNamed(rule: String, error: RuleError) {
        #expect(throws: RuleFailure(Array(rule.utf8), error)) { try user(rule) }
    }

    @Test func patternsBehindAllOfThemAreRefused() {
        #expect(throws: RuleFailure(Array("~x".utf8), .keysAfterAll)) { try user("allkeys ~x") }
        #expect(throws: RuleFailure(Array("&x".utf8), .channelsAfterAll)) { try user("allchannels &x") }
    }

    @Test func aRefusedChangeChangesNothing() throws {
        let access = access
        let user = try user("on +get ~a", in: access)
        let before = user.rules
        #expect(throws: RuleFailure.self) { try self.user("-get +foo", in: access) }
        #expect(user.rules == before)
    }

    @Test func whiteSpaceStandsInNoPatternAndNoArgument() {
        for text in ["~a\nb", "&a b", "+select|0\nuser", "%R~a\u{0}b", "~a\u{b}b"] {
            #expect(throws: RuleFailure(Array(text.utf8), .syntax)) {
                try access.change(Array("u".utf8), [Array(text.utf8)])
            }
        }
    }

    @Test func selectorsStandEachForItself() throws {
        let rules = "on ~a +get (~b +set) (%R~c +@read)"
        #expect(try denial(rules, "get a") == nil)
        #expect(try denial(rules, "set b 1") == nil)
        #expect(try denial(rules, "strlen c") == nil)
        #expect(try denial(rules, "set a 1") == .key(1))
        #expect(try denial(rules, "get b") == .key(1))
        #expect(try denial(rules, "mget c a") == .key(2))
        #expect(try denial(rules, "del a") == .command)
    }

    @Test func readingAndWritingAreTwoRights() throws {
        let rules = "on %R~r* %W~w* +@all"
        #expect(try denial(rules, "get r1") == nil)
        #expect(try denial(rules, "set r1 x") == .key(1))
        #expect(try denial(rules, "set w1 x") == nil)
        #expect(try denial(rules, "set w1 x get") == .key(1))
        #expect(try denial(rules, "get w1") == .key(1))
        #expect(try denial(rules, "copy r1 w1") == nil)
        #expect(try denial(rules, "copy w1 r1") == .key(1))
        #expect(try denial(rules, "rename r1 w1") == .key(1))
        #expect(try denial(rules, "bitfield r1 get u4 0") == nil)
        #expect(try denial(rules, "bitfield r1 set u4 0 1") == .key(1))
        #expect(try denial(rules, "sort r1 store w1") == nil)
        #expect(try denial(rules, "sort r1 store r2") == .key(3))
        #expect(try denial(rules, "exists w1 r1") == nil)
        #expect(try denial(rules, "exists x") == .key(1))
    }

    /// What a key spec finds by a keyword is not always what the handler takes.
    @Test func argumentsThatLookLikeKeywordsDontHideKeys() throws {
        let rules = "on ~STREAMS ~ok +@all"
        #expect(try denial(rules, "xread streams ok 0") == nil)
        #expect(try denial(rules, "xread streams secret 0") == .key(2))
        #expect(try denial(rules, "xreadgroup group g STREAMS streams secret >") == .key(5))
        #expect(try denial(rules, "xreadgroup count 1 group g STREAMS STREAMS secret >") == .key(7))
        #expect(try denial(rules, "georadius ok 0 0 1 m store ok store secret") == .key(9))
        #expect(try denial(rules, "georadiusbymember ok m 1 m storedist ok storedist secret") == .key(8))
        #expect(try denial(rules, "sort ok store ok store secret") == .key(5))
        #expect(try denial(rules, "sort ok by store store secret") == .key(5))
    }

    @Test func argumentsWithoutSenseAreRefused() throws {
        for line in ["eval x 99 ok", "eval x -1 ok", "eval x y ok", "zunionstore ok 9 ok", "lmpop x ok left",
            "xread streams"] {
            #expect(try denial("on ~ok +@all", line) != nil, "\(line)")
            #expect(try denial("on ~* +@all", line) == nil, "\(line)")
        }
    }

    @Test func patternsToListenToAreTakenLiterally() throws {
        let rules = "on &news:* +@pubsub"
        #expect(try denial(rules, "subscribe news:a news:b") == nil)
        #expect(try denial(rules, "subscribe news:a other") == .channel(2))
        #expect(try denial(rules, "psubscribe news:*") == nil)
        #expect(try denial(rules, "psubscribe news:a*") == .channel(1))
        #expect(try denial(rules, "psubscribe *") == .channel(1))
        #expect(try denial(rules, "publish other x") == .channel(1))
        #expect(try denial(rules, "ssubscribe other") == .channel(1))
        #expect(try denial(rules, "spublish news:a x") == nil)
        #expect(try denial(rules, "unsubscribe other") == nil)
    }

    @Test func firstArgumentsAndSubcommands() throws {
        let rules = "on +select|0 +config|get +client -client|kill"
        #expect(try denial(rules, "select 0") == nil)
        #expect(try denial(rules, "select 1") == .command)
        #expect(try denial(rules, "config get x") == nil)
        #expect(try denial(rules, "config set x y") == .command)
        #expect(try denial(rules, "client list") == nil)
        #expect(try denial(rules, "client kill id 1") == .command)
        #expect(try denial("on +select|0 -select", "select 0") == .command)
    }

    @Test func nothingIsAskedOfThoseWhoMayDoEverything() throws {
        #expect(try user("on +@all ~* &*").rules.isUnrestricted)
        #expect(try user("on (+@all ~* &*)").rules.isUnrestricted)
        #expect(try user("on +@all -get +get ~* &*").rules.isUnrestricted)
        #expect(try !user("on +@all -get ~* &*").rules.isUnrestricted)
        #expect(try !user("on +@all ~* &x").rules.isUnrestricted)
    }

    /// Seeded: whatever bytes come as rules, nothing traps, and what a user is described as reads back as that user.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func randomRulesDoNotTrapAndReadBack(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let parts = ["+", "-", "@", "~", "%", "R", "W", "&", "(", ")", " ", "|", "get", "config", "all", "*",
            "\"", "'", "\\",
                     ">", "<", "#", "!", "on", "reset", "nopass", "x", "\u{0}", "é", "[", "set", "select", "0",
                         "~*", "+@all"]
        for _ in 0..<5_000 {
            let access = access
            var rules: [[UInt8]] = []
            for _ in 0..<(1 + random.next(below: 6)) {
                var rule: [UInt8] = []
                for _ in 0..<random.next(below: 7)
                    { rule += Array(parts[Int(random.next(below: UInt64(parts.count)))].utf8) }
                if random.next(below: 5) == 0 { rule.append(UInt8(truncatingIfNeeded: random.next())) }
                rules.append(rule)
            }
            let name = Array("u".utf8)
            for rule in RuleReader.merged(rules).rules ?? rules { try? access.change(name, [rule]) }
            guard let user = access.usersInOrder.last, user.name == name else { continue }
            let again = AccessControl(table)
            let line = user.rules.description.split(separator: UInt8(ascii: " ")).map(Array.init)
            try again.change(name, try #require(RuleReader.merged(line).rules, "seed \(seed)"))
            let read = try #require(again.usersInOrder.last)
            #expect(read.rules == user.rules,
                "seed \(seed): \(String(decoding: user.rules.description, as: UTF8.self))")
        }
    }
}
