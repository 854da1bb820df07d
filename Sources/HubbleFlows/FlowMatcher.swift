internal import Addressing
package import Flows
package import HubbleAPI
internal import SwiftProtobuf

/// Which flows a request asks for: those that match one filter of its whitelist, if it has any, and none of its
/// blacklist.
package struct FlowMatcher: Sendable {
    typealias Condition = @Sendable (FlowSight) -> Bool

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

    /// - Parameter encoder: makes of the flow what filters ask for.
    package func matches(_ flow: Flow, _ encoder: FlowEncoder, part: FlowPart = .event) -> Bool {
        if whitelist.isEmpty, blacklist.isEmpty { return true }
        let sight = FlowSight(flow: flow, part: part, encoder: encoder)
        func matches(_ filter: [Condition]) -> Bool { filter.allSatisfy { $0(sight) } }
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
        let messages: [any Message] =
            [filter, filter.experimental] + filter.eventType + filter.tcpFlags + filter.sourceWorkload
            + filter.destinationWorkload
        guard messages.allSatisfy({ $0.unknownFields.data.isEmpty }) else {
            throw RequestError(path, "a field that this server does not know")
        }
        let values: [(String, [Int], isKnown: Bool)] = [
            ("verdict", filter.verdict.map(\.rawValue), filter.verdict.allSatisfy(HubbleVerdict.allCases.contains)),
            (
                "ip_version", filter.ipVersion.map(\.rawValue),
                filter.ipVersion.allSatisfy(HubbleIPVersion.allCases.contains)
            ),
            (
                "traffic_direction", filter.trafficDirection.map(\.rawValue),
                filter.trafficDirection.allSatisfy(HubbleTrafficDirection.allCases.contains)
            ),
        ]
        if let field = values.first(where: { !$0.isKnown }) {
            throw RequestError("\(path).\(field.0)", "\(field.1) has a value that this server does not know")
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
            found.append { sight in wanted.contains { $0(sight) } }
        }
        if !filter.tcpFlags.isEmpty {
            let wanted = filter.tcpFlags.map(\.set)
            found.append { sight in
                guard sight.tuple.ipProtocol == .tcp, let flags = sight.flow.tcpFlags else { return false }
                return wanted.contains { $0.map(flags.isSuperset) ?? false }
            }
        }
        if !filter.ipVersion.isEmpty {
            let wanted = Set(filter.ipVersion)
            found.append { wanted.contains($0.ipVersion) }
        }
        if !filter.reply.isEmpty {
            let wanted = Set(filter.reply)
            found.append { $0.isReply.map(wanted.contains) ?? false }
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
            found.append { $0.verdict == .dropped && wanted.contains($0.dropReason) }
        }
        if !filter.trafficDirection.isEmpty {
            let wanted = Set(filter.trafficDirection)
            found.append { wanted.contains($0.trafficDirection) }
        }
        if !filter.eventType.isEmpty {
            let wanted = filter.eventType
            found.append { sight in
                let event = sight.eventType ?? HubbleCiliumEventType()
                return wanted.contains { $0.matches(event) }
            }
        }
        if !filter.nodeName.isEmpty {
            let wanted = try filter.nodeName.enumerated().map { index, text in
                try NodePattern(text, "\(path).node_name[\(index)]")
            }
            found.append { sight in wanted.contains { $0.matches(sight.flow.node) } }
        }
        if !filter.dnsQuery.isEmpty {
            let wanted = try filter.dnsQuery.enumerated().map { index, text in
                try QueryPattern(text, "\(path).dns_query[\(index)]")
            }
            found.append { sight in
                guard let answer = sight.flow.dns else { return false }
                let query = answer.query + "."
                return wanted.contains { $0.matches(query) }
            }
        }
        return found
    }
}

extension HubbleEventTypeFilter {
    /// The type 0 is any.
    fileprivate func matches(_ event: HubbleCiliumEventType) -> Bool {
        (type == 0 || type == event.type) && (!matchSubType || subType == event.subType)
    }
}

/// The words for protocols of layers 4 and 7.
private enum ProtocolNames {
    static func condition(_ name: String) -> FlowMatcher.Condition? {
        switch name.lowercased() {
        case "tcp": { $0.tuple.ipProtocol == .tcp }
        case "udp": { $0.tuple.ipProtocol == .udp }
        case "sctp": { $0.tuple.ipProtocol == .sctp }
        case "icmpv4": { $0.tuple.ipProtocol == .icmp }
        case "icmpv6": { $0.tuple.ipProtocol == .icmpv6 }
        case "icmp": { $0.tuple.ipProtocol == .icmp || $0.tuple.ipProtocol == .icmpv6 }
        case "dns": { $0.flow.dns != nil }
        default: nil
        }
    }
}
