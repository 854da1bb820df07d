import TestSupport

/// Measures all peers in turns, so that what disturbs the machine for a while disturbs all of them alike.
struct Rounds {
    let settings: Settings
    let modes: [Mode]
    private let metrics: [Metric]
    /// Told about every round.
    let progress: (String) -> Void

    private(set) var samples = Samples()
    /// Measurements that had to be repeated.
    private(set) var repeated: [String] = []

    init(settings: Settings, modes: [Mode], workloads: [Workload], progress: @escaping (String) -> Void) {
        self.settings = settings
        self.modes = modes
        metrics = Metric.all.filter { workloads.contains($0.workload) }
        self.progress = progress
    }

    /// One round, with peers that were made for it: two of one kind differ by several percent for as long as they live.
    mutating func run(_ number: Int, _ peers: [Peer]) async throws {
        try await touchMemory(peers)
        for mode in modes {
            progress("round \(number + 1) of \(settings.rounds), \(mode.title)")
            try await measure(peers, mode, round: number)
        }
    }

    /// Runs everything once without counting.
    private func touchMemory(_ peers: [Peer]) async throws {
        progress("warming up")
        guard let mode = modes.first else { return }
        for peer in peers { try await peer.prepare(for: mode) }
        for peer in peers {
            for metric in metrics where peer.kind.metrics.contains(metric) {
                let seconds = metric.workload == .connections ? settings.firstTouch : settings.seconds / 4
                _ = try await Measurement(peer: peer, metric: metric, mode: mode).run(seconds: seconds, warmup: 0)
            }
        }
    }

    /// One metric of all peers next to each other: those are the numbers that get divided. Of a peer's slices the best
    /// counts: whatever else a machine, or the one that it is a guest of, does meanwhile makes nothing faster.
    private mutating func measure(_ peers: [Peer], _ mode: Mode, round: Int) async throws {
        for peer in peers { try await peer.prepare(for: mode) }
        for metric in metrics {
            var best: [PeerKind: Double] = [:]
            for slice in 0..<settings.slices {
                for peer in Self.order(peers, turn: round * settings.slices + slice)
                where peer.kind.metrics.contains(metric) {
                    let rate = try await rate(Measurement(peer: peer, metric: metric, mode: mode))
                    best[peer.kind] = max(best[peer.kind] ?? 0, rate)
                }
            }
            for (kind, rate) in best {
                samples.add(rate, to: Samples.Key(mode: mode, metric: metric, peer: kind))
            }
        }
    }

    /// All peers, another one first each time.
    static func order<Each>(_ peers: [Each], turn: Int) -> ArraySlice<Each> {
        let first = peers.isEmpty ? 0 : turn % peers.count
        return peers[first...] + peers[..<first]
    }

    /// A measurement may fail when the machine stands still for a second; twice in a row is an error.
    private mutating func rate(_ measurement: Measurement) async throws -> Double {
        let seconds = settings.seconds / Double(settings.slices)
        do {
            return try await measurement.run(seconds: seconds, warmup: settings.warmup)
        } catch {
            repeated.append("\(error)")
            return try await measurement.run(seconds: seconds, warmup: settings.warmup)
        }
    }
}
