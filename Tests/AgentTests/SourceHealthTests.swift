import Kubernetes
import Testing

@testable import Agent

@Suite("The health of a source") struct SourceHealthTests {
    static let connected = KindStanding(isSynced: true, isConnected: true)

    static func failing(_ problem: String) -> KindStanding {
        KindStanding(isSynced: true, isConnected: false, problem: problem)
    }

    @Test func `a directory has none`() {
        let health = SourceHealth()
        #expect(health.isConnected == nil && health.failingSince == nil && health[.pod] == nil)
    }

    @Test func `it fails from the first kind's problem until the last kind is followed again`() {
        var health = SourceHealth()
        let noted = [
            health.note(Self.connected, of: .pod, at: 1), health.note(Self.failing("refused"), of: .pod, at: 2),
            health.note(Self.failing("late"), of: .node, at: 3), health.note(Self.failing("late"), of: .node, at: 4),
        ]
        #expect(noted == [false, true, true, false])
        #expect(health.failingSince == 2 && health.problem == "late" && health.isConnected == false)
        _ = health.note(Self.connected, of: .node, at: 5)
        #expect(health.failingSince == 2 && health.problem == "refused")
        _ = health.note(Self.connected, of: .pod, at: 6)
        #expect(health.failingSince == nil && health.problem == nil && health.isConnected == true)
    }

    @Test func `a kind that the server does not have is no failure`() {
        var health = SourceHealth()
        let absent = KindStanding(isSynced: true, isConnected: true, problem: "the API server does not have this kind")
        _ = health.note(absent, of: .clusterNetworkPolicy, at: 1)
        #expect(health.failingSince == nil && health.isConnected == true)
        #expect(health[.clusterNetworkPolicy]?.problem != nil)
    }
}
