import Primitives

extension HashTable {
    /// A report for people: sizes and how many buckets hold how many elements.
    package var statistics: String {
        if count == 0 { return "Hash table 0 stats (main hash table):\nNo stats available for empty dictionaries\n" }
        var text = describe(0, "main hash table")
        if isRehashing { text += describe(1, "rehashing target") }
        return text
    }

    private func describe(_ number: Int, _ role: String) -> String {
        guard let base = buckets(number) else { return "" }
        let size = mask(number) + 1
        var lengths: [Int: Int] = [:]
        var elements = 0
        for index in 0..<size {
            var length = 0
            Self.forEach(in: Bucket(base + index * Bucket.byteCount)) { _ in length += 1 }
            lengths[length, default: 0] += 1
            elements += length
        }
        let used = size - (lengths[0] ?? 0)
        var text = "Hash table \(number) stats (\(role)):\n table size: \(size) buckets of 7\n"
        text += " number of elements: \(elements)\n different buckets: \(used)\n"
        text += " most elements in a bucket: \(lengths.keys.max() ?? 0)\n Elements per bucket:\n"
        for (length, count) in lengths.sorted(by: { $0.key < $1.key }) {
            let percent = Double(count * 10000 / size) / 100
            text += "   \(length): \(count) (\(percent)%)\n"
        }
        return text
    }
}

extension Entry {
    /// The report of the value's hash table; nil if it is held otherwise.
    package func describeTable() -> String? {
        switch (type, encoding) {
        case (.set, .hashtable): SetValue(self).table.statistics
        case (.hash, .hashtable): HashFields(pointer).table.statistics
        case (.sortedSet, .skiplist): SortedSet(pointer).table.statistics
        case (.string, _), (.list, _), (.set, _), (.hash, _), (.sortedSet, _), (.module, _), (.stream, _): nil
        }
    }
}
