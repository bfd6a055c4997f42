import Primitives

extension InfoReport {
    static func memory(_ core: ServerCore, _ writer: inout InfoWriter) {
        let facts = MemoryFacts(core, besides: writer.text.capacity)
        writer.section("Memory")
        writer.field("used_memory", "used_memory_human", bytes: facts.used)
        writer.field("used_memory_rss", "used_memory_rss_human", bytes: facts.resident)
        writer.field("used_memory_peak", "used_memory_peak_human", bytes: facts.peak)
        writer.field("used_memory_peak_perc", percent: facts.peakPercent)
        writer.field("used_memory_overhead", facts.overhead)
        writer.field("used_memory_startup", facts.startup)
        writer.field("used_memory_dataset", facts.dataset)
        writer.field("used_memory_dataset_perc", percent: facts.datasetPercent)
        writer.field("allocator_allocated", facts.allocator.allocated)
        writer.field("allocator_active", facts.allocator.active)
        writer.field("allocator_resident", facts.allocator.resident)
        writer.field("allocator_muzzy", 0)
        writer.field("total_system_memory", "total_system_memory_human", bytes: ProcessFacts.systemMemory())
        scripts(core, &writer)
        writer.field("maxmemory", "maxmemory_human", bytes: core.configuration.maxmemory)
        writer.field("maxmemory_policy", core.configuration.maxmemoryPolicy.rawValue)
        ratios(facts, &writer)
        writer.field("mem_not_counted_for_evict", facts.logBuffer)
        writer.field("mem_replication_backlog", 0)
        writer.field("mem_total_replication_buffers", 0)
        writer.field("mem_clients_slaves", 0)
        writer.field("mem_clients_normal", facts.clients)
        writer.field("mem_cluster_links", 0)
        writer.field("mem_aof_buffer", facts.logBuffer)
        writer.field("mem_allocator", "libc")
        writer.field("mem_overhead_db_hashtable_rehashing", facts.rehashing)
        writer.field("active_defrag_running", false)
        writer.field("lazyfree_pending_objects", core.lazyFreePending)
        writer.field("lazyfreed_objects", core.lazyFreed)
    }

    private static func scripts(_ core: ServerCore, _ writer: inout InfoWriter) {
        let scripts = core.engine.scripts
        let eval = scripts.scriptBytes, functions = scripts.functionBytes
        writer.field("used_memory_lua", eval)
        writer.field("used_memory_vm_eval", eval)
        writer.field("used_memory_lua_human", InfoWriter.human(eval))
        writer.field("used_memory_scripts_eval", scripts.sourceBytes)
        writer.field("number_of_cached_scripts", scripts.count)
        writer.field("number_of_functions", scripts.libraries.functionCount)
        writer.field("number_of_libraries", scripts.libraries.libraryCount)
        writer.field("used_memory_vm_functions", functions)
        writer.field("used_memory_vm_total", "used_memory_vm_total_human", bytes: eval + functions)
        writer.field("used_memory_functions", scripts.functionSourceBytes)
        writer.field("used_memory_scripts", "used_memory_scripts_human",
                     bytes: scripts.sourceBytes + scripts.functionSourceBytes)
    }

    private static func ratios(_ facts: MemoryFacts, _ writer: inout InfoWriter) {
        writer.field("allocator_frag_ratio", ratio: facts.allocator.fragmentationRatio)
        writer.field("allocator_frag_bytes", facts.allocator.active - facts.allocator.allocated)
        writer.field("allocator_rss_ratio", ratio: facts.allocator.residentRatio)
        writer.field("allocator_rss_bytes", facts.allocator.resident - facts.allocator.active)
        writer.field("rss_overhead_ratio", ratio: facts.residentOverheadRatio)
        writer.field("rss_overhead_bytes", facts.resident - facts.allocator.resident)
        writer.field("mem_fragmentation_ratio", ratio: facts.fragmentation)
        writer.field("mem_fragmentation_bytes", facts.resident - facts.used)
    }
}

extension ServerCore {
    /// Objects set aside for the background thread, not freed yet.
    var lazyFreePending: Int { background.pendingObjects + engine.keyspace.garbage.count / 16 }
    /// Objects that the background thread freed.
    var lazyFreed: Int { background.freedObjects }
}
