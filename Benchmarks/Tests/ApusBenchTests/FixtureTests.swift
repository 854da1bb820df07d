import Addressing
import TestSupport
import Testing

@testable import apus_bench

@Suite struct KubeProxyRuleTexts {
    private let fixture = ServiceFixture(count: 10, server: ip("10.244.1.11"))

    @Test func haveAChainForEveryServiceAndTwoEndpointsOfIt() {
        let lines = KubeProxyRules(fixture).text.split(separator: "\n")
        #expect(lines.count { $0.hasPrefix(":KUBE-SVC-") } == 11)  // the measured Service has a UDP port as well
        #expect(lines.count { $0.hasPrefix(":KUBE-SEP-") } == 22)
        #expect(lines.count { $0.contains("--probability 0.5") } == 11)
        #expect(lines.count { $0.contains("DNAT --to-destination 10.244.1.11:7002") } == 4)
        #expect(Set(lines.filter { $0.hasPrefix(":KUBE-SEP-") }).count == 22)
    }

    @Test func putTheMeasuredServiceInTheMiddle() {
        let services = KubeProxyRules(fixture).text.split(separator: "\n").filter {
            $0.hasPrefix("-A KUBE-SERVICES -d")
        }
        #expect(services.firstIndex { $0.contains("10.111.0.1/32") } == 5)
    }

    @Test func leadNodePortsToTheirServicesWithAMark() {
        let lines = KubeProxyRules(ServiceFixture.withNodePorts).text.split(separator: "\n")
        #expect(lines.count { $0.hasPrefix("-A KUBE-NODEPORTS -p tcp") && $0.contains("-j KUBE-EXT-") } == 4)
        #expect(lines.count { $0.hasPrefix("-A KUBE-EXT-") && $0.hasSuffix("-j KUBE-MARK-MASQ") } == 4)
        #expect(lines.count { $0.hasPrefix("-A KUBE-EXT-") && $0.contains("-j KUBE-SVC-") } == 4)
    }
}

@Suite struct NFTablesRuleTexts {
    private let lines = NFTablesRules(.withNodePorts, node: ip("172.31.0.11")).text.split(separator: "\n")

    @Test func haveAChainForEveryServiceAndTwoEndpointsOfIt() {
        #expect(lines.count { $0.hasPrefix("chain service-") && $0.contains("mark-for-masquerade") } == 10)
        #expect(Set(lines.filter { $0.hasPrefix("chain endpoint-") }).count == 20)
        #expect(lines.count { $0.contains("dnat to 10.244.1.11:7003") } == 2)
    }

    @Test func chooseAtRandomWhereSomebodyAsks() {
        let choices = lines.filter { $0.contains("numgen random mod 2 vmap { 0 : goto endpoint-") }
        #expect(choices.count == 1 && choices[0].contains("bench/measured/tcp/"))
    }

    @Test func haveOneMapOfAddressesAndOneOfNodePorts() {
        #expect(lines.count { $0.contains(" . tcp . ") && $0.contains(": goto service-") } == 10)
        #expect(lines.count { $0.contains("tcp . 30") && $0.contains(": goto external-") } == 4)
        #expect(lines.count { $0.hasPrefix("chain external-") && $0.contains("jump mark-for-masquerade") } == 4)
    }
}

@Suite struct ManifestFiles {
    private func files(_ fixture: ServiceFixture) -> [String: String] {
        Manifests(
            node: "node-a", nodeAddress: ip("172.31.0.11"), client: ip("10.244.1.10"), server: ip("10.244.1.11"),
            fixture
        ).files
    }

    @Test func describeEveryService() {
        let files = files(ServiceFixture(count: 10, server: ip("10.244.1.11")))
        for (file, kind) in [("services.json", "Service"), ("endpointslices.json", "EndpointSlice")] {
            let text = files[file] ?? ""
            #expect(text.split(separator: "\n").count { $0.contains(#""kind":"\#(kind)""#) } == 10)
        }
    }

    @Test func nameNodePorts() {
        let services = files(.withNodePorts)["services.json"] ?? ""
        #expect(services.split(separator: "\n").count { $0.contains(#""type":"NodePort""#) } == 4)
        #expect(services.contains(#""port":7003,"targetPort":7003,"nodePort":30003}"#))
    }
}

extension ServiceFixture {
    /// Ten Services, four of which have a node port, the measured one among them.
    fileprivate static let withNodePorts = ServiceFixture(
        count: 10,
        measured: [
            Port(
                name: "web", ipProtocol: .tcp, port: 7003, nodePort: 30_003, endpoints: [ip("10.244.1.11")])
        ]
    ) { $0.isMultiple(of: 4) ? 30_100 + UInt16($0) : nil }
}
