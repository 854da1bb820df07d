import Addressing
import Foundation
import Kubernetes
import LoadBalancing
import PolicyGenerators
import Testing

@testable import Agent

@Suite("Random Services, and the rules of kube-proxy")
struct ServiceModelTests {
    /// More for a longer search: in the environment, as is the seed of one that failed.
    private static let clusters = number("APUS_SERVICE_CLUSTERS") ?? 20_000
    private static let seed = UInt64(number("APUS_SERVICE_SEED") ?? 20_261_127)
    private static let parts = 8

    private static func number(_ variable: String) -> Int? {
        ProcessInfo.processInfo.environment[variable].flatMap { Int($0) }
    }

    @Test("The same backends serve every address, port and protocol in 20,000 clusters", arguments: 0..<parts)
    func sameBackends(part: Int) throws {
        var compared = Comparison()
        for number in stride(from: part, to: Self.clusters, by: Self.parts) {
            var cluster = RandomCluster(seed: Self.seed &+ UInt64(number))
            for _ in 0..<3 {
                try cluster.compare(&compared)
                cluster.change()
            }
        }
        let seeds = "from \(Self.seed), part \(part) of \(Self.parts)"
        print("Service clusters, seeds \(seeds): \(compared.answers) answers, \(compared.refused) refused")
        // Most of it would be trivial if hardly anything were served, refused or chosen by hints.
        if Self.clusters < 1000 { return }
        #expect(compared.refused > 0 && compared.answers > compared.refused && compared.byHints > 0)
    }
}

private struct Comparison {
    var answers = 0
    var refused = 0
    var byHints = 0
}

/// A cluster as one node of it sees it, in the agent and in the model.
private struct RandomCluster {
    let seed: UInt64
    private var random: RandomServices
    private var model: KubeProxyModel
    private var state: ClusterState

    init(seed: UInt64) {
        self.seed = seed
        random = RandomServices(random: RandomSource(seed: seed))
        let node = RandomServices.nodes.randomElement(using: &random.random)!
        model = KubeProxyModel(node: node)
        state = ClusterState(node: node)
        var changes: [ObjectChange] = []
        for name in RandomServices.nodes { changes.append(put(random.node(name))) }
        for number in 1...RandomServices.serviceCount {
            let service = random.service(number)
            changes.append(put(service))
            for slice in 0..<Int.random(in: 1...6, using: &random.random) {
                changes.append(put(random.slice(slice, of: service)))
            }
        }
        _ = state.apply(changes.shuffled(using: &random.random))
    }

    private mutating func put(_ node: Node) -> ObjectChange {
        model.nodes[node.meta.name] = node
        return .upsert(.node(node))
    }

    private mutating func put(_ service: Service) -> ObjectChange {
        model.services[service.meta.name] = service
        return .upsert(.service(service))
    }

    private mutating func put(_ slice: EndpointSlice) -> ObjectChange {
        model.slices[slice.meta.name] = slice
        return .upsert(.endpointSlice(slice))
    }

    /// Replaces or removes an object.
    mutating func change() {
        let number = Int.random(in: 1...RandomServices.serviceCount, using: &random.random)
        let name = "s\(number)"
        let change: ObjectChange
        switch Int.random(in: 0..<10, using: &random.random) {
        case 0...2: change = put(random.node(model.node))
        case 3:
            model.nodes[model.node] = nil
            change = .delete(ObjectKey(.node, namespace: "", name: model.node))
        case 4...5: change = put(random.service(number))
        case 6:
            model.services[name] = nil
            change = .delete(ObjectKey(.service, namespace: "shop", name: name))
        case 7:
            model.slices["\(name)-0"] = nil
            change = .delete(ObjectKey(.endpointSlice, namespace: "shop", name: "\(name)-0"))
        default:
            let slice = Int.random(in: 0...3, using: &random.random)
            change = put(random.slice(slice, of: model.services[name] ?? random.service(number)))
        }
        _ = state.apply([change])
    }

    /// Asks both for every address, port and protocol.
    func compare(_ compared: inout Comparison) throws {
        let programs = state.services.programs
        let unhinted = model.withoutHints
        for address in (1...RandomServices.serviceCount).flatMap(RandomServices.addresses) {
            for port in RandomServices.ports {
                for ipProtocol in RandomServices.protocols {
                    let frontend = Frontend(address: address, port: port, ipProtocol: ipProtocol)
                    let expected = model.answer(address, port, ipProtocol)
                    let actual = KubeProxyModel.Answer(programs[frontend])
                    try #require(actual == expected, "APUS_SERVICE_SEED=\(seed) on \(model.node): \(frontend)")
                    compared.note(expected) { unhinted.answer(address, port, ipProtocol) }
                }
            }
        }
    }
}

extension Comparison {
    fileprivate mutating func note(
        _ answer: KubeProxyModel.Answer, withoutHints: () -> KubeProxyModel.Answer
    ) {
        if answer == .notAService { return }
        answers += 1
        if answer == .refused { refused += 1 }
        if byHints == 0, answer != withoutHints() { byHints += 1 }
    }
}

extension KubeProxyModel {
    /// The same cluster, had nobody given hints.
    fileprivate var withoutHints: KubeProxyModel {
        var copy = self
        copy.slices = slices.mapValues { slice in
            var slice = slice
            for index in slice.endpoints.indices {
                slice.endpoints[index].nodeHints = []
                slice.endpoints[index].zoneHints = []
            }
            return slice
        }
        return copy
    }
}

extension KubeProxyModel.Answer {
    fileprivate init(_ program: ServiceProgram?) {
        guard let program else {
            self = .notAService
            return
        }
        self = program.backends.isEmpty ? .refused : .oneOf(Set(program.backends.map(\.address)))
    }
}
