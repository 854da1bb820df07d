/// What two processes do with each other while they are measured.
enum Workload: String, Sendable, CaseIterable {
    /// Bulk data over one TCP connection.
    case throughput
    /// One byte there and back over one TCP connection, one after the other.
    case tcpRequests = "tcp-requests"
    /// The same over UDP.
    case udpRequests = "udp-requests"
    /// A TCP connection opened for every request and reset after the response.
    case connections

    var title: String {
        switch self {
        case .throughput: "TCP throughput"
        case .tcpRequests: "TCP request/response"
        case .udpRequests: "UDP request/response"
        case .connections: "TCP connections"
        }
    }

    /// The unit of its rate.
    var unit: String { self == .throughput ? "Gbit/s" : "1/s" }
}

/// Which address of the server the client uses.
enum Destination: String, Sendable, CaseIterable {
    /// The server's own.
    case pod = "pod"
    /// That of a Service whose endpoint the server is.
    case clusterIP = "ClusterIP"

    /// The server's port. Connections to one port on two ways would meet the other's leftovers (TIME_WAIT, conntrack).
    var port: UInt16 { self == .pod ? 7001 : 7002 }
}

/// One thing that is measured.
struct Metric: Sendable, Hashable {
    var workload: Workload
    var destination: Destination

    /// Every combination, in the order of the report.
    static let all = Workload.allCases.flatMap { workload in
        Destination.allCases.map { Metric(workload: workload, destination: $0) }
    }

    var title: String { "\(workload.title), pod to \(destination.rawValue)" }
}

/// Where client and server run.
enum Mode: String, Sendable, CaseIterable {
    /// Both on one CPU: the rate is the CPU cost of a transaction, and the scheduler adds little noise.
    case pinned
    /// Each on a CPU of its own, as real pods most often are.
    case free

    var title: String {
        switch self {
        case .pinned: "client and server pinned to one CPU"
        case .free: "client and server on different CPUs"
        }
    }

    /// Not CPU 0, which handles most interrupts.
    var serverCPU: Int { 1 }
    var clientCPU: Int { self == .pinned ? 1 : 0 }
    /// Where agents run: their work is not part of a transaction, and what it costs is a figure of its own.
    var agentCPUs: String { self == .pinned ? "0" : "0,1" }
}
