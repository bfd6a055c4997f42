import Foundation
import TestSupport
import Testing

/// Over TLS, with certificates made here; all the settings and misbehaving peers are tools/network's.
@Suite struct TLSTests {
    /// Runs a program of the system; what it printed.
    @discardableResult
    private static func run(_ words: String...) throws -> String {
        let process = Process(), out = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardOutput = out
        process.standardError = out
        try process.run()
        let text = String(decoding: out.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text
    }

    /// A certificate that vouches for itself, and its key.
    private static func certificate(_ directory: TemporaryDirectory,
                                    _ name: String) throws -> (file: String, key: String) {
        let file = directory.path(name + ".crt"), key = directory.path(name + ".key")
        try run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                key, "-out", file, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
        return (file, key)
    }

    @Test func aStockClientIsServedOverTLSBesideAPlainOne() throws {
        let directory = try TemporaryDirectory()
        let (file, key) = try Self.certificate(directory, "server")
        let port = "\(try ServerProcess.freePort())"
        let server = try ServerProcess(["--tls-port", port, "--tls-cert-file", file, "--tls-key-file", key,
                                        "--tls-auth-clients", "no"])
        let plain = try server.client()
        #expect(try plain.ask("SET", "k", "v", reply: "+OK\r\n"))
        #expect(try Self.run("redis-cli", "-p", port, "--tls", "--cacert", file, "GET", "k") == "v\n")
        #expect(try plain.ask("CONFIG", "SET", "tls-auth-clients", "yes", "tls-ca-cert-file", file, reply: "+OK\r\n"))
        let stranger = try Self.run("redis-cli", "-p", port, "--tls", "--cacert", file, "GET", "k")
        #expect(!stranger.contains("v\n"))
        let known = try Self.run("redis-cli", "-p", port, "--tls", "--cacert", file, "--cert", file, "--key", key,
                                 "GET", "k")
        #expect(known == "v\n")
    }

    @Test func aCertificateThatCanNotBeReadStopsTheStartAndIsNamed() throws {
        let directory = try TemporaryDirectory()
        let key = try Self.certificate(directory, "server").key
        let run = try ServerRun("--tls-port", "\(try ServerProcess.freePort())", "--tls-cert-file", "/nowhere.crt",
                                "--tls-key-file", key, "--tls-auth-clients", "no")
        #expect(run.exitStatus() == 1)
        #expect(run.log.contains("Failed to configure TLS: tls-cert-file '/nowhere.crt': No such file or directory"))
    }

    @Test func aCertificateThatCanNotBeReadChangesNothing() throws {
        let directory = try TemporaryDirectory()
        let (file, key) = try Self.certificate(directory, "server")
        let port = "\(try ServerProcess.freePort())"
        let server = try ServerProcess(["--tls-port", port, "--tls-cert-file", file, "--tls-key-file", key,
                                        "--tls-auth-clients", "no"])
        let client = try server.client()
        let other = try Self.certificate(directory, "other")
        let error = "-ERR CONFIG SET failed (possibly related to argument 'tls-key-file') - Unable to update TLS "
            + "configuration. tls-key-file '\(other.key)': not the key of the certificate in '\(file)'\r\n"
        #expect(try client.ask("CONFIG", "SET", "tls-key-file", other.key, reply: error))
        #expect(try Self.run("redis-cli", "-p", port, "--tls", "--cacert", file, "PING") == "PONG\n")
        #expect(try client.ask("CONFIG", "SET", "tls-cert-file", other.file, "tls-key-file", other.key,
                               reply: "+OK\r\n"))
        #expect(try Self.run("redis-cli", "-p", port, "--tls", "--cacert", other.file, "PING") == "PONG\n")
    }
}
