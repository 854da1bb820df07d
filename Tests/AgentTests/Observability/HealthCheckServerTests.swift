import Addressing
import AsyncHTTPClient
import HTTPEndpoint
import LoadBalancing
import Logging
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import Agent

/// The server of health checks, at addresses of this host's loopback.
@Suite struct HealthCheckServer {
    private static let hosts = ["127.0.0.1", "127.0.0.2", "::1"].compactMap { IPAddress($0) }

    /// A port that nobody has.
    private func freePort() async throws -> Port {
        let endpoint = try await HTTPEndpoint(try #require(ListenAddress(":0")), flag: nil)
        let port = Port(endpoint.port)
        await endpoint.discard()
        return port
    }

    private func check(_ endpoints: Int, _ port: Port) -> HealthCheck {
        HealthCheck(service: ServiceName(namespace: "shop", name: "web"), port: port, localEndpoints: endpoints)
    }

    /// Waits until the hosts answer so; nil: nobody listens there.
    private func expect(_ answers: [UInt?], _ port: Port) async throws {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        try await HTTPClient.withHTTPClient(configuration: configuration) { client in
            try await eventually("\(answers) at port \(port) of \(Self.hosts)") {
                var found: [UInt?] = []
                for host in Self.hosts {
                    let request = HTTPClientRequest(url: "http://\(Addressing.SocketAddress(host, port))/healthz")
                    found.append(try? await client.execute(request, timeout: .minutes(5)).status.code)
                }
                return found == answers
            }
        }
    }

    @Test func aLoadBalancerIsAnsweredAtTheAddressesThatNodePortsAreOn() async throws {
        let port = try await freePort()
        let health = AgentHealth()
        try await withThrowingTaskGroup { group in
            group.addTask { try await HealthCheckService(health: health, log: Logger(label: "test")).run() }
            defer { group.cancelAll() }
            health.checks.note([check(1, port)], at: [Self.hosts[0]])
            try await expect([200, nil, nil], port)
            health.checks.note([check(1, port)], at: [Self.hosts[1], Self.hosts[2]])
            try await expect([nil, 200, 200], port)
            health.checks.note([check(0, port)], at: [Self.hosts[1], Self.hosts[2]])
            try await expect([nil, 503, 503], port)
            health.checks.note([], at: [Self.hosts[1], Self.hosts[2]])
            try await expect([nil, nil, nil], port)
        }
    }
}
