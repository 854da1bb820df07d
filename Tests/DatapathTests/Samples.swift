import Addressing
@testable import Datapath
import LoadBalancing
import NetworkPolicy

/// Short ways to say what the tests need.
func address(_ text: String) -> IPAddress { IPAddress(text)! }

func frontend(_ number: Int) -> Frontend {
    Frontend(address: IPAddress(v4: 0x0a60_0000 + UInt32(number)), port: 80, ipProtocol: .tcp)
}

func backend(_ number: Int) -> Backend {
    Backend(address: SocketAddress(IPAddress(v4: 0x0a00_0000 + UInt32(number)), 8080))
}

func service(_ number: Int, _ backends: some Sequence<Int>) -> DatapathEdit {
    let program = ServiceProgram(
        service: ServiceName(namespace: "shop", name: "s\(number)"), portName: "http",
        backends: Set(backends).sorted().map(backend))
    return .service(.set(frontend(number), program))
}

func datagramFrontend(_ number: Int) -> Frontend {
    Frontend(address: frontend(number).address, port: 53, ipProtocol: .udp)
}

/// The same of UDP, with endpoints that get nothing new.
func datagrams(
    _ number: Int, _ backends: some Sequence<Int>, keeping kept: some Sequence<Int> = []
) -> DatapathEdit {
    let program = ServiceProgram(
        service: ServiceName(namespace: "shop", name: "s\(number)"), portName: "dns",
        backends: Set(backends).sorted().map(backend), kept: Set(kept).sorted().map(backend))
    return .service(.set(datagramFrontend(number), program))
}

func pod(_ number: Int) -> PodKey { PodKey(namespace: "shop", name: "p\(number)") }

func endpoint(_ number: Int, uid: String = "a", address number2: Int? = nil) -> EndpointSpec {
    EndpointSpec(
        pod: pod(number), uid: uid, addresses: [IPAddress(v4: 0x0a01_0000 + UInt32(number2 ?? number))],
        interface: UInt32(100 + number), mac: MACAddress(bits: UInt64(number)), hostMAC: MACAddress(bits: 0xee),
        canRedirect: true)
}

/// A cluster whose policies change; answers the compiler's edits as edits of the data path.
struct PolicyWorld {
    var compiler = PolicyCompiler(node: "node-1")
    /// Edits that come before all others.
    private var first: [PolicyEdit] = []

    init() {
        first = compiler.apply([
            .namespace("shop", labels: ["name": "shop"]), .node("node-1", addresses: [address("10.9.0.1")]),
        ])
    }

    mutating func apply(_ inputs: [PolicyInput]) -> [DatapathEdit] {
        defer { first = [] }
        return (first + compiler.apply(inputs)).map(DatapathEdit.policy)
    }

    static func pod(_ number: Int, labels: [String: String], isLocal: Bool = true) -> PolicyInput {
        .pod(
            PolicyPod(
                key: PodKey(namespace: "shop", name: "p\(number)"), labels: labels,
                addresses: [IPAddress(v4: 0x0a01_0000 + UInt32(number))], node: isLocal ? "node-1" : "node-2"))
    }

    /// A policy that lets one colour reach another on one port.
    static func policy(_ number: Int, to target: String, from source: String, port: UInt16) -> PolicyInput {
        let peer = PolicyPeer.pods(
            namespaceSelector: nil, podSelector: LabelSelector(matchLabels: ["color": source]))
        return .policy(
            NetworkPolicyObject(
                namespace: "shop", name: "n\(number)", podSelector: LabelSelector(matchLabels: ["color": target]),
                ingress: [PolicyRule(peers: [peer], ports: [PortRule(.tcp, .number(Int(port)))])]))
    }
}
