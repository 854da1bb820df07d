/// How long and how often to measure.
struct Settings: Sendable {
    /// How often all peers are made anew and measured, each once with every metric in every mode.
    var rounds: Int
    /// The counted time of all slices of one sample together, in seconds.
    var seconds: Double
    /// So many slices are taken for a sample, which is the best of them; those of all peers take turns.
    var slices: Int
    /// The part before each slice that is not counted, in seconds: the connection's window opens, caches fill.
    var warmup: Double
    /// The length of a measurement before those that count, in seconds. It touches maps, slabs and conntrack for the
    /// first time, which is slow on virtual machines, and goes once through all local ports.
    var firstTouch: Double
    /// Names that are resolved and connected to, one after the other, in each turn of a pod.
    var lookups: Int
    /// DNS answers that are run one by one for a figure.
    var answers: Int

    /// Records of flows that are taken out of the ring in a run.
    var records: Int

    /// What the API server of a large cluster has.
    var cluster: ScaleCluster
    /// EndpointSlices that change there, one after the other.
    var changes: Int
    /// How long the agent is left alone there, in seconds.
    var rest: Double

    static let full = Settings(
        rounds: 7, seconds: 0.5, slices: 8, warmup: 0.05, firstTouch: 2, lookups: 2_000, answers: 20_000,
        records: 200_000,
        cluster: ScaleCluster(services: 10_000, pods: 50_000, endpoints: 10), changes: 1_000, rest: 10)
    /// Of Services alone: there are three times as many peers.
    static let services: Settings = {
        var settings = full
        (settings.rounds, settings.slices, settings.firstTouch) = (5, 4, 0.5)
        return settings
    }()
    /// Enough to see that everything works; its numbers mean nothing.
    static let quick = Settings(
        rounds: 1, seconds: 0.2, slices: 1, warmup: 0.05, firstTouch: 0.2, lookups: 20, answers: 200, records: 70_000,
        cluster: ScaleCluster(services: 100, pods: 500, endpoints: 10), changes: 20, rest: 0.5)
}

/// The numbers of Services that are compared.
enum ServiceCount {
    static let few = 10
    static let many = 10_000
    /// Endpoints of every Service, of which the data path chooses one for each connection.
    static let endpoints = 10
}
