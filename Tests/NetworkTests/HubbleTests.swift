import Addressing
import Foundation
import TestSupport
import Testing

extension AgentLifeTests {
    /// Flows as a client of Hubble's sees them.
    @Suite(.serialized) struct HubbleFlows {
        @Test func aClientSeesWhoAskedWhomAndWhichPolicyDecided() async throws {
            try await withShop { shop in
                let client = try await HubbleClient(stubs: shop.lab.directory)
                let target = "unix://\(shop.lab.directory)/hubble.sock"
                let (vip, web) = (Shop.webAddresses[0], shop.lab.pod("web-1"))
                #expect(try await shop.lab.pod("client").ask(vip, 80, within: .seconds(60)).isAnswered)
                _ = try await shop.lab.pod("intruder").ask(web.ipv4, 8080, within: .seconds(1))
                try await expect(
                    client, target, #"{"source_pod": ["visitors/client"], "reply": [false]}"#,
                    [
                        #""verdict": "FORWARDED""#, #""pod_name": "client""#, #""destination_service": {"name": "web""#,
                        #""ingress_allowed_by""#, #""trace_reason": "NEW""#,
                    ])
                try await expect(
                    client, target, #"{"verdict": ["DROPPED"], "destination_pod": ["shop/web-1"]}"#,
                    [
                        #""pod_name": "intruder""#, #""drop_reason_desc": "POLICY_DENIED""#, #""ingress_denied_by""#,
                        #""kind": "NetworkPolicy""#,
                    ])
                try await expect(
                    client, target, #"{"event_type": [{"type": 5}], "source_pod": ["visitors/client"]}"#,
                    [
                        #""verdict": "FORWARDED""#, #""traffic_direction": "INGRESS""#, #""policy_match_type": 2"#,
                        #""ingress_allowed_by": [{"name": "customers-to-web""#, #""Summary": "TCP Flags: SYN""#,
                    ])
                try await expect(
                    client, target, #"{"event_type": [{"type": 5}], "verdict": ["DROPPED"]}"#,
                    [
                        #""pod_name": "intruder""#, #""drop_reason_desc": "POLICY_DENIED""#,
                        #""ingress_denied_by": [{"name": "customers-to-web""#,
                    ])
                let status = try await client.call(target, "observer.Observer", "ServerStatus")
                #expect(status.succeeded, "\(status.lines)")
            }
        }

        /// Waits until the last flow that a filter lets through has all this in it.
        private func expect(
            _ client: HubbleClient, _ target: String, _ filter: String, _ texts: [String]
        ) async throws {
            try await eventually("flows for \(filter)", every: .milliseconds(200)) {
                let answer = try await client.call(
                    target, "observer.Observer", "GetFlows", #"{"number": "1", "whitelist": [\#(filter)]}"#)
                let line = answer.lines.last ?? ""
                guard answer.succeeded, texts.allSatisfy(line.contains) else { throw LabError("GetFlows", line) }
                return true
            }
        }
    }
}
