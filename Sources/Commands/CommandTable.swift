import Primitives

/// All commands, found by name in either case. Records live as long as the process, so that a call can point at
/// them without counting references.
package final class CommandTable: Sendable {
    /// A command or subcommand with its place in the table of statistics and ACL bitmaps.
    package struct Row: Sendable {
        package let command: Command
        package let id: Int
        /// The container's row number, −1 for a top-level command.
        package let parent: Int
        /// `config|get` for a subcommand, else the name.
        package let fullName: String
        package let firstSubcommand: Int
        package let subcommandCount: Int
    }

    /// Rows by id: every command, each followed by its subcommands.
    package nonisolated(unsafe) let rows: UnsafePointer<Row>
    /// The records of the rows, by id.
    package nonisolated(unsafe) let commands: UnsafePointer<Command>
    package let count: Int
    private nonisolated(unsafe) let slots: UnsafePointer<Int32>
    private let slotMask: Int

    package init(_ families: [[Command]]) {
        var rows: [Row] = []
        for command in families.joined() {
            let id = rows.count, name = "\(command.name)"
            rows.append(Row(command: command, id: id, parent: -1, fullName: name, firstSubcommand: id + 1,
                            subcommandCount: command.subcommands.count))
            for sub in command.subcommands {
                rows.append(Row(command: sub, id: rows.count, parent: id, fullName: "\(name)|\(sub.name)",
                                firstSubcommand: 0, subcommandCount: 0))
            }
        }
        count = rows.count
        let table = UnsafeMutablePointer<Row>.allocate(capacity: rows.count)
        table.initialize(from: rows, count: rows.count)
        self.rows = UnsafePointer(table)
        let records = UnsafeMutablePointer<Command>.allocate(capacity: rows.count)
        records.initialize(from: rows.map(\.command), count: rows.count)
        commands = UnsafePointer(records)
        var size = 256
        while size < rows.count * 4 { size *= 2 }
        slotMask = size - 1
        let slots = UnsafeMutablePointer<Int32>.allocate(capacity: size)
        slots.initialize(repeating: -1, count: size)
        for row in rows where row.parent < 0 {
            var slot = Self.hash(row.command.name.bytes) & slotMask
            while slots[slot] >= 0 { slot = (slot + 1) & slotMask }
            slots[slot] = Int32(row.id)
        }
        self.slots = UnsafePointer(slots)
    }

    @inline(__always)
    private static func hash(_ name: Bytes) -> Int {
        var hash: UInt32 = 2_166_136_261
        for byte in name { hash = (hash ^ UInt32(byte | 0x20)) &* 16_777_619 }
        return Int(hash ^ (hash >> 15))
    }

    /// The id of the command with this name, nil if there is none.
    @inline(__always)
    package func find(_ name: Bytes) -> Int? {
        var slot = Self.hash(name) & slotMask
        while true {
            let id = Int(slots[slot])
            if id < 0 { return nil }
            if name.equalsIgnoringCase(commands[id].name) { return id }
            slot = (slot + 1) & slotMask
        }
    }

    /// The id of a container's subcommand.
    package func findSubcommand(_ name: Bytes, of id: Int) -> Int? {
        let row = rows[id]
        for sub in row.firstSubcommand..<(row.firstSubcommand + row.subcommandCount)
        where name.equalsIgnoringCase(commands[sub].name) { return sub }
        return nil
    }
}
