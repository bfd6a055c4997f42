/// Encryption: kept and given back; nothing listens on it.
extension Directives {
    static var tls: [Directive] { [
        .keptInteger("tls-port", 0, 0...65535),
        .keptInteger("tls-session-cache-size", 20480, 0...int32),
        .keptInteger("tls-session-cache-timeout", 300, 0...int32),
        .keptBool("tls-cluster", "no"),
        .keptBool("tls-replication", "no"),
        .keptChoice("tls-auth-clients", "yes", of: ["no", "yes", "optional"]),
        .keptBool("tls-prefer-server-ciphers", "no"),
        .keptBool("tls-session-caching", "yes"),
        .keptText("tls-cert-file", "", [.volatile]),
        .keptText("tls-key-file", "", [.volatile]),
        .keptText("tls-key-file-pass", "", [.sensitive]),
        .keptText("tls-client-cert-file", "", [.volatile]),
        .keptText("tls-client-key-file", "", [.volatile]),
        .keptText("tls-client-key-file-pass", "", [.sensitive]),
        .keptText("tls-dh-params-file", "", [.volatile]),
        .keptText("tls-ca-cert-file", "", [.volatile]),
        .keptText("tls-ca-cert-dir", "", [.volatile]),
        .keptText("tls-protocols", ""),
        .keptText("tls-ciphers", ""),
        .keptText("tls-ciphersuites", ""),
    ] }
}
