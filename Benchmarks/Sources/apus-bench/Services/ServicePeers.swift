import TestSupport

/// The peers of a round, and the labs that they are in.
struct ServicePeers {
    private(set) var peers: [ServicePeer] = []
    private var labs: [Lab] = []

    mutating func add(_ kind: ServicePeerKind) async throws {
        let lab = try await Lab(ServicePeer.plan)
        labs.append(lab)
        peers.append(try await ServicePeer(kind, in: lab))
    }

    func tearDown() async {
        for lab in labs { await lab.tearDown() }
    }

    /// Those that are wanted, with the numbers of Services that they are measured with.
    static func kinds(_ subjects: [ServiceSubject], sizes: [Int]) -> [ServicePeerKind] {
        subjects.flatMap { subject in
            subject.sizes(of: sizes).map { ServicePeerKind(subject: subject, services: $0) }
        }
    }
}
