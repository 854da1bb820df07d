import Flows
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import HubbleAPI
import SwiftProtobuf
import Testing

/// The tables of ``FlowMatcherTests``, asked for by a client.
@Suite("Filters over gRPC", .serialized)
struct FilterServiceTests {
    private typealias Client = GRPCClient<HTTP2ClientTransport.Posix>

    /// Which of the sample's flows the events are that a client gets; not the verdicts of policies before them.
    private static func events(_ client: Client, _ request: HubbleGetFlowsRequest) async throws -> [Int] {
        try await flows(client, request).map(\.flow).filter { $0.eventType.type != 5 || $0.verdict == .audit }
            .compactMap { flow in Int(flow.uuid.suffix(12), radix: 16).map { $0 - 1 } }
    }

    @Test("each field has its meaning, in both lists")
    func fields() async throws {
        try await Served.run { served in
            try await served.withClient { client in
                for one in FlowMatcherTests.cases where !one.filter.contains("ip_version") {
                    let filter = try FlowMatcherTests.filter(one.filter)
                    let wanted = try await Self.events(client, .with { $0.whitelist = [filter] })
                    #expect(wanted == one.flows, "\(one)")
                    let rest = try await Self.events(client, .with { $0.blacklist = [filter] })
                    #expect(rest == Sample.flows.indices.filter { !one.flows.contains($0) }, "\(one)")
                }
                // The sample's fourth flow has two families, as no packet has.
                let ipv4 = try FlowMatcherTests.filter(#"{"ip_version": ["IPv4"], "protocol": ["tcp"]}"#)
                #expect(try await Self.events(client, .with { $0.whitelist = [ipv4] }) == [0, 2])
            }
        }
    }

    @Test("a flow is found by its name, a verdict too")
    func names() async throws {
        try await Served.run { served in
            try await served.withClient { client in
                for one in try await flows(client, HubbleGetFlowsRequest()) {
                    let request = HubbleGetFlowsRequest.with { $0.whitelist = [.with { $0.uuid = [one.flow.uuid] }] }
                    #expect(try await flows(client, request) == [one])
                }
            }
        }
    }

    @Test("what can't be understood or answered is refused, whatever else is asked for")
    func refusals() async throws {
        try await Served.run { served in
            try await served.withClient { client in
                for (text, problem) in FlowMatcherTests.refused {
                    let filter = try FlowMatcherTests.filter(text)
                    let error = await #expect(throws: RPCError.self) {
                        _ = try await flows(client, .with { $0.whitelist = [filter] })
                    }
                    #expect(error?.code == .invalidArgument && error?.message == problem, "\(text)")
                }
            }
        }
    }

    @Test("the tables have every field that the definitions have")
    func completeness() throws {
        let root = (0..<3).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
        let definitions = try String(
            contentsOf: root.appendingPathComponent("Sources/HubbleAPI/Protocol/flow.proto"), encoding: .utf8)
        let message = try #require(definitions.firstMatch(of: /message FlowFilter {\n(?s)(.*?)\n}/)).1
        let fields = message.matches(of: /(\w+) = \d+;/).map { String($0.1) }
        #expect(fields.count > 40)
        let texts = FlowMatcherTests.cases.map(\.filter) + FlowMatcherTests.refused.map(\.0) + [#""uuid""#]
        #expect(fields.filter { field in !texts.contains { $0.contains("\"\(field)\"") } } == [])
    }
}
