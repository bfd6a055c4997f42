import CShims
import Glibc
import Primitives

/// Accepts connections on one TCP address or Unix socket and gives them to the server.
package final class Listener: LoopSource {
    private unowned(unsafe) let server: ServerCore
    /// Empty for TCP.
    package let unixPath: String
    /// The TCP port, also when the kernel chose it; 0 for a Unix socket.
    package let port: Int

    private let kind: ConnectionKind

    private init(server: ServerCore, descriptor: Int32, _ kind: ConnectionKind, unixPath: String) {
        self.server = server
        self.kind = kind
        self.unixPath = unixPath
        port = Socket.address(descriptor, .local)?.port ?? 0
        super.init(descriptor: descriptor)
        server.loop.watch(self, .read)
    }

    /// - Parameter host: an address, or `*` / `::*` for all of IPv4 / IPv6.
    package static func listenTCP(_ server: ServerCore, host: String, port: Int, _ kind: ConnectionKind, backlog: Int)
        throws(SocketError) -> Listener {
        Listener(server: server, descriptor: try Socket.listenTCP(host: host, port: port, backlog: backlog), kind,
                 unixPath: "")
    }

    /// - Parameter permissions: mode bits of the socket's file; 0: as the umask leaves them.
    package static func listenUnix(_ server: ServerCore, path: String, permissions: Int, backlog: Int)
        throws(SocketError) -> Listener {
        let descriptor = try Socket.listenUnix(path: path, permissions: permissions, backlog: backlog)
        return Listener(server: server, descriptor: descriptor, .unix, unixPath: path)
    }

    /// Stops listening; a Unix socket's file goes too.
    package func close() {
        guard isWatched else { return }
        server.loop.remove(self)
        Glibc.close(descriptor)
        if !unixPath.isEmpty { unlink(unixPath) }
    }

    package override func ready(_ events: LoopEvents) {
        // What is left makes another event.
        let configuration = server.configuration
        let most = kind == .tls ? configuration.tls.maxNewConnectionsPerCycle : configuration.maxNewConnectionsPerCycle
        for _ in 0..<most {
            let client = sr_accept(descriptor)
            if client >= 0 {
                server.accept(client, kind)
                continue
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EAGAIN: return
            default:
                rest()
                return
            }
        }
    }

    /// Out of descriptors or memory: the pending connection stays readable, so asking again at once would only spin.
    private func rest() {
        server.loop.change(self, to: [])
        server.loop.schedule(afterMilliseconds: 100) { [weak self] in
            guard let self else { return }
            server.loop.change(self, to: .read)
        }
    }
}
