import Foundation
import TestSupport

/// Measures all peers in turns, as `Rounds` does: those of every subject and number of Services stand next to each
/// other. Client, node and server share one CPU.
struct ServiceRounds {
    let settings: Settings
    /// Told about every step.
    let progress: (String) -> Void

    private(set) var figures: [Report.Figure] = []
    /// Measurements that had to be repeated.
    private(set) var repeated: [String] = []

    init(settings: Settings, progress: @escaping (String) -> Void) {
        self.settings = settings
        self.progress = progress
    }

    /// One round, with peers that were made for it.
    mutating func run(_ number: Int, _ peers: [ServicePeer]) async throws {
        for path in ServicePath.allCases {
            progress("round \(number + 1) of \(settings.rounds), \(path.title)")
            let metric = ServiceMetric.connections(path)
            try await connections(path, peers.filter { $0.kind.subject.metrics.contains(metric) }, round: number)
        }
        progress("round \(number + 1) of \(settings.rounds), forwarding")
        try await forwarding(peers.filter { $0.kind.subject.metrics.contains(.forwarding) }, round: number)
    }

    /// The best slice of a peer counts, for both numbers.
    private mutating func connections(_ path: ServicePath, _ peers: [ServicePeer], round: Int) async throws {
        // The first time touches memory that was not touched before, and goes through all local ports.
        for peer in peers { _ = try await peer.connect(path, seconds: settings.firstTouch, warmup: 0) }
        var rates: [ServicePeerKind: Double] = [:]
        var latencies: [ServicePeerKind: Double] = [:]
        for slice in 0..<settings.slices {
            for peer in Rounds.order(peers, turn: round * settings.slices + slice) {
                let sample = try await connectOnceMoreAfterAFailure(peer, path)
                rates[peer.kind] = max(rates[peer.kind] ?? 0, sample.rate)
                latencies[peer.kind] = min(latencies[peer.kind] ?? .infinity, sample.slowest)
            }
        }
        add(.connections(path), rates, of: peers)
        add(.latency(path), latencies, of: peers)
    }

    private mutating func connectOnceMoreAfterAFailure(
        _ peer: ServicePeer, _ path: ServicePath
    ) async throws -> ServicePeer.Connections {
        let seconds = settings.seconds / Double(settings.slices)
        do {
            return try await peer.connect(path, seconds: seconds, warmup: settings.warmup)
        } catch {
            repeated.append("\(error)")
            return try await peer.connect(path, seconds: seconds, warmup: settings.warmup)
        }
    }

    private mutating func forwarding(_ peers: [ServicePeer], round: Int) async throws {
        var rates: [ServicePeerKind: Double] = [:]
        for peer in peers {
            try await peer.openFlow()
            _ = try await peer.forward(seconds: settings.warmup)
        }
        for slice in 0..<settings.slices {
            for peer in Rounds.order(peers, turn: round * settings.slices + slice) {
                let rate = try await peer.forward(seconds: settings.seconds / Double(settings.slices))
                rates[peer.kind] = max(rates[peer.kind] ?? 0, rate)
            }
        }
        add(.forwarding, rates, of: peers)
        add(.nodeForwarding, Self.nodeForwarding(rates), of: peers)
    }

    /// What a core that does nothing else forwards: the time of a datagram without that of one that no node forwards.
    static func nodeForwarding(_ rates: [ServicePeerKind: Double]) -> [ServicePeerKind: Double] {
        guard let direct = rates.first(where: { $0.key.subject == .direct })?.value else { return [:] }
        return rates.filter { $0.value < direct }.mapValues { 1 / (1 / $0 - 1 / direct) }
    }

    private mutating func add(
        _ metric: ServiceMetric, _ samples: [ServicePeerKind: Double], of peers: [ServicePeer]
    ) {
        for peer in peers {
            guard let sample = samples[peer.kind] else { continue }
            figures.append(.init(metric.name(peer.kind), sample, metric.unit))
        }
    }
}
