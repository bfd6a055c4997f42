import Engine

/// The pages of the metrics port.
///
///     /metrics   Prometheus' text format
///     /healthz   200: the event loop turns
///     /readyz    200: commands are served (with what is wrong, if writes are refused); 503: not yet, or no more
struct MetricsPages {
    private let core: ServerCore

    init(_ core: ServerCore) { self.core = core }

    func answer(_ request: HTTPRequest) -> [UInt8] {
        switch request {
        case .malformed: return HTTPAnswer(.malformed, "this is not HTTP/1.1\n").bytes
        case .otherMethod: return HTTPAnswer(.otherMethod, "GET and HEAD are served\n").bytes
        case .page(let path, let withBody):
            var answer = page(path)
            answer.withBody = withBody
            return answer.bytes
        }
    }

    private func page(_ path: String) -> HTTPAnswer {
        switch path {
        case "/metrics":
            var answer = HTTPAnswer(.ok, MetricsReport.make(core))
            answer.type = "text/plain; version=0.0.4; charset=utf-8"
            return answer
        case "/healthz", "/health": return HTTPAnswer(.ok, "ok\n")
        case "/readyz": return readiness()
        case "/": return HTTPAnswer(.ok, "/metrics /healthz /readyz\n")
        case _: return HTTPAnswer(.notFound, "there are /metrics, /healthz and /readyz\n")
        }
    }

    private func readiness() -> HTTPAnswer {
        let state = core.engine.state
        if state.isLoading {
            return HTTPAnswer(.unavailable, "loading: \(InfoWriter.fixed(core.persistence.loadingPercent, 2))%\n")
        }
        if core.lifecycle.pendingShutdown != nil { return HTTPAnswer(.unavailable, "shutting down\n") }
        guard let line = core.engine.line(of: state.refusal) else { return HTTPAnswer(.ok, "ready\n") }
        return HTTPAnswer(.ok, "ready, but writes are refused: \(line)\n")
    }
}
