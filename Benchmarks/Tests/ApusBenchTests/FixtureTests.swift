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
}

@Suite struct ManifestFiles {
    @Test func describeEveryService() {
        let fixture = ServiceFixture(count: 10, server: ip("10.244.1.11"))
        let files = Manifests(
            node: "node-a", nodeAddress: ip("172.31.0.11"), client: ip("10.244.1.10"), server: ip("10.244.1.11"),
            fixture
        ).files
        for (file, kind) in [("services.json", "Service"), ("endpointslices.json", "EndpointSlice")] {
            let text = files[file] ?? ""
            #expect(text.split(separator: "\n").count { $0.contains(#""kind":"\#(kind)""#) } == 10)
        }
    }
}
