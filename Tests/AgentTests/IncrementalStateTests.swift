import Kubernetes
import NetworkPolicy
import PolicyGenerators
import Testing

@testable import Agent

@Suite("A cluster that changes, object by object")
struct IncrementalStateTests {
    @Test("What its changes add up to is what reading it anew gives", arguments: Array(UInt64(1)...6))
    func incrementalEqualsFromScratch(seed: UInt64) throws {
        for sequence in 0..<4 {
            var generator = ObjectGenerator(seed: seed &* 3000 &+ UInt64(sequence))
            var state = ClusterState(node: ObjectGenerator.node)
            _ = state.apply(generator.fill())
            for step in 0..<40 {
                let batch = generator.changes(1 + Int(generator.random.next() % 3))
                _ = state.apply(batch)
                var fresh = ClusterState(node: ObjectGenerator.node)
                let objects = generator.objects.shuffled(using: &generator.random).map(ObjectChange.upsert)
                if step % 4 == 0 {
                    for object in objects { _ = fresh.apply([object]) }
                } else {
                    _ = fresh.apply(objects)
                }
                let place = "seed \(seed), sequence \(sequence), step \(step) after \(batch)"
                try #require(state.policies.everything() == fresh.policies.everything(), "\(place)")
                try #require(state.policies.problems == fresh.policies.problems, "\(place)")
                try #require(state.localPods == fresh.localPods, "\(place)")
            }
        }
    }
}
