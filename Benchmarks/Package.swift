// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
]

// A package of its own: who builds Apus does not build its benches. It names the executables of Apus as dependencies
// so that one build puts them next to `apus-bench`, compiled the same way.
let package = Package(
    name: "apus-benchmarks",
    dependencies: [
        .package(name: "apus", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    ],
    targets: [
        .executableTarget(
            name: "apus-bench",
            dependencies: [
                .product(name: "APIServerSupport", package: "apus"),
                .product(name: "Addressing", package: "apus"),
                .product(name: "BenchSupport", package: "apus"),
                .product(name: "TestSupport", package: "apus"),
                .product(name: "apus-traffic", package: "apus"),
                .product(name: "apusd", package: "apus"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .testTarget(name: "ApusBenchTests", dependencies: ["apus-bench"], swiftSettings: strict),
    ]
)
