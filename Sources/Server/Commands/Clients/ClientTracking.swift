import Commands
import Engine
import Primitives
import RESP

/// CLIENT TRACKING and what belongs to it.
enum ClientTracking {
    // MARK: TRACKING

    static func tracking(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let session = core.engine.current
        let mode = try options(core, call)
        if call.isWord(2, "OFF") {
            core.engine.stopTracking(session)
        } else if call.isWord(2, "ON") {
            try turnOn(core, session, mode)
        } else {
            throw .syntax
        }
        call.reply.ok()
    }

    private static func options(_ core: ServerCore, _ call: borrowing Call) throws(CommandError) -> TrackingMode {
        var mode = TrackingMode(), optIn = false, optOut = false
        var index = 3
        while index < call.count {
            let hasMore = index + 1 < call.count
            if call.isWord(index, "REDIRECT"), hasMore {
                index += 1
                if mode.redirection != 0 { throw .text("ERR A client can only redirect to a single other client") }
                mode.redirection = try call.integer(index)
                if core.session(mode.redirection) == nil {
                    throw .text("ERR The client ID you want redirect to does not exist")
                }
            } else if call.isWord(index, "BCAST") {
                mode.broadcasts = true
            } else if call.isWord(index, "OPTIN") {
                optIn = true
            } else if call.isWord(index, "OPTOUT") {
                optOut = true
            } else if call.isWord(index, "NOLOOP") {
                mode.sparesOwn = true
            } else if call.isWord(index, "PREFIX"), hasMore {
                index += 1
                mode.prefixes.append(Array(call[index]))
            } else {
                throw .syntax
            }
            index += 1
        }
        mode.choice = optIn ? .optIn : optOut ? .optOut : .all
        if call.isWord(2, "ON") { try check(mode, core.engine.current.tracking, optIn: optIn, optOut: optOut) }
        return mode
    }

    private static func check(_ mode: TrackingMode, _ old: TrackingMode?, optIn: Bool, optOut: Bool)
        throws(CommandError) {
        if !mode.broadcasts && !mode.prefixes.isEmpty {
            throw .text("ERR PREFIX option requires BCAST mode to be enabled")
        }
        if let old, old.broadcasts != mode.broadcasts {
            throw .text("""
                ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
                re-enabling it with a different mode.
                """)
        }
        if mode.broadcasts && (optIn || optOut) {
            throw .text("ERR OPTIN and OPTOUT are not compatible with BCAST")
        }
        if optIn && optOut { throw .text("ERR You can't specify both OPTIN mode and OPTOUT mode") }
    }

    /// A client that tracks already may add prefixes and change the rest, but not the kind of tracking.
    private static func turnOn(_ core: ServerCore, _ session: Session, _ wanted: TrackingMode)
        throws(CommandError) {
        var mode = wanted
        if let old = session.tracking {
            if old.choice != .all && mode.choice != .all && old.choice != mode.choice {
                throw .text("""
                    ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                    re-enabling it with a different mode.
                    """)
            }
            try checkPrefixes(mode.prefixes, old.prefixes)
            mode.prefixes = old.prefixes + mode.prefixes
        } else {
            try checkPrefixes(mode.prefixes, [])
        }
        if mode.broadcasts && mode.prefixes.isEmpty { mode.prefixes = [[]] }
        core.engine.startTracking(session, mode)
    }

    private static func checkPrefixes(_ new: [[UInt8]], _ old: [[UInt8]]) throws(CommandError) {
        func overlap(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.starts(with: b) || b.starts(with: a) }
        func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
        for (index, prefix) in new.enumerated() {
            if let other = old.first(where: { overlap($0, prefix) }) {
                throw .message("ERR Prefix '\(text(prefix))' overlaps with an existing prefix '\(text(other))'. "
                    + "Prefixes for a single client must not overlap.")
            }
            if let other = new[(index + 1)...].first(where: { overlap($0, prefix) }) {
                throw .message("ERR Prefix '\(text(prefix))' overlaps with another provided prefix "
                    + "'\(text(other))'. Prefixes for a single client must not overlap.")
            }
        }
    }

    // MARK: The others

    static func caching(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let session = core.engine.current
        guard let mode = session.tracking else {
            throw .text("""
                ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
                enabled
                """)
        }
        if call.isWord(2, "YES") {
            guard mode.choice == .optIn else {
                throw .text("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
            }
        } else if call.isWord(2, "NO") {
            guard mode.choice == .optOut else {
                throw .text("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
            }
        } else {
            throw .syntax
        }
        core.engine.chooseNextCommand(session)
        call.reply.ok()
    }

    static func getRedirection(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.integer(core.engine.current.tracking?.redirection ?? -1)
    }

    static func trackingInfo(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let mode = core.engine.current.tracking
        let flags = mode.map { names($0) } ?? ["off"]
        call.reply.map(3)
        call.reply.bulk("flags" as StaticString)
        call.reply.set(flags.count)
        for flag in flags { call.reply.bulk(flag) }
        call.reply.bulk("redirect" as StaticString)
        call.reply.integer(mode?.redirection ?? -1)
        call.reply.bulk("prefixes" as StaticString)
        let prefixes = mode?.prefixes.sorted { $0.lexicographicallyPrecedes($1) } ?? []
        call.reply.array(prefixes.count)
        for prefix in prefixes { prefix.withUnsafeBytes { call.reply.bulk($0) } }
    }

    private static func names(_ mode: TrackingMode) -> [StaticString] {
        var names: [StaticString] = ["on"]
        if mode.broadcasts { names.append("bcast") }
        switch mode.choice {
        case .all: break
        case .optIn:
            names.append("optin")
            if mode.nextIsChosen { names.append("caching-yes") }
        case .optOut:
            names.append("optout")
            if mode.nextIsChosen { names.append("caching-no") }
        }
        if mode.sparesOwn { names.append("noloop") }
        if mode.redirectionIsBroken { names.append("broken_redirect") }
        return names
    }
}
