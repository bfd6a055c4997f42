/// Exit statuses of both check tools. They don't change from release to release.
package enum CheckStatus {
    /// The file is good, or was mended; the output is whole; the files compared are equal.
    package static let good: Int32 = 0
    /// It is damaged or torn, and was not mended (nothing was asked for, a dry run, or it can't be).
    package static let damaged: Int32 = 1
    /// The arguments make no sense.
    package static let usage: Int32 = 2
    /// check-rdb: the output was written, or the file read, and something is left out.
    package static let incomplete: Int32 = 3
    /// check-rdb: the files compared differ.
    package static let different: Int32 = 4
    /// An output, or a repair, can't be written. The input is as it was.
    package static let notWritten: Int32 = 5
    /// A file can't be opened or read.
    package static let unreadable: Int32 = 6

    package static let help = """
        Exit status:
          0  good, or good by now; the output is whole; files compared are equal
          1  damaged or torn, and not mended
          2  the arguments are wrong
          3  something is left out of what was read or written: each thing is told (check-rdb)
          4  the files compared differ (check-rdb)
          5  the output, or the repair, can't be written
          6  a file can't be opened or read
        """

    /// What an error of the disk means.
    package static func of(_ error: StorageError) -> Int32 {
        switch error.operation {
        case .open, .read, .list, .stat, .lock: unreadable
        case .load, .decompress: damaged
        case .create, .write, .truncate, .sync, .rename, .link, .unlink, .makeDirectory, .syncDirectory: notWritten
        }
    }
}
