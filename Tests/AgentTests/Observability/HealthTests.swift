import HTTPEndpoint
import Testing

@testable import Agent

@Suite struct Healths {
    private static let second: UInt64 = 1_000_000_000
    /// A working agent, by a clock that reads 1000 s.
    private static let good = HealthReport(
        roundAt: 1000 * second, isInForce: true, servicesPendingSince: nil, servicesUpdatedAt: 990 * second,
        nodeIsLeaving: false)

    private func verdict(at seconds: UInt64, _ edit: (inout HealthReport) -> Void = { _ in }) -> HealthVerdict {
        var report = Self.good
        edit(&report)
        return HealthVerdict(report, startedAt: 0, now: seconds * Self.second)
    }

    @Test func anAgentIsAliveWhileItsRoundsComeWithinAMinute() {
        #expect(verdict(at: 1059).liveness == HTTPAnswer(200, "ok\n"))
        #expect(verdict(at: 1060).liveness.status == 503)
        #expect(verdict(at: 1060).readiness.status == 503)
        #expect(HealthVerdict(nil, startedAt: 5, now: 6).liveness.status == 200, "it is starting")
        #expect(HealthVerdict(nil, startedAt: 5, now: 61 * Self.second).liveness.status == 503)
    }

    @Test func itIsReadyWhenEverythingIsInForce() {
        #expect(verdict(at: 1001).readiness == HTTPAnswer(200, "ok\n"))
        let waiting = verdict(at: 1001) { $0.isInForce = false }
        #expect(waiting.readiness.status == 503)
        #expect(waiting.liveness.status == 200, "restarting it would not help")
        #expect(HealthVerdict(nil, startedAt: 5, now: 6).readiness.status == 503)
    }

    /// kube-proxy's rules: its healthz fails when a change waits for a minute and on a node that goes, its livez only
    /// when a change waits.
    @Test(arguments: [
        (since: nil as UInt64?, leaving: false, healthz: 200, livez: 200), (1000, false, 200, 200),
        (942, false, 200, 200), (941, false, 503, 503), (nil, true, 503, 200), (941, true, 503, 503),
    ])
    func theProxysHealthIsKubeProxys(since: UInt64?, leaving: Bool, healthz: Int, livez: Int) {
        let verdict = verdict(at: 1001) {
            $0.servicesPendingSince = since.map { $0 * Self.second }
            $0.nodeIsLeaving = leaving
        }
        #expect(verdict.proxyHealth(at: 0).status == healthz)
        #expect(verdict.proxyLiveness(at: 0).status == livez)
        #expect(verdict.liveness.status == 200)
    }

    @Test func theProxysAnswersReadAsKubeProxys() {
        let now: UInt64 = 1_772_361_062_000_000_000
        let current = "2026-03-01T10:31:02.000000000Z"
        let healthy = verdict(at: 1001).proxyHealth(at: now)
        #expect(healthy.contentType == "application/json")
        #expect(
            healthy.body == #"{"lastUpdated": "\#(current)","currentTime": "\#(current)", "nodeEligible": true}"#)
        let stuck = verdict(at: 1001) {
            $0.servicesPendingSince = 900 * Self.second
            $0.nodeIsLeaving = true
        }
        let updated = "2026-03-01T10:30:51.000000000Z"
        #expect(
            stuck.proxyHealth(at: now).body
                == #"{"lastUpdated": "\#(updated)","currentTime": "\#(current)", "nodeEligible": false}"#)
        #expect(
            stuck.proxyLiveness(at: now).body == #"{"lastUpdated": "\#(updated)","currentTime": "\#(current)"}"#)
    }

    @Test func aStartingAgentIsHealthyAsProxyAndOneWithoutRoundsIsNot() {
        #expect(HealthVerdict(nil, startedAt: 5, now: 6).proxyHealth(at: 0).status == 200)
        #expect(verdict(at: 1060).proxyHealth(at: 0).status == 503)
        #expect(verdict(at: 1060).proxyLiveness(at: 0).status == 503)
    }

    @Test(arguments: [
        ("/healthz", 200, 200), ("/readyz", 503, 404), ("/livez", 404, 200), ("/", 404, 404), ("/metrics", 404, 404),
    ])
    func eachEndpointHasItsPaths(path: String, own: Int, proxy: Int) {
        let health = AgentHealth()
        let question = HTTPQuestion(method: "GET", path: path)
        #expect(health.answer(question).status == own)
        #expect(health.answerAsProxy(question).status == proxy)
    }
}
