import Storage
#if canImport(Glibc)
import Glibc
#endif

/// What the server takes from the system around it. A simulation gives its own.
package struct ServerEnvironment {
    package var fileSystem: any FileSystem = PosixFileSystem()
    /// The same disk, for whoever writes images.
    package var imageDisk = ImageDisk.system
    /// No threads and no children: whoever drives the server takes their steps (Persistence/Stepping.swift).
    package var isStepped = false

    /// Numbers of files, so that one is not taken for another.
    package var makeID: () -> UInt64 = { UInt64.random(in: 1...UInt64.max) }
    /// What stands before batches, as tests want it.
    package var overFraming: (any BatchFraming) -> any BatchFraming = { $0 }
    /// How far ahead of its end the log's file is made.
    package var preallocation = LogPreallocation.Rule.usual
    /// Ends the process at once.
    package var exit: (Int32) -> Void = { _exit($0) }

    package init() {}

    package init(simulating fileSystem: any FileSystem, imageDisk: ImageDisk) {
        self.fileSystem = fileSystem
        self.imageDisk = imageDisk
        isStepped = true
        exit = { _ in }
    }
}
