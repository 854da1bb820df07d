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

    @Test func eachPortIsServedOnceAndToldAbout() {
        let checks = HealthChecks()
        checks.note([Self.check(1)])
        #expect(checks.takeUnserved() == [32100] && checks.takeUnserved().isEmpty)
        #expect(checks.counts == HealthChecks.Counts(listening: 1, failed: 0))
        #expect(checks.note("taken", at: 32100) && !checks.note("taken", at: 32100))
        #expect(checks.counts == HealthChecks.Counts(listening: 0, failed: 1))
        checks.release(32100)
        #expect(checks.takeUnserved() == [32100])
        checks.note([])
        #expect(checks.check(at: 32100) == nil && checks.counts.failed == 0)
    }
}
