package import BPF

/// What `apus doctor` knows of the node; the judgement is made from these values alone.
package struct NodeFacts: Sendable {
    /// A pod network or a proxy whose traces were found.
    package struct Trace: Sendable, Hashable {
        /// The other software, e.g. `kube-proxy`.
        package var owner: String
        /// Where it was seen, e.g. `iptables chain KUBE-SERVICES`.
        package var place: String

        package init(owner: String, place: String) {
            self.owner = owner
            self.place = place
        }
    }

    /// A program of somebody else on an uplink.
    package struct ForeignProgram: Sendable, Hashable {
        package var interface: String
        package var side: TrafficSide
        /// `tcx`, `tc` or `xdp`.
        package var kind: String
        package var name: String

        package init(interface: String, side: TrafficSide, kind: String, name: String) {
            self.interface = interface
            self.side = side
            self.kind = kind
            self.name = name
        }
    }

    /// The file system at the directory for the pins.
    package enum PinDirectory: Sendable, Hashable {
        /// It is on a bpf file system.
        case ready
        /// It does not exist yet, and can be made on the bpf file system above it.
        case canBeMade
        /// It is, or would be, on another file system.
        case notOnBPFFileSystem
        case unknown(String)
    }

    package var isRoot: Bool
    /// As `uname -r` prints it.
    package var kernelRelease: String
    package var features: [FeatureStatus]
    package var cgroup2Path: String?
    package var directory: String
    package var pinDirectory: PinDirectory
    /// Whether the kernel compiles BPF programs to machine code; nil when it does not say.
    package var compilesPrograms: Bool?
    /// Interfaces that lead out of the node.
    package var uplinks: [String]
    /// Whether the node forwards packets of IPv4 and IPv6; nil where the kernel does not say.
    package var forwards: (v4: Bool?, v6: Bool?) = (nil, nil)
    /// Interfaces that take a packet only from where they would send its answer to (rp_filter 1).
    package var strictInterfaces: [String] = []
    /// Devices of Apus that lead to the pods of other nodes.
    package var overlays: [String] = []
    package var foreignPrograms: [ForeignProgram]
    package var traces: [Trace]
    /// What could not be looked at, and why.
    package var gaps: [String]

    package init(
        isRoot: Bool, kernelRelease: String, features: [FeatureStatus], cgroup2Path: String?, directory: String,
        pinDirectory: PinDirectory, compilesPrograms: Bool? = true, uplinks: [String] = [],
        foreignPrograms: [ForeignProgram] = [], traces: [Trace] = [], gaps: [String] = []
    ) {
        self.isRoot = isRoot
        self.kernelRelease = kernelRelease
        self.features = features
        self.cgroup2Path = cgroup2Path
        self.directory = directory
        self.pinDirectory = pinDirectory
        self.compilesPrograms = compilesPrograms
        self.uplinks = uplinks
        self.foreignPrograms = foreignPrograms
        self.traces = traces
        self.gaps = gaps
    }
}

/// Finds the facts.
package protocol NodeProbe: Sendable {
    /// - Parameters:
    ///   - directory: where the pins are or shall be.
    ///   - uplinks: the interfaces to look at; empty: those of the default routes.
    func facts(directory: String, uplinks: [String]) -> NodeFacts
}
