internal import Addressing
internal import Flows
package import HubbleAPI
internal import SwiftProtobuf

/// Which flows a request asks for: those that match one filter of its whitelist, if it has any, and none of its
/// blacklist.
package struct FlowMatcher: Sendable {
    typealias Condition = @Sendable (HubbleFlow) -> Bool

    /// Every one is asked for every flow.
    private static let limit = 256

    private let whitelist: [[Condition]]
    private let blacklist: [[Condition]]

    /// Fails where a filter can't be understood, or asks for what no flow of Apus has.
    ///
    /// - Parameter names: what errors call the two lists.
    package init(
        whitelist: [HubbleFlowFilter], blacklist: [HubbleFlowFilter],
        names: (whitelist: String, blacklist: String) = ("whitelist", "blacklist")
    ) throws {
        self.whitelist = try Self.conditions(whitelist, names.whitelist)
        self.blacklist = try Self.conditions(blacklist, names.blacklist)
    }

    package func matches(_ flow: HubbleFlow) -> Bool {
        func matches(_ filter: [Condition]) -> Bool { filter.allSatisfy { $0(flow) } }
        return (whitelist.isEmpty || whitelist.contains(where: matches)) && !blacklist.contains(where: matches)
    }

    private static func conditions(_ filters: [HubbleFlowFilter], _ name: String) throws -> [[Condition]] {
        guard filters.count <= limit else {
            throw RequestError(name, "\(filters.count) filters, and at most \(limit) are taken")
        }
        return try filters.enumerated().map { try conditions($1, "\(name)[\($0)]") }
    }

    private static func conditions(_ filter: HubbleFlowFilter, _ path: String) throws -> [Condition] {
        try refuseUnknown(filter, path)
        var found: [Condition] = []
        for end in FilterEnd.both { found += try end.conditions(filter, path) }
        found += try conditionsOfPackets(filter, path)
        found += try conditionsOfEvents(filter, path)
        return found
    }

    /// A filter that isn't understood must not look as if everything matched it, or nothing.
    private static func refuseUnknown(_ filter: HubbleFlowFilter, _ path: String) throws {
        guard filter.unknownFields.data.isEmpty, filter.experimental.unknownFields.data.isEmpty else {
            throw RequestError(path, "a field that this server does not know")
        }
        let refused: [(String, isUsed: Bool)] = [
            ("http_status_code", !filter.httpStatusCode.isEmpty), ("http_method", !filter.httpMethod.isEmpty),
            ("http_path", !filter.httpPath.isEmpty), ("http_url", !filter.httpURL.isEmpty),
            ("http_header", !filter.httpHeader.isEmpty), ("trace_id", !filter.traceID.isEmpty),
            ("ip_trace_id", !filter.ipTraceID.isEmpty), ("source_ip_xlated", !filter.sourceIpXlated.isEmpty),
            ("interface", !filter.interface.isEmpty), ("node_labels", !filter.nodeLabels.isEmpty),
            ("encrypted", !filter.encrypted.isEmpty),
            ("experimental.cel_expression", !filter.experimental.celExpression.isEmpty),
        ]
        if let field = refused.first(where: \.isUsed) {
            throw RequestError("\(path).\(field.0)", "flows of Apus have nothing to compare with it")
        }
    }

    private static func conditionsOfPackets(_ filter: HubbleFlowFilter, _ path: String) throws -> [Condition] {
        var found: [Condition] = []
        if !filter.protocol.isEmpty {
            let wanted = try filter.protocol.enumerated().map { index, name in
                guard let condition = ProtocolNames.condition(name) else {
                    throw RequestError("\(path).protocol[\(index)]", "flows of Apus have no protocol '\(name)'")
                }
                return condition
            }
            found.append { flow in wanted.contains { $0(flow) } }
        }
        if !filter.tcpFlags.isEmpty {
            let wanted = filter.tcpFlags.map(\.set)
            found.append { flow in
                guard case .tcp(let tcp) = flow.l4.protocol, tcp.hasFlags, let flags = tcp.flags.set else {
                    return false
                }
                return wanted.contains { $0.map(flags.isSuperset) ?? false }
            }
        }
        if !filter.ipVersion.isEmpty {
            let wanted = Set(filter.ipVersion)
            found.append { wanted.contains($0.ip.ipVersion) }
        }
        if !filter.reply.isEmpty {
            let wanted = Set(filter.reply)
            found.append { $0.hasIsReply && wanted.contains($0.isReply.value) }
        }
        return found
    }

    private static func conditionsOfEvents(_ filter: HubbleFlowFilter, _ path: String) throws -> [Condition] {
        var found: [Condition] = []
        if !filter.uuid.isEmpty {
            let wanted = Set(filter.uuid)
            found.append { wanted.contains($0.uuid) }
        }
        if !filter.verdict.isEmpty {
            let wanted = Set(filter.verdict)
            found.append { wanted.contains($0.verdict) }
        }
        if !filter.dropReasonDesc.isEmpty {
            let wanted = Set(filter.dropReasonDesc)
            found.append { $0.verdict == .dropped && wanted.contains($0.dropReasonDesc) }
        }
        if !filter.trafficDirection.isEmpty {
            let wanted = Set(filter.trafficDirection)
            found.append { wanted.contains($0.trafficDirection) }
        }
        if !filter.eventType.isEmpty {
            let wanted = filter.eventType
            found.append { flow in wanted.contains { $0.matches(flow.eventType) } }
        }
        if !filter.nodeName.isEmpty {
            let wanted = try filter.nodeName.enumerated().map { index, text in
                try NodePattern(text, "\(path).node_name[\(index)]")
            }
            found.append { flow in wanted.contains { $0.matches(flow.nodeName) } }
        }
        if !filter.dnsQuery.isEmpty {
            let wanted = try filter.dnsQuery.enumerated().map { index, text in
                try QueryPattern(text, "\(path).dns_query[\(index)]")
            }
            found.append { flow in
                guard case .dns(let dns) = flow.l7.record else { return false }
                return wanted.contains { $0.matches(dns.query) }
            }
        }
        return found
    }
}

extension HubbleEventTypeFilter {
    fileprivate func matches(_ event: HubbleCiliumEventType) -> Bool {
        type == event.type && (!matchSubType || subType == event.subType)
    }
}

/// The words for protocols of layers 4 and 7.
private enum ProtocolNames {
    static func condition(_ name: String) -> FlowMatcher.Condition? {
        switch name.lowercased() {
        case "tcp": isLayer4 { if case .tcp = $0 { true } else { false } }
        case "udp": isLayer4 { if case .udp = $0 { true } else { false } }
        case "sctp": isLayer4 { if case .sctp = $0 { true } else { false } }
        case "icmpv4": isLayer4 { if case .icmpv4 = $0 { true } else { false } }
        case "icmpv6": isLayer4 { if case .icmpv6 = $0 { true } else { false } }
        case "icmp":
            isLayer4 {
                switch $0 {
                case .icmpv4, .icmpv6: true
                default: false
                }
            }
        case "dns": { if case .dns = $0.l7.record { true } else { false } }
        default: nil
        }
    }

    private static func isLayer4(
        _ matches: @escaping @Sendable (HubbleLayer4.OneOf_Protocol) -> Bool
    ) -> FlowMatcher.Condition {
        { $0.l4.protocol.map(matches) ?? false }
    }
}
