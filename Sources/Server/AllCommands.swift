import Commands
import Engine

/// Every command family; the table of commands is made of these.
package enum AllCommands {
    package static let families: [[Command]] = [
        ConnectionCommands.all,
        TransactionCommands.all,
        WaitCommands.all,
        ScriptCommands.all,
        FunctionCommands.all,
        GenericCommands.all,
        StringCommands.all,
        BitmapCommands.all,
        HyperLogLogCommands.all,
        ListCommands.all,
        SetCommands.all,
        SortedSetCommands.all,
        HashCommands.all,
        HashImportCommands.all,
        GeoCommands.all,
        SessionCommands.all,
        ClientCommands.all,
        CommandListing.all,
        ServerCommands.all,
        PersistenceCommands.all,
        BackupCommands.all,
        DurabilityCommands.all,
        DebugCommands.all,
        InfoCommand.all,
        SlowlogCommands.all,
        CommandlogCommands.all,
        HotkeysCommands.all,
        MigrateCommands.all,
        LatencyCommands.all,
        MemoryCommands.all,
        ModuleCommands.all,
        ACLCommands.all,
        ClusterCommands.all,
        MonitorCommand.all, SnapshotTransferCommands.all,
        PubSubCommands.all,
        DumpCommands.all,
        StreamCommands.all,
        ConfigCommands.all,
        ShutdownCommands.all,
    ]
}

extension Handler {
    /// A handler that needs the server around the engine.
    package static func server(
        _ body: @escaping @Sendable (ServerCore, inout Call) throws(CommandError) -> Void
    ) -> Handler {
        .control { (context: AnyObject, call: inout Call) throws(CommandError) in
            let engine = unsafeDowncast(context, to: Engine.self)
            guard let host = engine.host else { throw .text("ERR no server") }
            try body(unsafeDowncast(host, to: ServerCore.self), &call)
        }
    }
}
