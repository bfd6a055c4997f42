import Primitives

// One configuration directive: how its text becomes a property's value and back. The tables in Directives/ are made of
// these; the ones with a form of their own (save, bind …) are in SpecialDirectives.swift.

/// Largest values of directives that redis-server keeps in C integers of these sizes.
let int32 = Int(Int32.max)
let uint32 = Int(UInt32.max)
let unbounded = Int.max

package struct DirectiveFlags: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Only a file or the command line sets it.
    package static let immutable = DirectiveFlags(rawValue: 1 << 0)
    /// Not shown in logs.
    package static let sensitive = DirectiveFlags(rawValue: 1 << 1)
    /// CONFIG SET needs `enable-protected-configs`.
    package static let protected = DirectiveFlags(rawValue: 1 << 2)
    /// CONFIG GET shows it only by its exact name.
    package static let hidden = DirectiveFlags(rawValue: 1 << 3)
    package static let deniedWhileLoading = DirectiveFlags(rawValue: 1 << 4)
    /// Setting the same value again has an effect (files are read anew).
    package static let volatile = DirectiveFlags(rawValue: 1 << 5)
    /// A value is a list of words.
    package static let multipleArguments = DirectiveFlags(rawValue: 1 << 6)
}

package struct Directive {
    package let name: String
    package let alias: String?
    package let flags: DirectiveFlags
    /// The value as CONFIG GET gives it.
    package let text: (Configuration) -> String
    /// Checks the words of a value and puts it into its property.
    package let assign: (Configuration, [String]) throws(ConfigurationError) -> Void
    /// The lines that CONFIG REWRITE writes for it, without the name; none: its lines go.
    let lines: (Configuration) -> [String]

    typealias Assignment = (Configuration, [String]) throws(ConfigurationError) -> Void

    init(_ name: String, alias: String? = nil, _ flags: DirectiveFlags, text: @escaping (Configuration) -> String,
         lines: ((Configuration) -> [String])? = nil, assign: @escaping Assignment) {
        self.name = name
        self.alias = alias
        self.flags = flags
        self.text = text
        self.lines = lines ?? { [text($0)] }
        self.assign = assign
    }
}

// MARK: Kinds

private final class Holder<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}

/// Where a directive's value is.
struct Place<Value> {
    let get: (Configuration) -> Value
    let set: (Configuration, Value) -> Void

    init(_ path: Directive.Path<Value>) {
        get = { $0[keyPath: path] }
        set = { $0[keyPath: path] = $1 }
    }

    /// Nowhere but here: the tables of directives are made anew for each configuration.
    init(kept initial: Value) {
        let holder = Holder(initial)
        get = { _ in holder.value }
        set = { holder.value = $1 }
    }
}

extension Directive {
    typealias Path<Value> = ReferenceWritableKeyPath<Configuration, Value>

    /// yes or no.
    static func bool(_ name: String, alias: String? = nil, _ path: Path<Bool>, _ flags: DirectiveFlags = [],
                     check: ValueCheck<Bool>? = nil) -> Directive {
        bool(name, alias: alias, in: Place(path), flags, check: check)
    }

    private static func bool(_ name: String, alias: String?, in place: Place<Bool>, _ flags: DirectiveFlags,
                             check: ValueCheck<Bool>?) -> Directive {
        Directive(name, alias: alias, flags, text: { place.get($0) ? "yes" : "no" }) {
            configuration, words throws(ConfigurationError) in
            let word = try single(words).lowercased()
            guard word == "yes" || word == "no" else { throw ConfigurationError("argument must be 'yes' or 'no'") }
            try check?.run(word == "yes")
            place.set(configuration, word == "yes")
        }
    }

    static func text(_ name: String, alias: String? = nil, _ path: Path<String>, _ flags: DirectiveFlags = [],
                     check: ValueCheck<String>? = nil) -> Directive {
        text(name, alias: alias, in: Place(path), flags, check: check)
    }

    private static func text(_ name: String, alias: String?, in place: Place<String>, _ flags: DirectiveFlags,
                             check: ValueCheck<String>?) -> Directive {
        Directive(name, alias: alias, flags, text: place.get,
                  lines: { place.get($0).isEmpty ? [] : [quoted(place.get($0))] }) {
            configuration, words throws(ConfigurationError) in
            let word = try single(words)
            try check?.run(word)
            place.set(configuration, word)
        }
    }

    static func integer(_ name: String, alias: String? = nil, _ path: Path<Int>, _ range: ClosedRange<Int>,
                        as form: IntegerForm = .decimal, _ flags: DirectiveFlags = []) -> Directive {
        integer(name, alias: alias, in: Place(path), range, as: form, flags)
    }

    private static func integer(_ name: String, alias: String?, in place: Place<Int>, _ range: ClosedRange<Int>,
                                as form: IntegerForm, _ flags: DirectiveFlags) -> Directive {
        Directive(name, alias: alias, flags, text: { form.text(place.get($0)) },
                  lines: { [form.line(place.get($0))] }) { configuration, words throws(ConfigurationError) in
            place.set(configuration, try form.parse(single(words), range))
        }
    }

    /// One of the cases of an enumeration.
    static func choice<Choice: ConfigurationChoice>(_ name: String, alias: String? = nil, _ path: Path<Choice>,
                                                    _ flags: DirectiveFlags = []) -> Directive {
        Directive(name, alias: alias, flags, text: { $0[keyPath: path].rawValue }) {
            configuration, words throws(ConfigurationError) in
            let word = try single(words).lowercased()
            guard let choice = Choice(rawValue: word) else {
                throw notAmong(Choice.allCases.map(\.rawValue))
            }
            configuration[keyPath: path] = choice
        }
    }

    /// One of a few words.
    static func choice(_ name: String, _ path: Path<String>, of words: [String],
                       _ flags: DirectiveFlags = []) -> Directive {
        choice(name, in: Place(path), of: words, flags)
    }

    private static func choice(_ name: String, in place: Place<String>, of words: [String],
                               _ flags: DirectiveFlags) -> Directive {
        Directive(name, flags, text: place.get) { configuration, given throws(ConfigurationError) in
            let word = try single(given).lowercased()
            guard words.contains(word) else { throw notAmong(words) }
            place.set(configuration, word)
        }
    }

    // Without a property: checked, kept, given back.

    static func keptBool(_ name: String, alias: String? = nil, _ initial: String, _ flags: DirectiveFlags = [],
                         check: ValueCheck<Bool>? = nil) -> Directive {
        bool(name, alias: alias, in: Place(kept: initial == "yes"), flags, check: check)
    }

    static func keptText(_ name: String, alias: String? = nil, _ initial: String,
                         _ flags: DirectiveFlags = []) -> Directive {
        text(name, alias: alias, in: Place(kept: initial), flags, check: nil)
    }

    static func keptInteger(_ name: String, alias: String? = nil, _ initial: Int, _ range: ClosedRange<Int>,
                            as form: IntegerForm = .decimal, _ flags: DirectiveFlags = []) -> Directive {
        integer(name, alias: alias, in: Place(kept: initial), range, as: form, flags)
    }

    static func keptChoice(_ name: String, _ initial: String, of words: [String],
                           _ flags: DirectiveFlags = []) -> Directive {
        choice(name, in: Place(kept: initial), of: words, flags)
    }

    // MARK: Words

    static func single(_ words: [String]) throws(ConfigurationError) -> String {
        guard words.count == 1 else { throw ConfigurationError("wrong number of arguments") }
        return words[0]
    }

    static func notAmong(_ words: [String]) -> ConfigurationError {
        ConfigurationError("argument(s) must be one of the following: " + words.joined(separator: ", "))
    }

    /// As a line of a configuration file holds it.
    static func quoted(_ text: String) -> String {
        var out = OwnedBytes(capacity: 64)
        var text = text
        text.withUTF8 { Quote.append(Bytes($0), to: &out) }
        return String(decoding: out.bytes, as: UTF8.self)
    }
}

/// All directives, topic by topic.
enum Directives {
    static var all: [Directive] {
        process + network + persistence + memory + replication + cluster + security + observation + tls
    }
}

/// A constraint beyond a value's type.
struct ValueCheck<Value> {
    let run: (Value) throws(ConfigurationError) -> Void
}
