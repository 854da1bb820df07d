internal import Addressing
internal import Flows

/// The line for people that Hubble's clients show behind the verdict.
enum FlowSummary {
    static func text(_ flow: Flow, _ part: FlowPart) -> String {
        var words = [subject(flow)]
        if flow.count > 1 { words.append("\(flow.count) times") }
        // What policies said needs no more words than Cilium has for it.
        if part != .event { return words.joined(separator: "; ") }
        if flow.kind == .closed || flow.kind == .active, let counters = flow.counters {
            words.append("\(flow.kind.rawValue), \(way(counters.forward)) out, \(way(counters.reverse)) back")
            if let handshake = flow.handshake { words.append("handshake \(handshake / 1000) us") }
            if let again = flow.retransmissions { words.append("\(again.forward) + \(again.reverse) sent again") }
        }
        if flow.kind == .denied || flow.kind == .audited, let reason = flow.dropReason { words.append(reason) }
        return words.joined(separator: "; ")
    }

    private static func subject(_ flow: Flow) -> String {
        if let answer = flow.dns { return text(answer) }
        if let icmp = flow.icmp { return text(icmp, isIPv6: flow.tuple.ipProtocol == .icmpv6) }
        guard let flags = flow.tcpFlags, !flags.isEmpty else { return "\(flow.tuple.ipProtocol)" }
        return "TCP Flags: " + order.filter { flags.contains($0.flag) }.map(\.name).joined(separator: ", ")
    }

    /// In the order in which a node of Cilium's has them: who looks for `SYN, ACK` finds it.
    private static let order: [(flag: TCPFlags, name: String)] = [
        (.syn, "SYN"), (.ack, "ACK"), (.rst, "RST"), (.fin, "FIN"), (.psh, "PSH"), (.urg, "URG"), (.ece, "ECE"),
        (.cwr, "CWR"),
    ]

    /// Echoes by name, as those of Cilium's lines; other messages by their numbers.
    private static func text(_ message: ICMPMessage, isIPv6: Bool) -> String {
        let name =
            switch (isIPv6, message.type) {
            case (false, 8), (true, 128): "EchoRequest"
            case (false, 0), (true, 129): "EchoReply"
            default: "type \(message.type) code \(message.code)"
            }
        return (isIPv6 ? "ICMPv6 " : "ICMPv4 ") + name
    }

    private static func text(_ answer: DNSAnswer) -> String {
        guard answer.isAnswered else { return "DNS Query \(answer.query). \(answer.typeText), unanswered" }
        let found = answer.code == 0 ? answer.addresses.map { "\($0)" }.joined(separator: ",") : answer.codeText
        return "DNS Answer \"\(found)\" TTL: \(answer.lifetime) (\(answer.query). \(answer.typeText))"
    }

    private static func way(_ way: FlowCounters.Way) -> String { "\(way.packets) packets \(way.bytes) B" }
}
