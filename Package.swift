// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
]

/// Of what tests run a hundred thousand times, optimized in debug builds too; assertions stay.
let hot: [SwiftSetting] =
    strict + [.unsafeFlags(["-O", "-assert-config", "Debug"], .when(configuration: .debug))]

let strictC: [CSetting] = [.treatAllWarnings(as: .error), .enableWarning("all"), .enableWarning("extra")]
let gnuC: [CSetting] = strictC + [.define("_GNU_SOURCE")]

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: [Target.Dependency] = [
    .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
    .product(name: "UnixSignals", package: "swift-service-lifecycle"),
]
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let nioHTTP: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let httpClient: [Target.Dependency] = [
    .product(name: "AsyncHTTPClient", package: "async-http-client"),
    .product(name: "NIOCore", package: "swift-nio"),
    nioHTTP,
    .product(name: "NIOPosix", package: "swift-nio"),
    nioTLS,
]
let grpcServer: [Target.Dependency] = [
    .product(name: "GRPCCore", package: "grpc-swift-2"),
    .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
]
/// What the file system says of files. Whether a file that uses `stat` of the C library itself compiles depends on what
/// is compiled with it, where Foundation is about: the two own the same struct.
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]

let package = Package(
    name: "apus",
    products: [
        .executable(name: "apusd", targets: ["apusd"]),
        .executable(name: "apus", targets: ["apus"]),
        .executable(name: "apus-cni", targets: ["apus-cni"]),
        .library(name: "TestSupport", targets: ["TestSupport"]),
        .library(name: "BenchSupport", targets: ["BenchSupport"]),
        // Benchmarks/Package.swift needs these too.
        .executable(name: "apus-traffic", targets: ["apus-traffic"]),
        .library(name: "APIServerSupport", targets: ["APIServerSupport"]),
        .library(name: "Addressing", targets: ["Addressing"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
        .package(url: "https://github.com/grpc/grpc-swift-2", exact: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", exact: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", exact: "2.4.1"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        // The seams to C.
        .systemLibrary(name: "CLibBPF"),
        .target(name: "CLinux", cSettings: strictC),
        .target(name: "DatapathABI", path: "bpf/abi", publicHeadersPath: ".", cSettings: strictC),
        .plugin(name: "CompileBPF", capability: .buildTool()),
        .target(name: "DatapathObjects", swiftSettings: strict, plugins: ["CompileBPF"]),

        // The kernel.
        .target(name: "Addressing", swiftSettings: hot),
        .target(name: "LinuxKernel", dependencies: ["CLinux", "Addressing"], swiftSettings: strict),
        .target(name: "BPF", dependencies: ["LinuxKernel", "CLinux", "CLibBPF"], swiftSettings: strict),

        // Pure domains.
        .target(name: "LoadBalancing", dependencies: ["Addressing"], swiftSettings: strict),
        .target(name: "NetworkPolicy", dependencies: ["Addressing", "DomainNames"], swiftSettings: hot),
        .target(name: "Flows", dependencies: ["Addressing"], swiftSettings: strict),
        .target(name: "DomainNames", dependencies: ["Addressing"], swiftSettings: hot),
        .target(name: "Wire", dependencies: ["Addressing"], swiftSettings: hot),
        .target(name: "NodeRouting", dependencies: ["Addressing"], swiftSettings: strict),
        .target(name: "PrometheusText", swiftSettings: strict),
        .target(name: "JSONText", swiftSettings: strict),

        .target(
            name: "FlowExport",
            dependencies: ["Addressing", "Flows", "HubbleFlows", "JSONText", "PrometheusText", system],
            swiftSettings: strict),

        .target(
            name: "OTLPClient", dependencies: ["FlowExport", "JSONText"] + httpClient,
            swiftSettings: strict),
        .target(
            name: "HubbleAPI",
            dependencies: [
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"), protobuf,
            ],
            exclude: ["Protocol"], swiftSettings: strict),
        .target(
            name: "HubbleFlows", dependencies: ["Addressing", "Flows", "HubbleAPI", "JSONText", protobuf],
            swiftSettings: strict),
        .target(
            name: "HubbleServer",
            dependencies: ["Addressing", "Flows", "HTTPEndpoint", "HubbleAPI", "HubbleFlows", protobuf, nioTLS, system]
                + grpcServer + [.product(name: "NIOCertificateReloading", package: "swift-nio-extras")],
            swiftSettings: strict),

        // The seam between domains and kernel, and the outside world.
        .target(
            name: "Datapath",
            dependencies: [
                "Addressing", "BPF", "DatapathABI", "DatapathObjects", "DomainNames", "Flows", "LinuxKernel",
                "LoadBalancing", "NetworkPolicy", "Wire",
            ],
            swiftSettings: strict),
        .target(name: "Kubernetes", dependencies: ["Addressing", yams, system], swiftSettings: strict),
        .target(
            name: "PolicyTranslation", dependencies: ["Addressing", "DomainNames", "Kubernetes", "NetworkPolicy"],
            swiftSettings: strict),
        .target(
            name: "ManifestLint", dependencies: ["Addressing", "Kubernetes", "NetworkPolicy", "PolicyTranslation"],
            swiftSettings: strict),
        .target(name: "KubernetesAPI", dependencies: ["Kubernetes"] + httpClient, swiftSettings: strict),
        .target(name: "AgentAPI", dependencies: ["Addressing", "Flows", system] + nio, swiftSettings: strict),
        .target(
            name: "WebPage", dependencies: ["Addressing", "AgentAPI", "Flows", "HTTPEndpoint"],
            resources: ["index.html", "style.css", "main.js", "dom.js", "flows.js", "map.js", "policies.js"].map {
                .embedInCode("Page/\($0)")
            },
            swiftSettings: strict),
        .target(name: "HTTPEndpoint", dependencies: nio + [nioHTTP], swiftSettings: strict),

        .target(name: "CNI", dependencies: ["Addressing", "JSONText"], swiftSettings: strict),
        .target(
            name: "CNIInstallation", dependencies: ["Addressing", "CNI", "JSONText", system], swiftSettings: strict),

        // The binaries.
        .target(
            name: "Agent",
            dependencies: [
                "Addressing", "AgentAPI", "BPF", "CNIInstallation", "Datapath", "FlowExport", "Flows", "HTTPEndpoint",
                "HubbleFlows", "HubbleServer", "Kubernetes", "KubernetesAPI", "LinuxKernel", "LoadBalancing",
                "NetworkPolicy", "NodeRouting",
                "OTLPClient", "PolicyTranslation", "PrometheusText", "WebPage", logging,
            ] + lifecycle,
            swiftSettings: strict),
        .executableTarget(
            name: "apusd",
            dependencies: [
                "Agent", "CNIInstallation", "FlowExport", "Flows", "HTTPEndpoint", "HubbleServer", "LoadBalancing",
                "NodeRouting",
                "OTLPClient", argumentParser, logging,
            ],
            swiftSettings: strict),
        .target(
            name: "ApusCLI",
            dependencies: [
                "Addressing", "AgentAPI", "BPF", "Datapath", "Flows", "LinuxKernel", "LoadBalancing", "ManifestLint",
                "NetworkPolicy", "NodeRouting", argumentParser, yams,
            ],
            swiftSettings: strict),
        .executableTarget(name: "apus", dependencies: ["ApusCLI"], swiftSettings: strict),
        // Static in releases: it runs on the host, whatever C library that has, and starts in a millisecond.
        .executableTarget(
            name: "apus-cni", dependencies: ["CNI"], swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-static-executable", "-Xlinker", "-s"], .when(configuration: .release))]),

        // Tests, and what they, the demo and the benches share.
        .executableTarget(name: "apus-traffic", path: "Tests/Traffic", cSettings: gnuC),
        .target(name: "CTestSupport", path: "Tests/CTestSupport", cSettings: gnuC),
        .target(
            name: "TestSupport", dependencies: ["Addressing", "CTestSupport"], path: "Tests/TestSupport",
            swiftSettings: strict),
        .target(
            name: "APIServerSupport", dependencies: nio + [nioTLS], path: "Tests/APIServerSupport",
            swiftSettings: strict),
        .executableTarget(
            name: "apus-api-server", dependencies: ["APIServerSupport", argumentParser, yams], path: "Tests/APIServer",
            swiftSettings: strict),
        .executableTarget(
            name: "apus-next-agent", dependencies: ["Addressing", "Agent", "Datapath", argumentParser, logging],
            path: "Tests/NextAgent", swiftSettings: strict),
        .executableTarget(
            name: "apus-demo", dependencies: ["TestSupport", argumentParser], path: "Tests/Demo", swiftSettings: strict),
        .target(
            name: "BenchSupport",
            dependencies: [
                "Addressing", "BPF", "DNSMessages", "Datapath", "DatapathABI", "DomainNames", "FlowExport", "Flows",
                "LoadBalancing", "NetworkPolicy", "PolicyGenerators", "TestSupport",
            ],
            path: "Tests/BenchSupport", swiftSettings: strict),
        .target(
            name: "PolicyGenerators", dependencies: ["NetworkPolicy", "Addressing", "DomainNames", "Kubernetes"],
            path: "Tests/PolicyGenerators", swiftSettings: hot),
        .target(
            name: "DNSMessages", dependencies: ["Addressing", "PolicyGenerators", "Wire"], path: "Tests/DNSMessages",
            swiftSettings: hot),
        .target(
            name: "DocumentationOracle", dependencies: ["Addressing", "Kubernetes"], path: "Tests/DocumentationOracle",
            swiftSettings: hot),
        .target(
            name: "PolicyCases", dependencies: ["Addressing", "DocumentationOracle", "Kubernetes", yams],
            path: "Tests/PolicyCases", exclude: ["Cases", "README.md"], swiftSettings: strict),
        .testTarget(name: "AddressingTests", dependencies: ["Addressing"], swiftSettings: strict),
        .testTarget(name: "LinuxKernelTests", dependencies: ["LinuxKernel", "Addressing"], swiftSettings: strict),
        .testTarget(
            name: "BPFTests", dependencies: ["BPF", "LinuxKernel", "Addressing"], exclude: ["Fixtures"],
            swiftSettings: strict),
        .testTarget(
            name: "LoadBalancingTests", dependencies: ["Addressing", "LoadBalancing"], exclude: ["Fixtures"],
            swiftSettings: strict),
        .testTarget(
            name: "NetworkPolicyTests",
            dependencies: ["NetworkPolicy", "PolicyGenerators", "Addressing", "DomainNames"], swiftSettings: strict),
        .testTarget(
            name: "DomainNamesTests", dependencies: ["Addressing", "DomainNames", "PolicyGenerators"],
            swiftSettings: strict),
        .testTarget(
            name: "NodeRoutingTests", dependencies: ["Addressing", "NodeRouting"], swiftSettings: strict),
        .testTarget(
            name: "WireTests", dependencies: ["Addressing", "DNSMessages", "Wire"], swiftSettings: strict),
        .testTarget(
            name: "PrometheusTextTests", dependencies: ["PrometheusText", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "JSONTextTests", dependencies: ["JSONText"], swiftSettings: strict),
        .testTarget(
            name: "CNITests",
            dependencies: ["AgentAPI", "Addressing", "CNI", "Flows", "JSONText", "TestSupport", "apus-cni"],
            swiftSettings: strict),
        .testTarget(
            name: "CNIInstallationTests", dependencies: ["Addressing", "CNIInstallation", "JSONText", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "HTTPEndpointTests", dependencies: ["HTTPEndpoint", "TestSupport"] + httpClient,
            swiftSettings: strict),
        .testTarget(
            name: "WebPageTests",
            dependencies: ["Addressing", "AgentAPI", "Flows", "HTTPEndpoint", "TestSupport", "WebPage"],
            swiftSettings: strict),
        .testTarget(
            name: "FlowExportTests",
            dependencies: [
                "APIServerSupport", "Addressing", "FlowExport", "Flows", "HubbleAPI", "HubbleServer", "JSONText",
                "OTLPClient", "PrometheusText", "TestSupport", nioTLS, protobuf,
            ] + grpcServer,
            swiftSettings: strict),
        .testTarget(
            name: "HubbleServerTests",
            dependencies: [
                "Addressing", "Flows", "HTTPEndpoint", "HubbleAPI", "HubbleFlows", "HubbleServer", "TestSupport",
                protobuf,
            ] + grpcServer,
            swiftSettings: strict),
        .testTarget(
            name: "DeployTests", dependencies: ["Kubernetes", "TestSupport", "apusd", yams], swiftSettings: strict),
        .testTarget(name: "FlowsTests", dependencies: ["Addressing", "Flows"], swiftSettings: strict),
        .testTarget(
            name: "KubernetesTests", dependencies: ["Kubernetes", "Addressing", "PolicyGenerators"],
            exclude: ["Fixtures"],
            swiftSettings: strict),
        .testTarget(
            name: "PolicyTranslationTests",
            dependencies: ["Addressing", "DomainNames", "Kubernetes", "NetworkPolicy", "PolicyTranslation"],
            swiftSettings: strict),
        .testTarget(
            name: "ManifestLintTests", dependencies: ["ManifestLint"], exclude: ["Fixtures"], swiftSettings: strict),
        .testTarget(
            name: "KubernetesAPITests",
            dependencies: ["APIServerSupport", "Kubernetes", "KubernetesAPI", "TestSupport", nioTLS],
            exclude: ["Fixtures"], swiftSettings: strict),
        .testTarget(
            name: "AgentAPITests", dependencies: ["Addressing", "AgentAPI", "Flows", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "DatapathTests",
            dependencies: [
                "Addressing", "Agent", "BPF", "Datapath", "DatapathABI", "DatapathObjects", "Flows", "Kubernetes",
                "LinuxKernel",
                "LoadBalancing", "NetworkPolicy", "PolicyGenerators",
            ],
            swiftSettings: strict),
        .testTarget(name: "TestSupportTests", dependencies: ["TestSupport", "Addressing"], swiftSettings: strict),
        .testTarget(
            name: "ApusCLITests",
            dependencies: [
                "Addressing", "AgentAPI", "ApusCLI", "BPF", "Datapath", "DatapathABI", "Flows", "LinuxKernel",
                "LoadBalancing", "NetworkPolicy", argumentParser,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "DatapathProgramTests",
            dependencies: [
                "Addressing", "BPF", "DNSMessages", "Datapath", "DatapathABI", "DatapathObjects", "DomainNames",
                "LinuxKernel", "NetworkPolicy", "PolicyGenerators", "TestSupport", "Wire",
            ],
            swiftSettings: strict, plugins: ["CompileBPF"]),
        .testTarget(
            name: "AgentTests",
            dependencies: [
                "Addressing", "Agent", "AgentAPI", "ApusCLI", "BPF", "Datapath", "DatapathABI", "DocumentationOracle",
                "FlowExport", "Flows", "HTTPEndpoint", "HubbleServer", "Kubernetes", "KubernetesAPI", "LinuxKernel",
                "LoadBalancing", "NetworkPolicy", "PolicyCases", "PolicyGenerators", "PolicyTranslation",
                "PrometheusText", "TestSupport", logging,
            ] + httpClient,
            exclude: ["Fixtures"], swiftSettings: strict),
        .testTarget(
            name: "NetworkTests",
            dependencies: [
                "Addressing", "AgentAPI", "BPF", "DNSMessages", "Datapath", "Flows", "JSONText", "LinuxKernel",
                "PolicyCases", "TestSupport", "Wire", "apus", "apus-api-server", "apus-cni", "apus-next-agent",
                "apus-traffic", "apusd",
            ],
            swiftSettings: strict),
    ]
)
