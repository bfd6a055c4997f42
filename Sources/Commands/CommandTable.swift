import Primitives
import RESP

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
    /// What the rows run, by id.
    package nonisolated(unsafe) let bodies: UnsafePointer<Unmanaged<HandlerBody>>
    /// Whether a row has subcommands, by id.
    package nonisolated(unsafe) let isContainer: UnsafePointer<Bool>
    package let count: Int
    /// What clients call the commands, by id; of a length of 0: they can't.
    private nonisolated(unsafe) let names: UnsafePointer<Bytes>
    /// Hash table of the names, open addressing; id −1: free.
    private nonisolated(unsafe) let slots: UnsafePointer<Slot>
    private let slotMask: Int
    /// The table in which every command has its own name, which is what logs are written and read with; nil: this one.
    private let original: CommandTable?

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
        let containers = UnsafeMutablePointer<Bool>.allocate(capacity: rows.count)
        containers.initialize(from: rows.map { $0.subcommandCount > 0 }, count: rows.count)
        isContainer = UnsafePointer(containers)
        let bodies = UnsafeMutablePointer<Unmanaged<HandlerBody>>.allocate(capacity: rows.count)
        for (id, row) in rows.enumerated() {
            (bodies + id).initialize(to: .passRetained(HandlerBody(row.command.handler)))
        }
        self.bodies = UnsafePointer(bodies)
        let names = UnsafeMutablePointer<Bytes>.allocate(capacity: rows.count)
        for (id, row) in rows.enumerated() { (names + id).initialize(to: row.command.name.bytes) }
        self.names = UnsafePointer(names)
        (slots, slotMask) = Self.makeSlots(self.rows, count, self.names)
        original = nil
    }

    /// A table of the same commands, some of which are called otherwise: `rename-command`. Both live as long as the
    /// process. What has the new name "" can't be called.
    package init(_ table: CommandTable, renaming renames: [(old: String, new: String)]) {
        rows = table.rows
        commands = table.commands
        bodies = table.bodies
        isContainer = table.isContainer
        count = table.count
        let names = UnsafeMutablePointer<Bytes>.allocate(capacity: count)
        names.initialize(from: table.names, count: count)
        for (old, new) in renames {
            let id = Array(old.utf8).withUnsafeBytes { old in
                (0..<table.count).first { table.rows[$0].parent < 0 && names[$0].equalsIgnoringCase(old) }
            }
            guard let id else { continue }
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: new.utf8.count, alignment: 1)
            copy.copyBytes(from: new.utf8)
            names[id] = Bytes(copy)
        }
        self.names = UnsafePointer(names)
        (slots, slotMask) = Self.makeSlots(rows, count, self.names)
        original = table.original ?? table
    }

    private static func makeSlots(_ rows: UnsafePointer<Row>, _ count: Int,
                                  _ names: UnsafePointer<Bytes>) -> (UnsafePointer<Slot>, Int) {
        var size = 256
        while size < count * 4 { size *= 2 }
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: size)
        slots.initialize(repeating: .free, count: size)
        for id in 0..<count where rows[id].parent < 0 && names[id].count > 0 {
            let name = names[id], folded = fold(name)
            var slot = hash(folded, name.count) & (size - 1)
            while slots[slot].id >= 0 { slot = (slot + 1) & (size - 1) }
            let isPlain = name.count <= 8 && name.allSatisfy { isLetter($0) }
            slots[slot] = Slot(folded: folded, count: Int16(clamping: name.count), isPlain: isPlain, id: Int32(id))
        }
        return (UnsafePointer(slots), size - 1)
    }

    private static func isLetter(_ byte: UInt8) -> Bool { byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7a }

    private struct Slot {
        let folded: UInt64
        let count: Int16
        /// Folding says all about this name: it is short, and of letters. (The bit that tells `-` from CR is lost.)
        let isPlain: Bool
        let id: Int32

        static let free = Slot(folded: 0, count: 0, isPlain: false, id: -1)
    }

    private static let lowerCase: UInt64 = 0x2020_2020_2020_2020

    /// The first eight bytes of a name, letters in lower case; of a shorter one all bytes, some twice.
    @inline(__always)
    private static func fold(_ name: Bytes) -> UInt64 {
        guard let base = name.baseAddress, name.count > 0 else { return 0 }
        if name.count >= 8 { return base.loadUnaligned(as: UInt64.self) | lowerCase }
        if name.count >= 4 {
            let low = base.loadUnaligned(as: UInt32.self)
            let high = base.loadUnaligned(fromByteOffset: name.count - 4, as: UInt32.self)
            return UInt64(low) | UInt64(high) << 32 | lowerCase
        }
        return UInt64(name[0]) | UInt64(name[name.count >> 1]) << 8 | UInt64(name[name.count - 1]) << 16 | lowerCase
    }

    @inline(__always)
    private static func hash(_ folded: UInt64, _ count: Int) -> Int {
        Int(truncatingIfNeeded: ((folded ^ UInt64(truncatingIfNeeded: count)) &* 0x9e37_79b9_7f4a_7c15) >> 40)
    }

    /// The id of the command with this name, nil if there is none.
    @inline(__always)
    package func find(_ name: Bytes) -> Int? {
        let folded = Self.fold(name)
        var slot = Self.hash(folded, name.count) & slotMask
        while true {
            let candidate = slots[slot]
            if candidate.id < 0 { return nil }
            if candidate.folded == folded && Int(candidate.count) == name.count
                && (candidate.isPlain || name.equalsIgnoringCase(names[Int(candidate.id)])) {
                return Int(candidate.id)
            }
            slot = (slot + 1) & slotMask
        }
    }

    /// The id of the command that has this name by itself, whatever clients call it.
    package func findOriginal(_ name: Bytes) -> Int? { (original ?? self).find(name) }

    /// Some commands are called otherwise than they are by themselves.
    package var hasRenames: Bool { original != nil }

    /// Clients can call this command, or the container that it belongs to.
    package func isReachable(_ id: Int) -> Bool { names[rows[id].parent < 0 ? id : rows[id].parent].count > 0 }

    /// The id of the command that a record of the log is of, or of its subcommand; nil if there is none.
    package func findRecord(_ arguments: Arguments) -> Int? {
        guard let id = findOriginal(arguments[0]) else { return nil }
        return isContainer[id] ? resolveSubcommand(id, arguments) : id
    }

    /// The id of the subcommand that a container's arguments name; the container's own, if they name none.
    package func resolveSubcommand(_ id: Int, _ arguments: Arguments) -> Int? {
        guard arguments.count > 1 else { return id }
        // A command with a handler of its own and optional subcommands (COMMAND) may have none of this name.
        return findSubcommand(arguments[1], of: id)
    }

    /// The id of a container's subcommand.
    package func findSubcommand(_ name: Bytes, of id: Int) -> Int? {
        let row = rows[id]
        for sub in row.firstSubcommand..<(row.firstSubcommand + row.subcommandCount)
        where name.equalsIgnoringCase(commands[sub].name) { return sub }
        return nil
    }
}
