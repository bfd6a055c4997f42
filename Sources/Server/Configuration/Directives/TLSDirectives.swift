/// Encryption (TLS/).
extension Directives {
    static var tls: [Directive] { [
        .integer("tls-port", \.tls.port, 0...65535),
        .integer("tls-session-cache-size", \.tls.sessionCacheSize, 0...int32),
        .integer("tls-session-cache-timeout", \.tls.sessionCacheTimeout, 0...int32),
        .bool("tls-cluster", \.tls.cluster),
        .bool("tls-replication", \.tls.replication),
        .choice("tls-auth-clients", \.tls.authClients),
        .tlsAuthClientsUser,
        .bool("tls-prefer-server-ciphers", \.tls.preferServerCiphers),
        .bool("tls-session-caching", \.tls.sessionCaching),
        .text("tls-cert-file", \.tls.certFile, [.volatile]),
        .text("tls-key-file", \.tls.keyFile, [.volatile]),
        .text("tls-key-file-pass", \.tls.keyFilePass, [.sensitive]),
        .text("tls-client-cert-file", \.tls.clientCertFile, [.volatile]),
        .text("tls-client-key-file", \.tls.clientKeyFile, [.volatile]),
        .text("tls-client-key-file-pass", \.tls.clientKeyFilePass, [.sensitive]),
        .text("tls-dh-params-file", \.tls.dhParamsFile, [.volatile]),
        .text("tls-ca-cert-file", \.tls.caCertFile, [.volatile]),
        .text("tls-ca-cert-dir", \.tls.caCertDir, [.volatile]),
        .text("tls-protocols", \.tls.protocols),
        .text("tls-ciphers", \.tls.ciphers),
        .text("tls-ciphersuites", \.tls.ciphersuites),
    ] }
}

extension Directive {
    /// off, or CN: the common name of a client's certificate is the user that it is let in as.
    static var tlsAuthClientsUser: Directive {
        Directive("tls-auth-clients-user", [], text: { $0.tls.authClientsUser.rawValue }) {
            configuration, words throws(ConfigurationError) in
            switch try single(words).lowercased() {
            case "off": configuration.tls.authClientsUser = .off
            case "cn": configuration.tls.authClientsUser = .commonName
            default: throw notAmong(["CN", "off"])
            }
        }
    }
}
