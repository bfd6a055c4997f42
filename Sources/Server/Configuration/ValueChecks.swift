// Constraints beyond a value's type, with redis-server's words for them.

extension ValueCheck where Value == String {
    static func isFileName(_ directive: String) -> ValueCheck {
        ValueCheck { text throws(ConfigurationError) in
            let kind = directive == "appenddirname" ? "dirname" : "filename"
            if text.isEmpty && directive != "dbfilename" { throw ConfigurationError("\(directive) can't be empty") }
            if text.contains("/") { throw ConfigurationError("\(directive) can't be a path, just a \(kind)") }
        }
    }

    static func isFileNameOrEmpty(_ directive: String) -> ValueCheck {
        ValueCheck { text throws(ConfigurationError) in
            if text.contains("/") { throw ConfigurationError("\(directive) can't be a path, just a dirname") }
        }
    }

    static var isPreloadFile: ValueCheck {
        ValueCheck { text throws(ConfigurationError) in
            guard text.isEmpty || Preload.parse(text) != nil else {
                throw ConfigurationError("preload-file must be rdb:PATH or aof:MANIFEST")
            }
        }
    }

    static var isHostName: ValueCheck {
        ValueCheck { text throws(ConfigurationError) in
            if text.utf8.count >= 256 { throw ConfigurationError("Hostnames must be less than 256 characters") }
            guard text.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 45 || $0 == 46 }) else {
                throw ConfigurationError("Hostnames may only contain alphanumeric characters, hyphens or dots")
            }
        }
    }

    static var isNodeName: ValueCheck {
        ValueCheck { text throws(ConfigurationError) in
            if text.utf8.count >= 256 {
                throw ConfigurationError("Cluster announce human nodename must be less than 256 characters")
            }
            guard text.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 45 || $0 == 46 || $0 == 95 }) else {
                throw ConfigurationError(
                    "Announced human node name may only contain alphanumeric characters, hyphens, "
                        + "dots or underscores")
            }
        }
    }

    static var isTitleTemplate: ValueCheck {
        ValueCheck { text throws(ConfigurationError) in
            guard ProcessTitle.expand(text, { _ in "" }) != nil else {
                throw ConfigurationError("template format is invalid or contains unknown variables")
            }
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        byte &- 48 < 10 || (byte | 0x20) &- 97 < 26
    }
}

extension ValueCheck where Value == Bool {
    /// Memory is not moved about by this server.
    static var isNotPossible: ValueCheck {
        ValueCheck { isOn throws(ConfigurationError) in
            guard isOn else { return }
            throw ConfigurationError(
                "Active defragmentation cannot be enabled: this server's allocator doesn't offer it")
        }
    }
}
