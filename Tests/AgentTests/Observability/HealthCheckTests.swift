import Addressing
import HTTPEndpoint
import LoadBalancing
import Testing

@testable import Agent

@Suite struct HealthCheckAnswers {
    private static func check(_ count: Int) -> HealthCheck {
        HealthCheck(service: ServiceName(namespace: "shop", name: "web"), port: 32100, localEndpoints: count)
    }

    @Test func theAnswerIsThatOfKubeProxy() {
        let answer = HTTPAnswer.check(Self.check(2), proxyIsHealthy: true)
        #expect(answer.status == 200 && answer.contentType == "application/json")
        #expect(answer.headers == ["X-Load-Balancing-Endpoint-Weight": "2"])
        let tab = "\t"
        #expect(
            answer.body == """
                {
                \(tab)"service": {
                \(tab)\(tab)"namespace": "shop",
                \(tab)\(tab)"name": "web"
                \(tab)},
                \(tab)"localEndpoints": 2,
                \(tab)"serviceProxyHealthy": true
                }
                """)
    }

    @Test(arguments: [(0, true), (2, false), (0, false)])
    func withoutEndpointsOrHealthTheNodeIsLeftOut(count: Int, isHealthy: Bool) {
        let answer = HTTPAnswer.check(Self.check(count), proxyIsHealthy: isHealthy)
        #expect(answer.status == 503 && answer.body.contains("\"serviceProxyHealthy\": \(isHealthy)"))
        #expect(answer.headers["X-Load-Balancing-Endpoint-Weight"] == "\(count)")
    }

    @Test func eachPortIsServedOnceAndToldAbout() throws {
        let checks = HealthChecks()
        let everywhere = try #require(ListenAddress(":32100"))
        checks.note([Self.check(1)])
        #expect(checks.takeUnserved() == [everywhere] && checks.takeUnserved().isEmpty)
        #expect(checks.counts == HealthChecks.Counts(listening: 1, failed: 0))
        #expect(checks.note("taken", at: everywhere) && !checks.note("taken", at: everywhere))
        #expect(checks.counts == HealthChecks.Counts(listening: 0, failed: 1))
        checks.release(everywhere)
        #expect(checks.takeUnserved() == [everywhere])
        checks.note([])
        #expect(checks.check(at: 32100) == nil && checks.counts.failed == 0)
    }

    @Test func aPortIsServedAtTheAddressesOfTheNodeThatItIsOn() throws {
        let checks = HealthChecks()
        let addresses = ["192.0.2.1", "2001:db8::1", "192.0.2.2"].compactMap { IPAddress($0) }
        let listening = try ["192.0.2.1:32100", "192.0.2.2:32100", "[2001:db8::1]:32100"].map {
            try #require(ListenAddress($0))
        }
        checks.note([Self.check(1)], at: Set(addresses.prefix(2)))
        #expect(checks.takeUnserved() == [listening[0], listening[2]])
        #expect(checks.note("taken", at: listening[2]))
        #expect(checks.counts == HealthChecks.Counts(listening: 0, failed: 1))
        // The address that it can't have goes, and another one comes.
        checks.note([Self.check(1)], at: [addresses[0], addresses[2]])
        #expect(checks.takeUnserved() == [listening[1]] && !checks.isWanted(listening[2]))
        #expect(!checks.note("taken", at: listening[2]))
        #expect(checks.counts == HealthChecks.Counts(listening: 1, failed: 0))
        checks.note([Self.check(1)], at: [])
        #expect(checks.takeUnserved().isEmpty && !checks.isWanted(listening[0]) && checks.check(at: 32100) != nil)
    }
}
