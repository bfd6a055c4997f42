import Primitives

extension InfoReport {
    static func persistence(_ core: ServerCore, _ writer: inout InfoWriter) { core.persistence.report(&writer) }

    static func forks(_ core: ServerCore, _ writer: inout InfoWriter) {
        writer.field("latest_fork_usec", core.persistence.lastForkMicroseconds)
        writer.field("total_forks", core.persistence.forkCount)
    }
}
