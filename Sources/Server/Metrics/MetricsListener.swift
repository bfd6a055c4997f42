import CShims
import Engine
import Glibc
import Primitives

/// The HTTP port for those who watch the server (`metrics-port`): /metrics, /healthz, /readyz. It asks for no
/// password, shows no data, and listens on the loopback interface unless `metrics-bind` says otherwise.
final class MetricsListener: LoopSource {
    unowned(unsafe) let core: ServerCore
    private var exchanges: [Int32: HTTPExchange] = [:]
    private var timer: LoopTimer?

    /// At the same time; whoever comes then is turned away at once.
    private static let mostExchanges = 32

    init(_ core: ServerCore, host: String, port: Int) throws(SocketError) {
        self.core = core
        super.init(descriptor: try Socket.listenTCP(host: host, port: port, backlog: 64))
        core.loop.watch(self, .read)
        timer = core.loop.schedule(everyMilliseconds: 1000) { [unowned(unsafe) self] in endLateOnes() }
    }

    @available(*, unavailable, message: "say where to listen")
    override init(descriptor: Int32) { preconditionFailure("never called") }

    func close() {
        timer?.cancel()
        core.loop.remove(self)
        Glibc.close(descriptor)
        for exchange in exchanges.values { exchange.end() }
    }

    override func ready(_ events: LoopEvents) {
        // One a round: clients come first. What is left makes another event.
        let peer = sr_accept(descriptor)
        guard peer >= 0 else { return }
        guard exchanges.count < Self.mostExchanges else {
            Glibc.close(peer)
            return
        }
        let exchange = HTTPExchange(self, descriptor: peer)
        if core.loop.watch(exchange, .read) { exchanges[peer] = exchange } else { Glibc.close(peer) }
    }

    func ended(_ exchange: HTTPExchange) { exchanges[exchange.descriptor] = nil }

    private func endLateOnes() {
        let now = MonotonicNanoseconds.now()
        for exchange in exchanges.values where exchange.isLate(now) { exchange.end() }
    }
}

extension Lifecycle {
    /// Opens the port, or another one when the settings change. False: it can't be had, and the log says why.
    func listenForMetrics() -> Bool {
        metrics?.close()
        metrics = nil
        let port = configuration.metricsPort
        if port == 0 { return true }
        do throws(SocketError) {
            metrics = try MetricsListener(core, host: configuration.metricsBind, port: port)
            return true
        } catch {
            core.log.write(.warning, "Failed listening on port \(port) (metrics): \(error)")
            return false
        }
    }
}
