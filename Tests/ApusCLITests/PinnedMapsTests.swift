import Addressing
import BPF
import Datapath
import DatapathABI
import Flows
import Foundation
import LinuxKernel
import LoadBalancing
import NetworkPolicy
import Testing

@testable import ApusCLI

/// The commands on maps in the kernel, written by the data path's own code; nothing is attached.
@Suite(.pinnedNode) struct PinnedMapsTests {
    private let node: PinnedNode

    init() throws { node = try #require(PinnedNode.current) }

    @Test func `endpoints with their names, links and policies`() async throws {
        let rows = try PinnedDatapath(directory: node.directory).endpoints()
        #expect(rows.map(\.pod) == ["cart-0", "front-0"])
        let cart = try #require(rows.first)
        #expect(cart.namespace == "shop" && cart.uid == "uid-cart-0" && cart.addresses == ["10.244.0.5", "fd00::5"])
        // Interface 1 of every network namespace is the loopback.
        #expect(cart.interface == "lo" && cart.mac == "02:00:00:00:00:05" && cart.redirect)
        #expect(cart.ingressPolicy != nil && cart.egressPolicy == nil)
        #expect(rows.last?.ingressPolicy == nil)
    }

    @Test func `services with backends and their pods`() async throws {
        let outcome = await node.run("service", "list")
        #expect(
            outcome.output == """
                NAMESPACE  SERVICE    FRONTEND           TYPE       AFFINITY  FROM OUTSIDE  BACKENDS
                shop       cart:http  10.96.0.10:80/TCP  ClusterIP  600 s     -             10.244.0.5:8080, 10.244.1.9:8080
                shop       empty      10.96.0.11:53/UDP  ClusterIP  -         -             none: refuses

                """)
        let rows = try PinnedDatapath(directory: node.directory).services()
        #expect(rows.first?.backends.map(\.pod) == ["shop/cart-0", nil])
    }

    @Test func `policies with rules and the pods that they judge`() async throws {
        let rows = try PinnedDatapath(directory: node.directory).policies()
        let policy = try #require(rows.first)
        #expect(rows.count == 1 && policy.direction == "ingress" && policy.isolates)
        #expect(policy.endpoints == ["shop/cart-0"] && policy.isolatedBy == "NetworkPolicy shop/cart")
        #expect(policy.rules.map(\.text) == ["NetworkPolicy shop/cart ingress[0]"])
        #expect(policy.rules.map(\.action) == ["allow"] && policy.rules.map(\.tier) == ["network-policy"])
    }

    @Test func `connections with both ends, the Service and the rule`() async throws {
        let rows = try PinnedDatapath(directory: node.directory).connections()
        let row = try #require(rows.first)
        #expect(rows.count == 1 && row.ipProtocol == "TCP" && row.state == .established)
        #expect(row.source == ConnectionRow.End(address: "10.244.0.6", port: 40_000, pod: "shop/front-0"))
        #expect(row.destination == ConnectionRow.End(address: "10.244.0.5", port: 8080, pod: "shop/cart-0"))
        #expect(row.service == "shop/cart:http" && row.ingressRule == "NetworkPolicy/shop/cart/ingress/0")
        #expect(row.egressRule == nil && row.counters.forwardBytes == 700 && row.counters.reversePackets == 3)
        #expect(row.openedAgo > row.seenAgo)
    }

    @Test func `an event becomes a flow with the names in the maps`() throws {
        let reader = try DatapathReader(bpffs: node.directory)
        let endpoints = try reader.endpoints()
        let (cart, front) = (try #require(endpoints.first), try #require(endpoints.last))
        var event = DatapathEvent(kind: .denied, time: 5, tuple: PinnedNode.tuple, direction: .ingress)
        event.frontend = PinnedNode.frontend
        event.source = EndpointReference(slot: front.slot, identity: front.identity)
        event.destination = EndpointReference(slot: cart.slot, identity: cart.identity)
        event.ingress = cart.ingress.map { PolicyDecision(policy: $0, rule: .isolation) }
        event.reason = .policyIsolated
        event.count = 3
        var names = try MapNames(reader)
        var domains = try reader.addressNames()
        let flow = Flow(event, node: "node-a", clockOffset: 10, reader, &names, &domains)
        #expect(flow.time == 15 && flow.kind == .denied && flow.verdict == .dropped && flow.count == 3)
        #expect("\(flow.source)" == "shop/front-0" && "\(flow.destination)" == "shop/cart-0")
        #expect(flow.service?.name == "cart" && flow.service?.portName == "http")
        #expect(flow.ingressRule?.description == "NetworkPolicy shop/cart isolates ingress")
        #expect(flow.dropReason == "policy_isolated")
        // Whoever has the slot now is not who was denied.
        event.source?.identity += 100
        #expect(Flow(event, node: "node-a", clockOffset: 10, reader, &names, &domains).source.kind == .world)
    }

    @Test func `status and a ring without events`() async throws {
        let status = try PinnedDatapath(directory: node.directory).status()
        #expect(status.node == "node-a" && status.endpoints == 2 && status.policies == 1)
        #expect(status.services == 2 && status.frontends == 2 && status.backends == 2)
        #expect(status.connections == .init(used: 1, capacity: 64) && status.halfOpen.used == 0)
        #expect(status.drops.isEmpty && status.events == .init(submitted: 0, lost: 0))
        let flows = await node.run("flow", "observe")
        #expect(flows.code == 0 && flows.output.isEmpty)
    }

    @Test func `every map is listed and can be dumped`() async throws {
        let datapath = try PinnedDatapath(directory: node.directory)
        let names = try datapath.maps().map(\.name)
        #expect(Set(names).isSuperset(of: ["services", "endpoints", "connections", "events", "drops", "names"]))
        for name in names where !["socket_translations", "connected_sockets"].contains(name) {
            let outcome = await node.run("map", "dump", name, "-o", "json")
            #expect(outcome.code == 0, "\(name): \(outcome.notes)")
        }
        #expect(await node.run("map", "dump", "socket_translations").notes.contains("belong to sockets"))
        #expect(
            await node.run("map", "dump", "nothing").notes == "apus: there is no map nothing: see `apus map list`\n")
    }

    @Test func `a directory without maps, and one that is not there`() async throws {
        for directory in [node.root + "/other", "/nowhere"] {
            let outcome = await run(arguments: ["endpoint", "list", "--bpffs", directory], datapath: node.opener)
            #expect(outcome.code == 2 && outcome.notes.hasPrefix("apus: no Apus maps under \(directory): is apusd"))
        }
    }
}

/// Maps of a node with two pods, two Services and a policy, on a bpf file system of their own.
final class PinnedNode: Sendable {
    @TaskLocal static var current: PinnedNode?

    let root: String
    var directory: String { root + "/apus" }

    static let frontend = SocketAddress(IPAddress(v4: 0x0a60_000a), 80)
    static let tuple = FlowTuple(
        source: SocketAddress(IPAddress(v4: 0x0af4_0006), 40_000),
        destination: SocketAddress(IPAddress(v4: 0x0af4_0005), 8080), ipProtocol: .tcp)

    init() throws {
        let name = "apus-cli-maps-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0 ... .max))"
        root = "/tmp/\(name)"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        try BPFFileSystem.mount(at: root)
        let capacities = TableCapacities(
            endpoints: 16, services: 64, slots: 256, backends: 64, peerClasses: 64, peerPrefixes: 64,
            policyEntries: 64, names: 256, connections: 64, halfOpen: 64, eventBytes: 4096)
        let kernel = try DatapathKernel(DatapathOptions(bpffs: directory, capacities: capacities))
        var tables = DatapathTables(node: "node-a", startedAt: 1_700_000_000_000_000_000, capacities: capacities)
        tables.apply(Self.policyEdits() + Self.serviceEdits() + Self.endpointEdits())
        let report = kernel.program(&tables, now: KernelClock.monotonic())
        try #require(report.isComplete, "\(report.problems)")
        try kernel.activate()
        try connect()
    }

    deinit {
        try? BPFFileSystem.unmount(root)
        try? FileManager.default.removeItem(atPath: root)
    }

    var opener: @Sendable (String) throws -> any DatapathView { { try PinnedDatapath(directory: $0) } }

    func run(_ arguments: String...) async -> Outcome {
        await ApusCLITests.run(arguments: arguments + ["--bpffs", directory], datapath: opener)
    }

    /// Writes the entry of a connection from one pod to the other, as the data path does.
    private func connect() throws {
        let endpoints = try DatapathReader(bpffs: directory).endpoints()
        var connection = apus_connection()
        connection.opened_ns = 1
        connection.last_seen_ns = 2
        connection.opener = 1
        connection.sides.0 = try Self.side(endpoints.first, policy: endpoints.first?.ingress, packets: 3, bytes: 900)
        connection.sides.1 = try Self.side(endpoints.last, policy: nil, packets: 5, bytes: 700)
        connection.frontend = Self.address(Self.frontend.address)
        connection.frontend_port = Self.frontend.port.bigEndian
        let key = apus_connection_key(
            low: Self.address(Self.tuple.destination.address), high: Self.address(Self.tuple.source.address),
            low_port: Self.tuple.destination.port.bigEndian, high_port: Self.tuple.source.port.bigEndian, protocol: 6,
            padding: (0, 0, 0))
        try BPFMap.open(pinned: directory + "/maps/connections").update(key, connection)
    }

    private static func side(
        _ endpoint: EndpointReading?, policy: PolicyID?, packets: UInt64, bytes: UInt64
    ) throws -> apus_connection_side {
        let endpoint = try #require(endpoint)
        var side = apus_connection_side()
        side.packets = packets
        side.bytes = bytes
        side.endpoint = endpoint.slot
        side.identity = endpoint.identity
        side.policy = policy?.rawValue ?? 0
        side.rule = policy == nil ? 0xffff_ffff : 0
        return side
    }

    private static func address(_ address: IPAddress) -> apus_address {
        apus_address(high: address.high.bigEndian, low: address.low.bigEndian)
    }

    private static func policyEdits() -> [DatapathEdit] {
        var compiler = PolicyCompiler(node: "node-a")
        let peer = PolicyPeer.pods(
            namespaceSelector: nil, podSelector: LabelSelector(matchLabels: ["app": "front"]))
        let rule = PolicyRule(peers: [peer], ports: [PortRule(.tcp, .number(8080))])
        let policy = NetworkPolicyObject(
            namespace: "shop", name: "cart", podSelector: LabelSelector(matchLabels: ["app": "cart"]), ingress: [rule])
        let pods = [("cart", UInt32(5)), ("front", 6)].map { name, number in
            PolicyInput.pod(
                PolicyPod(
                    key: PodKey(namespace: "shop", name: name + "-0"), labels: ["app": name],
                    addresses: [IPAddress(v4: 0x0af4_0000 + number)], node: "node-a"))
        }
        let edits = compiler.apply([.namespace("shop", labels: [:])] + pods + [.policy(policy)])
        return edits.map(DatapathEdit.policy)
    }

    private static func serviceEdits() -> [DatapathEdit] {
        let backends = [UInt32(0x0af4_0005), 0x0af4_0109].map {
            Backend(address: SocketAddress(IPAddress(v4: $0), 8080))
        }
        let cart = ServiceProgram(
            service: ServiceName(namespace: "shop", name: "cart"), portName: "http", backends: backends,
            affinitySeconds: 600)
        let empty = ServiceProgram(
            service: ServiceName(namespace: "shop", name: "empty"), portName: "", backends: [])
        return [
            .service(.set(Frontend(address: frontend.address, port: frontend.port, ipProtocol: .tcp), cart)),
            .service(.set(Frontend(address: IPAddress(v4: 0x0a60_000b), port: 53, ipProtocol: .udp), empty)),
        ]
    }

    private static func endpointEdits() -> [DatapathEdit] {
        let ipv6 = [IPAddress(high: 0xfd00 << 48, low: 5)]
        return [("cart-0", UInt32(5), UInt32(1), ipv6), ("front-0", 6, 77, [])].map { name, number, interface, more in
            .endpoint(
                .upsert(
                    EndpointSpec(
                        pod: PodKey(namespace: "shop", name: name), uid: "uid-" + name,
                        addresses: [IPAddress(v4: 0x0af4_0000 + number)] + more, interface: interface,
                        mac: MACAddress(bits: 0x0200_0000_0000 + UInt64(number)), hostMAC: MACAddress(bits: 0xee),
                        canRedirect: true)))
        }
    }
}

/// Makes one node for all tests of a suite: loading the programs is what takes time.
struct PinnedNodeTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await PinnedNode.$current.withValue(try PinnedNode(), operation: function)
    }
}

extension Trait where Self == PinnedNodeTrait {
    /// Maps of a node for the tests of a suite, in ``PinnedNode/current``.
    static var pinnedNode: PinnedNodeTrait { PinnedNodeTrait() }
}
