import TestSupport

/// The peers of a round, and the labs that they are in.
struct ServicePeers {
    private(set) var peers: [ServicePeer] = []
    private var labs: [Lab] = []

    mutating func add(_ kind: ServicePeerKind, knowsXDP: Bool) async throws {
        let lab = try await Lab(ServicePeer.plan)
        labs.append(lab)
        peers.append(try await ServicePeer(kind, in: lab, knowsXDP: knowsXDP))
    }

    func tearDown() async {
        for lab in labs { await lab.tearDown() }
    }

    /// Those that are wanted and that this build of `apusd` can be.
    static func kinds(_ subjects: [ServiceSubject], sizes: [Int], knowsXDP: Bool) -> [ServicePeerKind] {
        subjects.filter { knowsXDP || !($0 == .apusGeneric || $0 == .apusNative) }.flatMap { subject in
            subject.sizes(of: sizes).map { ServicePeerKind(subject: subject, services: $0) }
        }
    }

    /// Whether `apusd` has the flag `--xdp`.
    static func agentKnowsXDP() async throws -> Bool {
        try await run([try BuiltProducts.path(of: "apusd"), "--help"]).output.contains("--xdp")
    }
}
