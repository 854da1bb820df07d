import Addressing
import TestSupport

/// The Services that a peer knows: one that is measured, in the middle of many that are not.
struct ServiceFixture: Sendable {
    struct Service: Sendable {
        var name: String
        var clusterIP: IPAddress
        var ports: [Port]
        /// Whether somebody asks for it.
        var isMeasured = false
    }

    /// A port of a Service; its endpoints listen on the same number.
    struct Port: Sendable {
        var name: String
        var ipProtocol: IPProtocol
        var port: Addressing.Port
        var nodePort: Addressing.Port?
        var endpoints: [IPAddress]
    }

    var services: [Service]

    /// Where clients find the measured Service.
    static let clusterIP = ip("10.111.0.1")
    /// The addresses of the cluster's pods, which kube-proxy does not masquerade.
    static let podRange = cidr("10.244.0.0/16")

    /// - Parameters:
    ///   - count: How many Services there are.
    ///   - server: The endpoint of the measured Service.
    init(count: Int, server: IPAddress) {
        let ports = [IPProtocol.tcp, .udp].map {
            Port(name: Self.name($0), ipProtocol: $0, port: Destination.clusterIP.port, endpoints: [server])
        }
        self.init(count: count, measured: ports, nodePort: { _ in nil })
    }

    /// - Parameters:
    ///   - count: How many Services there are.
    ///   - measured: The ports of the one that is measured.
    ///   - nodePort: Those of the others, by their numbers.
    init(count: Int, measured: [Port], nodePort: (Int) -> Addressing.Port?) {
        services = (0..<count).map { number in
            number == count / 2
                ? Service(name: "measured", clusterIP: Self.clusterIP, ports: measured, isMeasured: true)
                : Self.other(number, nodePort: nodePort(number))
        }
    }

    /// A Service whose endpoints are on other nodes.
    private static func other(_ number: Int, nodePort: Addressing.Port?) -> Service {
        let first = number * ServiceCount.endpoints
        let endpoints = (first..<first + ServiceCount.endpoints).map { IPAddress(v4: 0x0a80_0001 + UInt32($0)) }
        return Service(
            name: "service-\(number)", clusterIP: IPAddress(v4: 0x0a60_0001 + UInt32(number)),
            ports: [Port(name: name(.tcp), ipProtocol: .tcp, port: 80, nodePort: nodePort, endpoints: endpoints)])
    }

    private static func name(_ ipProtocol: IPProtocol) -> String { "\(ipProtocol)".lowercased() }
}

extension ServiceFixture.Port {
    /// The protocol as rules of the kernel's firewalls name it.
    var keyword: String { "\(ipProtocol)".lowercased() }
}
