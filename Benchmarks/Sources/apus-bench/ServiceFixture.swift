import Addressing
import TestSupport

/// The Services that a peer knows: one that is measured, in the middle of many that are not.
struct ServiceFixture: Sendable {
    struct Service: Sendable {
        var name: String
        var clusterIP: IPAddress
        var port: UInt16
        var endpoints: [IPAddress]
        /// Whether it has a UDP port as well.
        var isMeasured: Bool
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
        services = (0..<count).map { number in
            number == count / 2
                ? Service(
                    name: "measured", clusterIP: Self.clusterIP, port: Destination.clusterIP.port, endpoints: [server],
                    isMeasured: true) : Self.other(number)
        }
    }

    /// A Service whose endpoints are on other nodes.
    private static func other(_ number: Int) -> Service {
        let first = number * ServiceCount.endpoints
        return Service(
            name: "service-\(number)", clusterIP: IPAddress(v4: 0x0a60_0001 + UInt32(number)), port: 80,
            endpoints: (first..<first + ServiceCount.endpoints).map { IPAddress(v4: 0x0a80_0001 + UInt32($0)) },
            isMeasured: false)
    }
}
