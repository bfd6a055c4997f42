import Keyspace
import Primitives
import RESP

// LCS: the longest common subsequence of two strings, by the table of the lengths of all prefixes' subsequences:
//
//     length[i][j] = length[i-1][j-1] + 1                      if the bytes before i and j are equal
//                    max(length[i-1][j], length[i][j-1])       else
//
// read backwards from its last corner. Where both neighbours are as long, the step is in the second string; which
// of several longest subsequences is found is part of the command's contract with its users.

extension StringCommands {
    private struct LCSOptions {
        var length = false
        var indexes = false
        var withMatchLength = false
        var minimumMatch = 0

        init(_ call: Call) throws(CommandError) {
            var index = 3
            while index < call.count {
                if call.isWord(index, "LEN") {
                    length = true
                } else if call.isWord(index, "IDX") {
                    indexes = true
                } else if call.isWord(index, "WITHMATCHLEN") {
                    withMatchLength = true
                } else if call.isWord(index, "MINMATCHLEN"), index + 1 < call.count {
                    minimumMatch = Int(max(try call.integer(index + 1), 0))
                    index += 1
                } else {
                    throw .syntax
                }
                index += 1
            }
            if length && indexes {
                throw .text("ERR If you want both the length and indexes, please just use IDX.")
            }
        }
    }

    static func lcs(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        var first = OwnedBytes(), second = OwnedBytes()
        let firstIsText = copyString(&keyspace, call, 1, to: &first)
        let secondIsText = copyString(&keyspace, call, 2, to: &second)
        if !firstIsText || !secondIsText { throw .text("ERR The specified keys must contain string values") }
        let options = try LCSOptions(call)
        let (cells, overflow) = (first.count + 1).multipliedReportingOverflow(by: second.count + 1)
        if overflow || cells > (1 << 40) || cells * 4 > keyspace.thresholds.protoMaxBulkLength {
            throw .text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
        }
        let table = Heap.allocate(cells * 4).bindMemory(to: UInt32.self, capacity: cells)
        defer { Heap.free(table) }
        fill(table, first.bytes, second.bytes)
        let length = Int(table[cells - 1])
        if options.length {
            call.reply.integer(length)
        } else if options.indexes {
            replyMatches(table, first.bytes, second.bytes, length, options, call)
        } else {
            replySequence(table, first.bytes, second.bytes, length, call)
        }
    }

    /// A missing key is an empty string; false: it is no string.
    private static func copyString(_ keyspace: inout Keyspace, _ call: Call, _ index: Int, to out: inout OwnedBytes)
        -> Bool {
        guard let entry = keyspace.find(call[index], in: call.database, .read) else { return true }
        if entry.type != .string { return false }
        if entry.encoding == .int { out.append(decimal: entry.integer) } else { out.append(entry.stringBytes) }
        return true
    }

    private static func fill(_ table: UnsafeMutablePointer<UInt32>, _ a: Bytes, _ b: Bytes) {
        let width = b.count + 1
        for column in 0..<width { table[column] = 0 }
        var above = table
        for row in 0..<a.count {
            let line = above + width
            line[0] = 0
            let byte = a[row]
            for column in 0..<b.count {
                line[column + 1] = byte == b[column] ? above[column] &+ 1 : max(above[column + 1], line[column])
            }
            above = line
        }
    }

    /// Visits the pairs of equal bytes from the end on.
    private static func walk(_ table: UnsafeMutablePointer<UInt32>, _ a: Bytes, _ b: Bytes,
                             _ visit: (Int, Int) -> Void) {
        let width = b.count + 1
        var i = a.count, j = b.count
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                i -= 1
                j -= 1
                visit(i, j)
            } else if table[(i - 1) * width + j] > table[i * width + j - 1] {
                i -= 1
            } else {
                j -= 1
            }
        }
    }

    private static func replySequence(_ table: UnsafeMutablePointer<UInt32>, _ a: Bytes, _ b: Bytes, _ length: Int,
                                      _ call: Call) {
        var sequence = OwnedBytes(capacity: length)
        sequence.append(uninitialized: length) { target in
            var place = length
            walk(table, a, b) { i, _ in
                place -= 1
                target.storeBytes(of: a[i], toByteOffset: place, as: UInt8.self)
            }
        }
        call.reply.bulk(sequence.bytes)
    }

    /// Runs of pairs that follow one another in both strings, last run first.
    private static func replyMatches(_ table: UnsafeMutablePointer<UInt32>, _ a: Bytes, _ b: Bytes, _ length: Int,
                                     _ options: LCSOptions, _ call: Call) {
        call.reply.map(2)
        call.reply.bulk("matches")
        let reply = call.reply, mark = reply.beginDeferred()
        var count = 0, run = 0, i = 0, j = 0
        func emit() {
            guard run > 0, run >= options.minimumMatch else { return }
            count += 1
            reply.array(options.withMatchLength ? 3 : 2)
            for start in [i, j] {
                reply.array(2)
                reply.integer(start)
                reply.integer(start + run - 1)
            }
            if options.withMatchLength { reply.integer(run) }
        }
        walk(table, a, b) { nextI, nextJ in
            if run > 0 && nextI == i - 1 && nextJ == j - 1 {
                run += 1
            } else {
                emit()
                run = 1
            }
            i = nextI
            j = nextJ
        }
        emit()
        reply.endArray(mark, count)
        reply.bulk("len")
        reply.integer(length)
    }
}
