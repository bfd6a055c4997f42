import Primitives

extension InfoReport {
    static func persistence(_ core: ServerCore, _ writer: inout InfoWriter) {
        writer.section("Persistence")
        writer.field("loading", core.engine.state.isLoading)
        writer.field("rdb_changes_since_last_save", core.engine.changesSinceSave)
    }

    static func forks(_ core: ServerCore, _ writer: inout InfoWriter) {
        writer.field("latest_fork_usec", 0)
        writer.field("total_forks", 0)
    }
}
