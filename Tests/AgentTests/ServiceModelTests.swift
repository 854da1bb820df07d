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
        print(
            "  outside: \(compared.apart) others than inside, \(compared.dropped) dropped, \(compared.limited) limited")
        print("  by kind: \(FrontendKind.allCases.map { "\($0) \(compared.kinds[$0] ?? 0)" }.joined(separator: ", "))")
        // Most of it would be trivial if hardly anything were served, refused or chosen by hints.
        if Self.clusters < 1000 { return }
        #expect(
            compared.refusing > 0 && compared.refused > 0 && compared.answers > compared.refused && compared.byHints > 0
        )
        #expect(compared.kinds.count == FrontendKind.allCases.count)
        #expect(compared.apart > 0 && compared.dropped > 0 && compared.limited > 0 && compared.shutOut > 0)
        #expect(compared.kept > 0)
    }
}

private struct Comparison {
    var answers = 0
    var refused = 0
    /// Addresses of which everything else is refused.
    var refusing = 0
    var byHints = 0
    /// Frontends where clients outside get others, or nothing; that are for some clients; and not for the node.
    var apart = 0
    var dropped = 0
    var limited = 0
    var shutOut = 0
    /// Those of UDP that keep what goes to endpoints that get nothing new.
    var kept = 0
    var kinds: [FrontendKind: Int] = [:]
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
        putAddresses()
        _ = state.apply(changes.shuffled(using: &random.random))
        if Bool.random(using: &random.random) { putAddresses() }
    }

    /// Other addresses of this node.
    private mutating func putAddresses() {
        let addresses = random.nodeAddresses()
        model.nodeAddresses = addresses
        model.localAddresses = addresses.union([IPAddress("fe80::1")!])
        _ = state.setLocalAddresses(model.localAddresses)
        model.nodeSources = Set(
            ["192.0.2.9", "198.51.100.9", "2001:db8::9"].shuffled(using: &random.random).prefix(2)
                .compactMap { IPAddress($0) })
        _ = state.setSourceAddresses(model.nodeSources)
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
        switch Int.random(in: 0..<11, using: &random.random) {
        case 10: return putAddresses()
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

    /// Clients in and out of the ranges that there are.
    private static let clients = [
        "192.0.2.9", "198.51.100.9", "203.0.113.9", "10.9.9.9", "2001:db8::9", "2001:db8:1::9", "fd00::9",
    ].compactMap { IPAddress($0) }

    /// Asks both for every address, port and protocol, and for clients everywhere.
    func compare(_ compared: inout Comparison) throws {
        let programs = state.services.programs
        let expected = model.offers
        let failure = Comment("APUS_SERVICE_SEED=\(seed) on \(model.node)")
        for (destination, offer) in expected {
            let program = try #require(programs[Frontend(destination)], "\(failure): \(destination)")
            try #require(program.inside == offer.inside, "\(failure): \(destination)")
            try #require(program.fromOutside == offer.outside, "\(failure): \(destination) from outside")
            try #require(Set(program.kept.map(\.address)) == offer.kept, "\(failure): kept of \(destination)")
            for client in Self.clients {
                try #require(program.admits(client) == offer.admits(client), "\(failure): \(client) to \(destination)")
            }
            try #require(
                program.admitsNode == (offer.ranges == nil || model.nodeSources.contains(where: offer.admits)),
                "\(failure): the node to \(destination)")
            compared.note(offer, program)
        }
        try #require(programs.count == expected.count, failure)
        let refusals = state.services.refusals
        for (frontend, program) in refusals {
            try #require(model.refusals[frontend.address] == (program.kind == .clusterIP), "\(failure): \(frontend)")
            compared.refusing += 1
        }
        try #require(refusals.count == model.refusals.count, failure)
        if compared.byHints == 0, expected != model.withoutHints.offers { compared.byHints += 1 }
    }
}

extension Comparison {
    fileprivate mutating func note(_ offer: KubeProxyModel.Offer, _ program: ServiceProgram) {
        answers += 1
        if offer.inside == .refused { refused += 1 }
        if let outside = offer.outside, outside != offer.inside { apart += 1 }
        if offer.outside == .dropped { dropped += 1 }
        if !offer.kept.isEmpty { kept += 1 }
        if offer.ranges != nil { limited += 1 }
        if !program.admitsNode { shutOut += 1 }
        kinds[program.kind, default: 0] += 1
    }
}

extension Frontend {
    fileprivate init(_ destination: KubeProxyModel.Destination) {
        self.init(address: destination.address, port: destination.port, ipProtocol: destination.ipProtocol)
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

extension ServiceProgram {
    fileprivate var inside: KubeProxyModel.Answer { Self.answer(backends) }

    /// As the data path reads it.
    fileprivate var fromOutside: KubeProxyModel.Answer? {
        if kind == .clusterIP { return nil }
        return outside.isEmpty && !backends.isEmpty ? .dropped : Self.answer(outside)
    }

    fileprivate func admits(_ client: IPAddress) -> Bool {
        sourceRanges.isEmpty || sourceRanges.contains { $0.contains(client) }
    }

    private static func answer(_ backends: [Backend]) -> KubeProxyModel.Answer {
        backends.isEmpty ? .refused : .oneOf(Set(backends.map(\.address)))
    }
}
