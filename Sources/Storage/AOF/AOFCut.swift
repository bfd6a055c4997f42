import Primitives

// Cutting the end off a log file. What is cut off, but for filler at its end (LogFiller.swift), is first kept beside
// the file, as NAME.torn-<unix seconds>, which no manifest names and nobody loads.
//
// What a power loss leaves behind each step
//
//     1  copy the tail to temp-NAME.torn, fsync          the log as it was; a temporary, which the next start removes
//     2  rename it to NAME.torn-T, fsync the directory   the log as it was; the tail is kept, maybe under its
//                                                        temporary name: then it is cut, and kept, again
//     3  truncate the log, fsync                         the tail is kept; the log ends where it shall, or as before:
//                                                        then it is cut again, and kept twice

package enum AOFCut {
    /// Bytes copied at once.
    private static let chunkBytes = 1 << 20

    /// Ends the file at byte `end`. Durable when it returns.
    /// - Parameter mark: what the kept bytes' name says of them.
    /// - Returns: where the bytes behind `end` are kept, and how many.
    package static func cut(_ path: String, at end: Int, in fileSystem: any FileSystem, now: UnixMilliseconds,
                            mark: String = "torn") throws(StorageError) -> (path: String, bytes: Int) {
        let kept = try keep(path, from: end, in: fileSystem, now: now, mark)
        try truncate(path, to: end, in: fileSystem)
        return kept
    }

    /// Ends the file at byte `end`, durably, and keeps nothing of what stood there.
    package static func truncate(_ path: String, to end: Int, in fileSystem: any FileSystem) throws(StorageError) {
        let file = try fileSystem.open(path, .append)
        defer { fileSystem.close(file) }
        try fileSystem.truncate(file, to: end)
        try fileSystem.sync(file)
    }

    private static func keep(_ path: String, from start: Int, in fileSystem: any FileSystem,
                             now: UnixMilliseconds, _ mark: String) throws(StorageError) -> (String, Int) {
        let directory = FilePath.directory(path), name = FilePath.name(path)
        let temporary = FilePath.join(directory, "temp-\(name).torn")
        let source = try fileSystem.open(path, .read)
        defer { fileSystem.close(source) }
        let end = try endOfWhatWasWritten(source, behind: start, in: fileSystem)
        do throws(StorageError) {
            let target = try fileSystem.open(temporary, .createOrEmpty)
            defer { fileSystem.close(target) }
            try copy(source, from: start, to: end, into: target, in: fileSystem)
            try fileSystem.sync(target)
        } catch {
            try? fileSystem.unlink(temporary)
            throw error
        }
        let kept = try freeName(path + ".\(mark)-\(now.seconds)", in: fileSystem)
        try fileSystem.rename(temporary, kept)
        try fileSystem.syncDirectory(directory)
        return (kept, end - start)
    }

    /// Filler at the file's end is not kept. (A file that looks compressed has none.)
    private static func endOfWhatWasWritten(_ file: File, behind start: Int,
                                            in fileSystem: any FileSystem) throws(StorageError) -> Int {
        let size = try fileSystem.size(file), source = try AOFSource(file, in: fileSystem)
        return source.size == size ? try LogFiller.start(source, size: size, notBefore: start) : size
    }

    private static func copy(_ source: File, from start: Int, to end: Int, into target: File,
                             in fileSystem: any FileSystem) throws(StorageError) {
        let buffer = UnsafeMutableRawBufferPointer(start: Heap.allocate(chunkBytes), count: chunkBytes)
        defer { if let base = buffer.baseAddress { Heap.free(base) } }
        var position = start
        while position < end {
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(chunkBytes, end - position)])
            let count = try fileSystem.read(source, at: position, into: room)
            if count == 0 { return }
            try fileSystem.write(target, Bytes(rebasing: buffer[..<count]))
            position += count
        }
    }

    /// Puts a whole file aside; durable when the directory is synced.
    package static func setAside(_ path: String, in fileSystem: any FileSystem, now: UnixMilliseconds,
                                 mark: String) throws(StorageError) -> String {
        let kept = try freeName(path + ".\(mark)-\(now.seconds)", in: fileSystem)
        try fileSystem.rename(path, kept)
        return kept
    }

    static func freeName(_ wanted: String, in fileSystem: any FileSystem) throws(StorageError) -> String {
        var name = wanted, number = 1
        while try fileSystem.status(name) != nil {
            number += 1
            name = "\(wanted)-\(number)"
        }
        return name
    }
}
