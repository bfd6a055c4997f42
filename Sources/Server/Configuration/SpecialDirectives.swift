import Commands
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// Directives with a form of their own.

extension Directive {
    /// save SECONDS CHANGES [SECONDS CHANGES ...], or save ""
    static var save: Directive {
        Directive("save", [.multipleArguments], text: { configuration in
            configuration.saveParameters.map { "\($0.seconds) \($0.changes)" }.joined(separator: " ")
        }, lines: { configuration in
            let points = configuration.saveParameters.map { "\($0.seconds) \($0.changes)" }
            return points.isEmpty ? ["\"\""] : points
        }, assign: { configuration, words throws(ConfigurationError) in
            let words = words == [""] ? [] : words
            guard words.count % 2 == 0 else { throw ConfigurationError("Invalid save parameters") }
            var points: [SaveParameter] = []
            for index in stride(from: 0, to: words.count, by: 2) {
                guard let seconds = Int(words[index]), let changes = Int(words[index + 1]), seconds > 0, changes >= 0
                else { throw ConfigurationError("Invalid save parameters") }
                points.append(SaveParameter(seconds: seconds, changes: changes))
            }
            let adds = configuration.isReadingFile && configuration.hasReadSave && !points.isEmpty
            configuration.hasReadSave = true
            configuration.saveParameters = (adds ? configuration.saveParameters : []) + points
        })
    }

    /// disk-soft-limit, disk-hard-limit: auto | BYTES | PERCENT%
    static func diskLimit(_ name: String, _ path: Path<DiskLimit>) -> Directive {
        Directive(name, [], text: { $0[keyPath: path].text }) { configuration, words throws(ConfigurationError) in
            let word = try single(words).lowercased()
            if word == "auto" {
                configuration[keyPath: path] = .auto
                return
            }
            let value: Int
            do throws(ConfigurationError) {
                value = try IntegerForm.memoryOrPercent.parse(word, -100...unbounded)
            } catch {
                throw ConfigurationError("argument must be auto, a memory or a percent value")
            }
            configuration[keyPath: path] = value < 0 ? .percent(-value) : .bytes(value)
        }
    }

    /// aof-history-keep: BYTES, or a time: 90s, 30min, 12h, 7d
    static func historyLimit(_ name: String, _ path: Path<AOFHistory.Limit>) -> Directive {
        let units = [("min", 60), ("s", 1), ("h", 3600), ("d", 86400)]
        return Directive(name, [], text: { configuration in
            switch configuration[keyPath: path] {
            case .bytes(let bytes): "\(bytes)"
            case .seconds(let seconds): "\(seconds)s"
            }
        }, assign: { configuration, words throws(ConfigurationError) in
            let word = try single(words).lowercased()
            for (unit, seconds) in units where word.hasSuffix(unit) {
                guard let count = Int(word.dropLast(unit.count)), count >= 0, count <= 1 << 32 else { break }
                configuration[keyPath: path] = .seconds(count * seconds)
                return
            }
            do throws(ConfigurationError) {
                configuration[keyPath: path] = .bytes(try IntegerForm.memory.parse(word, 0...unbounded))
            } catch {
                throw ConfigurationError("argument must be a memory value, or a time: 90s, 30min, 12h, 7d")
            }
        })
    }

    /// client-output-buffer-limit CLASS HARD SOFT SECONDS [CLASS ...]
    static var clientOutputBufferLimit: Directive {
        func words(_ limit: OutputBufferLimit) -> String { "\(limit.hard) \(limit.soft) \(limit.softSeconds)" }
        func line(_ limit: OutputBufferLimit) -> String {
            "\(IntegerForm.memory.line(limit.hard)) \(IntegerForm.memory.line(limit.soft)) \(limit.softSeconds)"
        }
        return Directive("client-output-buffer-limit", [.multipleArguments], text: { configuration in
            let limits = configuration.clientOutputBufferLimits
            return "normal \(words(limits.normal)) slave \(words(limits.replica)) pubsub \(words(limits.pubsub))"
        }, lines: { configuration in
            let limits = configuration.clientOutputBufferLimits
            return ["normal \(line(limits.normal))", "replica \(line(limits.replica))",
                    "pubsub \(line(limits.pubsub))"]
        }, assign: { configuration, words throws(ConfigurationError) in
            configuration.clientOutputBufferLimits = try outputBufferLimits(
                words, configuration.clientOutputBufferLimits)
        })
    }

    private static func outputBufferLimits(_ words: [String], _ old: OutputBufferLimits)
        throws(ConfigurationError) -> OutputBufferLimits {
        guard words.count % 4 == 0 else {
            throw ConfigurationError("Wrong number of arguments in buffer limit configuration.")
        }
        var limits = old
        for index in stride(from: 0, to: words.count, by: 4) {
            let member: WritableKeyPath<OutputBufferLimits, OutputBufferLimit>
            switch words[index].lowercased() {
            case "normal": member = \.normal
            case "slave", "replica": member = \.replica
            case "pubsub": member = \.pubsub
            default: throw ConfigurationError("Invalid client class specified in buffer limit configuration.")
            }
            guard let hard = try? IntegerForm.memory.parse(words[index + 1], 0...unbounded),
                  let soft = try? IntegerForm.memory.parse(words[index + 2], 0...unbounded),
                  let seconds = Int(words[index + 3]), seconds >= 0 else {
                throw ConfigurationError(
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration.")
            }
            limits[keyPath: member] = OutputBufferLimit(hard: hard, soft: soft, softSeconds: seconds)
        }
        return limits
    }

    /// oom-score-adj-values PRIMARY REPLICA CHILD
    static var oomScoreAdjValues: Directive {
        Directive("oom-score-adj-values", [.multipleArguments], text: { configuration in
            configuration.oomScoreAdjValues.map { "\($0)" }.joined(separator: " ")
        }, assign: { configuration, words throws(ConfigurationError) in
            guard words.count == 3 else { throw ConfigurationError("wrong number of arguments") }
            let values = words.compactMap { Int($0) }.filter { (-2000...2000).contains($0) }
            guard values.count == 3 else {
                throw ConfigurationError(
                    "Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
            }
            configuration.oomScoreAdjValues = values
        })
    }

    /// Letters of classes of events; A stands for those of all types.
    static var notifyKeyspaceEvents: Directive {
        Directive("notify-keyspace-events", [], text: { eventLetters($0.notifyKeyspaceEvents) },
                  lines: { [quoted(eventLetters($0.notifyKeyspaceEvents))] },
                  assign: { configuration, words throws(ConfigurationError) in
            var classes = EventClass(rawValue: 0)
            for letter in try single(words) {
                if letter == "A" {
                    classes.formUnion(allEvents)
                } else if let known = eventClasses.first(where: { $0.0 == letter }) {
                    classes.insert(known.1)
                } else {
                    throw ConfigurationError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
                }
            }
            configuration.notifyKeyspaceEvents = classes
        })
    }

    private static let eventClasses: [(Character, EventClass)] = [
        ("g", .generic), ("$", .string), ("l", .list), ("s", .set), ("h", .hash), ("z", .sortedSet), ("x", .expired),
        ("e", .evicted), ("t", .stream), ("d", .module), ("K", .keyspace), ("E", .keyevent), ("m", .keyMiss),
        ("n", .newKey),
    ]
    private static let allEvents: EventClass = [
        .generic, .string, .list, .set, .hash, .sortedSet, .expired, .evicted, .stream, .module,
    ]

    private static func eventLetters(_ classes: EventClass) -> String {
        let hasAll = classes.isSuperset(of: allEvents)
        var letters = hasAll ? "A" : ""
        for (letter, eventClass) in eventClasses where classes.contains(eventClass) {
            if !(hasAll && allEvents.contains(eventClass)) { letters.append(letter) }
        }
        return letters
    }

    /// bind [-]ADDRESS ...; none: no TCP at all.
    static var bind: Directive {
        func text(_ configuration: Configuration) -> String {
            configuration.bind.map { ($0.isOptional ? "-" : "") + $0.host }.joined(separator: " ")
        }
        return Directive("bind", [.multipleArguments], text: text, lines: { configuration in
            [configuration.bind.isEmpty ? "\"\"" : text(configuration)]
        }, assign: { configuration, words throws(ConfigurationError) in
            guard words.count <= 16 else { throw ConfigurationError("Too many bind addresses specified.") }
            configuration.bind = words == [""] ? [] : words.map { word in
                BindAddress(host: word.hasPrefix("-") ? String(word.dropFirst()) : word,
                            isOptional: word.hasPrefix("-"))
            }
        })
    }

    /// replicaof HOST PORT, or replicaof no one
    static var replicaof: Directive {
        func text(_ configuration: Configuration) -> String {
            configuration.replicaof.map { "\($0.host) \($0.port)" } ?? ""
        }
        return Directive("replicaof", alias: "slaveof", [.immutable, .multipleArguments], text: text,
                         lines: { $0.replicaof == nil ? [] : [text($0)] },
                         assign: { configuration, words throws(ConfigurationError) in
            guard words.count == 2 else { throw ConfigurationError("wrong number of arguments") }
            if words[0].lowercased() == "no" && words[1].lowercased() == "one" {
                configuration.replicaof = nil
                return
            }
            guard let port = Int(words[1]), (0...65535).contains(port) else {
                throw ConfigurationError("Invalid master port")
            }
            configuration.replicaof = PrimaryAddress(host: words[0], port: port)
        })
    }

    /// latency-tracking-info-percentiles PERCENTILE ...
    static var percentiles: Directive {
        let name = "latency-tracking-info-percentiles"
        func text(_ configuration: Configuration) -> String {
            configuration.latencyTrackingInfoPercentiles.map { value in
                let text = "\(value)"
                return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
            }.joined(separator: " ")
        }
        return Directive(name, [.multipleArguments], text: text, lines: { configuration in
            [configuration.latencyTrackingInfoPercentiles.isEmpty ? "\"\"" : text(configuration)]
        }, assign: { configuration, words throws(ConfigurationError) in
            var values: [Double] = []
            for word in words == [""] ? [] : words {
                guard let value = Double(word) else { throw ConfigurationError("Invalid \(name) parameters") }
                guard value >= 0 && value <= 100 else {
                    throw ConfigurationError("\(name) parameters should sit between [0.0,100.0]")
                }
                values.append(value)
            }
            configuration.latencyTrackingInfoPercentiles = values
        })
    }

    /// shutdown-on-sigterm, shutdown-on-sigint: default, or any of save, nosave, now, force
    static func shutdownOptions(_ name: String, _ path: Path<ShutdownOptions>) -> Directive {
        Directive(name, [.multipleArguments], text: { configuration in
            let options = configuration[keyPath: path]
            if options.isEmpty { return "default" }
            return ShutdownOptions.words.filter { !$0.1.isEmpty && options.contains($0.1) }.map(\.0)
                .joined(separator: " ")
        }, assign: { configuration, words throws(ConfigurationError) in
            var options = ShutdownOptions()
            for word in words {
                guard let known = ShutdownOptions.words.first(where: { $0.0 == word.lowercased() }) else {
                    throw notAmong(ShutdownOptions.words.map(\.0))
                }
                options.formUnion(known.1)
            }
            if options.contains(.save) && options.contains(.nosave) {
                throw ConfigurationError("shutdown options SAVE and NOSAVE can't be used simultaneously")
            }
            configuration[keyPath: path] = options
        })
    }

    /// The working directory: setting it changes to it at once, so that relative paths behind it mean the new one.
    static var dir: Directive {
        func path(_ configuration: Configuration) -> String {
            configuration.isTrial ? configuration.dir : WorkingDirectory.path
        }
        return Directive("dir", [.protected, .deniedWhileLoading], text: path, lines: { [quoted(path($0))] },
                         assign: { configuration, words throws(ConfigurationError) in
            let target = try single(words)
            if configuration.isTrial {
                configuration.dir = WorkingDirectory.absolute(target)
                return
            }
            guard chdir(target) == 0 else { throw ConfigurationError(String(cString: strerror(errno))) }
            configuration.dir = WorkingDirectory.path
        })
    }
}
