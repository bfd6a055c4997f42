import CTLS

/// The `tls-…` directives.
package struct TLSConfiguration {
    package enum ClientCertificates: String, ConfigurationChoice {
        case no, yes, optional
    }

    /// `tls-auth-clients-user`: which field of a client's certificate names its user.
    package enum UserField: String {
        case off
        case commonName = "CN"
    }

    package var port = 0
    package var certFile = ""
    package var keyFile = ""
    package var keyFilePass = ""
    package var clientCertFile = ""
    package var clientKeyFile = ""
    package var clientKeyFilePass = ""
    package var caCertFile = ""
    package var caCertDir = ""
    package var dhParamsFile = ""
    package var protocols = ""
    package var ciphers = ""
    package var ciphersuites = ""
    package var authClients = ClientCertificates.yes
    package var authClientsUser = UserField.off
    package var preferServerCiphers = false
    package var sessionCaching = true
    package var sessionCacheSize = 20480
    package var sessionCacheTimeout = 300
    package var cluster = false
    package var replication = false
    package var maxNewConnectionsPerCycle = 1
}

extension TLSConfiguration {
    /// Versions as bits; `protocols` is words of any case between spaces, empty: 1.2 and 1.3.
    private func versions() throws(ConfigurationError) -> Int {
        let words = protocols.lowercased().split(separator: " ")
        if words.isEmpty { return SR_TLS_1_2 | SR_TLS_1_3 }
        var bits = 0
        for word in words {
            switch word {
            case "tlsv1": bits |= SR_TLS_1_0
            case "tlsv1.1": bits |= SR_TLS_1_1
            case "tlsv1.2": bits |= SR_TLS_1_2
            case "tlsv1.3": bits |= SR_TLS_1_3
            default:
                throw ConfigurationError("Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', "
                    + "'TLSv1.2' and 'TLSv1.3'.")
            }
        }
        return bits
    }

    private var asked: Int {
        switch authClients {
        case .no: SR_TLS_ASKS_NOT
        case .optional: SR_TLS_ASKS
        case .yes: SR_TLS_REQUIRES
        }
    }

    /// A context of these settings; its files are read now. The error names directive, file and cause.
    /// - Parameter forClients: for the connections of others to us; else for ours to others.
    func makeContext(forClients: Bool = true) throws(ConfigurationError) -> TLSContext {
        let texts = [certFile, keyFile, keyFilePass, clientCertFile, clientKeyFile, clientKeyFilePass, caCertFile,
                     caCertDir, dhParamsFile, ciphers, ciphersuites].map { TLSText($0) }
        var settings = sr_tls_settings()
        settings.certificate = texts[0].pointer
        settings.key = texts[1].pointer
        settings.key_password = texts[2].pointer
        settings.client_certificate = texts[3].pointer
        settings.client_key = texts[4].pointer
        settings.client_key_password = texts[5].pointer
        settings.ca_file = texts[6].pointer
        settings.ca_directory = texts[7].pointer
        settings.dh_parameters = texts[8].pointer
        settings.ciphers = texts[9].pointer
        settings.cipher_suites = texts[10].pointer
        settings.versions = Int32(try versions())
        settings.client_certificates = Int32(asked)
        settings.prefers_own_ciphers = preferServerCiphers ? 1 : 0
        settings.caches_sessions = sessionCaching ? 1 : 0
        settings.cache_size = sessionCacheSize
        settings.cache_seconds = sessionCacheTimeout
        var message = [CChar](repeating: 0, count: 1024)
        let made = withExtendedLifetime(texts) {
            forClients ? sr_tls_context_create(&settings, &message, message.count)
                : sr_tls_client_context_create(&settings, &message, message.count)
        }
        guard let made else { throw ConfigurationError(text(of: message)) }
        return TLSContext(made)
    }

    private func text(of message: [CChar]) -> String {
        String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A text as C wants it; nil for an empty one.
private final class TLSText {
    let pointer: UnsafePointer<CChar>?
    private let owned: UnsafeMutablePointer<CChar>?

    init(_ text: String) {
        guard !text.isEmpty else {
            pointer = nil
            owned = nil
            return
        }
        let bytes = text.utf8CString
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        for (index, byte) in bytes.enumerated() { (copy + index).initialize(to: byte) }
        owned = copy
        pointer = UnsafePointer(copy)
    }

    deinit { owned?.deallocate() }
}

/// Certificates, keys and rules, as they were read. Streams that began with it keep what they need of it.
final class TLSContext {
    let pointer: OpaquePointer
    init(_ pointer: OpaquePointer) { self.pointer = pointer }
    deinit { sr_tls_context_free(pointer) }

    /// Seconds until the server's certificate ends; negative when it has.
    var lifetime: Int64 { sr_tls_context_lifetime(pointer) }
}

extension Configuration {
    /// The port that is shown where there is room for one.
    package var listenedPort: Int { port != 0 ? port : tls.port }
}
