@testable import Agent
import Flows
import HTTPEndpoint
import HubbleServer
import Testing

/// What the agent says of those who are asked to tell of flows while nothing is told.
@Suite struct EmptyEvidenceTests {
    private func configuration(_ detail: FlowDetail) -> AgentConfiguration {
        var configuration = AgentConfiguration(node: "node-a", source: .manifests("/manifests"))
        configuration.flowDetail = detail
        configuration.exports.file = FlowExports.File(path: "/var/log/flows.log")
        configuration.hubble.address = ListenAddress(":4244")
        return configuration
    }

    @Test func eachThatStaysEmptyIsNamed() {
        #expect(
            configuration(.none).emptyEvidence == ["the file /var/log/flows.log", "Hubble at :4244"])
    }

    @Test(arguments: [FlowDetail.connections, .packets])
    func withFlowsNothingIsSaid(detail: FlowDetail) {
        #expect(configuration(detail).emptyEvidence.isEmpty)
    }
}
