import Kubernetes
import Testing

@Suite("Lists and watches in any order of events")
struct ListWatchPropertyTests {
    @Test("whatever breaks in between, the listener ends with what the server has", arguments: 0..<150)
    func converges(seed: Int) {
        var simulation = ListWatchSimulation(seed: UInt64(seed) + 1)
        for _ in 0..<300 { simulation.disturb() }
        simulation.settle()
        let wanted = Dictionary(uniqueKeysWithValues: simulation.server.objects.values.map { ($0.key, $0) })
        #expect(simulation.objects == wanted)
        #expect(simulation.machine.isSynced)
        #expect(simulation.synced == 1)
    }
}
