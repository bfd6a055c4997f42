import Glibc
import Primitives

/// A socket whose connection is over on our side: our FIN is sent, and what the peer still sends is read and thrown
/// away until it ends too or a second has passed. Closing at once with unread input would send RST, which makes the
/// peer's kernel drop the replies that it has not read yet.
final class Lingering: LoopSource {
    private unowned(unsafe) let server: ServerCore
    private let deadline: UnixMilliseconds
    private static let longestMilliseconds: Int64 = 1000

    init(_ server: ServerCore, descriptor: Int32) {
        self.server = server
        deadline = UnixMilliseconds(server.engine.keyspace.now.rawValue + Self.longestMilliseconds)
        super.init(descriptor: descriptor)
        shutdown(descriptor, Int32(SHUT_WR))
        if !server.loop.watch(self, .read) { close(descriptor) }
    }

    @available(*, unavailable, message: "say which server the socket belongs to")
    override init(descriptor: Int32) { preconditionFailure("never called") }

    override func ready(_ events: LoopEvents) {
        let count = read(descriptor, server.traffic.pointee.readBuffer, Connection.sharedReadBytes)
        if count > 0 || (count < 0 && errno == EAGAIN) { return }
        end()
    }

    /// True when it is over.
    func isOver(_ now: UnixMilliseconds) -> Bool {
        if isWatched && now > deadline { end() }
        return !isWatched
    }

    private func end() {
        guard isWatched else { return }
        server.loop.remove(self)
        close(descriptor)
    }
}
