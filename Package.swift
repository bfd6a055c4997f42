// swift-tools-version: 6.2
import PackageDescription

/// Settings of every module of ours. Exclusivity is proven statically; the dynamic checks cost about 3 % of a GET.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .unsafeFlags(["-enforce-exclusivity=unchecked", "-cross-module-optimization"], .when(configuration: .release)),
]

let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")

let package = Package(
    name: "swift-redis",
    products: [
        .executable(name: "swift-redis-server", targets: ["swift-redis-server"]),
        .executable(name: "swift-redis-check-aof", targets: ["swift-redis-check-aof"]),
        .executable(name: "swift-redis-check-rdb", targets: ["swift-redis-check-rdb"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .target(name: "CShims"),
        .systemLibrary(name: "CLua", pkgConfig: "lua5.1", providers: [.apt(["liblua5.1-0-dev"])]),
        .target(name: "CScripting", dependencies: ["CLua", "CShims"]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CTLS", dependencies: ["COpenSSL"]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

        .target(name: "Primitives", dependencies: ["CShims"], swiftSettings: house),
        .target(name: "RESP", dependencies: ["Primitives"], swiftSettings: house),
        .target(name: "Encodings", dependencies: ["Primitives"], swiftSettings: house),
        .target(name: "Keyspace", dependencies: ["Encodings", "Primitives"], swiftSettings: house),
        .target(name: "Storage",
                dependencies: ["Keyspace", "Encodings", "RESP", "Primitives", "CLZ4", "CZlib", "CShims",
                               histogram],
                swiftSettings: house),
        .target(name: "Commands", dependencies: ["Keyspace", "Encodings", "RESP", "Primitives"], swiftSettings: house),
        .target(name: "Scripting", dependencies: ["RESP", "Primitives", "CScripting"], swiftSettings: house),
        .target(name: "Engine",
                dependencies: ["Commands", "Scripting", "Keyspace", "Encodings", "RESP", "Primitives", histogram],
                swiftSettings: house),
        .target(name: "Server",
                dependencies: ["Engine", "Scripting", "Commands", "Storage", "Keyspace", "Encodings", "RESP", "Primitives", "CShims",
                               "CTLS"],
                swiftSettings: house),

        .executableTarget(name: "swift-redis-server", dependencies: ["Server", "Primitives"], swiftSettings: house),
        .executableTarget(name: "swift-redis-check-aof",
                          dependencies: ["Server", "Storage", "Commands", "RESP", "Primitives", arguments],
                          swiftSettings: house),
        .executableTarget(name: "swift-redis-check-rdb", dependencies: ["Storage", "Primitives", arguments],
                          swiftSettings: house),

        .target(name: "TestSupport", dependencies: ["Storage", "Keyspace", "RESP", "Primitives"],
                path: "Tests/TestSupport", swiftSettings: house),
        .target(name: "CSimulation", path: "Tests/CSimulation"),
        .target(name: "Simulation",
                dependencies: ["Server", "Engine", "Commands", "Storage", "Keyspace", "RESP", "Primitives", "TestSupport",
                               "CSimulation"],
                path: "Tests/Simulation", swiftSettings: house),
        .executableTarget(name: "swift-redis-simulate", dependencies: ["Simulation", "TestSupport", arguments],
                          path: "Tests/simulate",
                          swiftSettings: house),
        .testTarget(name: "SimulationTests", dependencies: ["Simulation", "TestSupport"], swiftSettings: house),
        .testTarget(name: "PrimitivesTests", dependencies: ["Primitives", "CShims", "TestSupport"], swiftSettings: house),
        .testTarget(name: "RESPTests", dependencies: ["RESP", "TestSupport"], swiftSettings: house),
        .testTarget(name: "EncodingsTests", dependencies: ["Encodings", "TestSupport"], swiftSettings: house),
        .testTarget(name: "KeyspaceTests", dependencies: ["Keyspace", "TestSupport"], swiftSettings: house),
        .testTarget(name: "ScriptingTests", dependencies: ["Scripting", "TestSupport"], swiftSettings: house),
        .testTarget(name: "StorageTests", dependencies: ["Storage", "TestSupport", "CLZ4"], swiftSettings: house),
        .testTarget(name: "ServerTests", dependencies: ["Server", "TestSupport", histogram], swiftSettings: house),
    ]
)
