import Engine
import NIOCore
import NIOPosix
import Primitives
import RESP

/// Accepts connections on TCP addresses and a Unix socket, and puts each on the engine's loop.
struct Listener {
    let server: ServerCore
    let group: any EventLoopGroup

    func bootstrap(backlog: Int32) -> ServerBootstrap {
        let server = UncheckedReference(server)
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator(
                minimum: 1024, initial: 16384, maximum: 1 << 20))
            .childChannelInitializer { channel in
                let core = server.value
                let address = channel.remoteAddress.map { "\($0.ipAddress ?? "?"):\($0.port ?? 0)" } ?? ""
                let connection = Connection(server: core, session: core.makeSession(), address: address)
                core.connected(connection)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
    }
}

/// Carries a reference that lives on one event loop through an API that asks for `Sendable`.
struct UncheckedReference<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
