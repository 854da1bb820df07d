internal import Addressing

/// How flows are written for people: one line each.
public struct FlowText: Sendable {
    /// Whether verdicts are coloured for a terminal.
    public var usesColour: Bool
    /// The time zone of the clock, in seconds east of UTC.
    public var utcOffset: Int

    public init(usesColour: Bool = false, utcOffset: Int = 0) {
        self.usesColour = usesColour
        self.utcOffset = utcOffset
    }

    /// The flow as one line without its end.
    public func line(_ flow: Flow) -> String {
        let time = Timestamp.timeOfDay(flow.time, offset: utcOffset)
        if let loss = flow.loss { return "\(time) \(label("LOST", .yellow)) \(Self.text(loss))" }
        var parts = [time, label(flow.verdict), Self.path(flow)]
        if !flow.destinationNames.isEmpty { parts.append("(\(Self.names(flow.destinationNames)))") }
        if let service = flow.service { parts.append("(\(Self.text(service)))") }
        parts += [flow.tuple.ipProtocol.description, Self.event(flow)]
        if flow.kind == .closed || flow.kind == .active, let counters = flow.counters {
            parts.append(Self.text(counters, flow.duration) + Self.quality(flow))
        }
        if flow.kind == .packet { parts.append(Self.packet(flow)) }
        return parts.joined(separator: " ") + Self.rules(flow)
    }

    private func label(_ verdict: Flow.Verdict) -> String {
        switch verdict {
        case .forwarded: label("ALLOWED", .green)
        case .dropped: label("DENIED", .red)
        case .audit: label("AUDIT", .yellow)
        }
    }

    private enum Colour: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
    }

    /// A word of seven columns and a space, so that what follows is aligned.
    private func label(_ word: String, _ colour: Colour) -> String {
        let padded = word + String(repeating: " ", count: max(0, 8 - word.count))
        return usesColour ? "\u{1b}[\(colour.rawValue)m\(padded)\u{1b}[0m" : padded
    }

    private static func path(_ flow: Flow) -> String {
        let tuple = flow.tuple
        return "\(text(flow.source, tuple.source)) -> \(text(flow.destination, tuple.destination))"
    }

    private static func text(_ peer: Peer, _ end: SocketAddress) -> String {
        guard peer.name != nil else { return end.description }
        return end.port == 0 ? peer.description : "\(peer.description):\(end.port)"
    }

    private static func text(_ service: FlowService) -> String {
        guard let namespace = service.namespace, let name = service.name else { return "service \(service.frontend)" }
        let port = service.portName.map { ":\($0)" } ?? ""
        return "service \(namespace)/\(name)\(port) \(service.frontend)"
    }

    private static func text(_ loss: FlowLoss) -> String {
        let place =
            switch loss.source {
            case .kernelRing: "in the kernel's ring buffer, which was full"
            case .collector: "in the agent, unreadable or without room"
            case .store: "in the agent's store, overwritten by newer ones"
            case .follower: "on the way to this reader, which is too slow"
            }
        return "\(loss.count) \(loss.count == 1 ? "record" : "records") \(place)"
    }

    private static func event(_ flow: Flow) -> String {
        var words = [flow.kind.rawValue]
        if flow.count > 1 { words.append("\(flow.count) times") }
        if let ending = flow.ending { words.append("by " + text(ending)) }
        if let reason = flow.dropReason { words.append("(\(reason))") }
        if let dns = flow.dns { words.append(text(dns)) }
        if let icmp = flow.icmp { words.append("type \(icmp.type) code \(icmp.code)") }
        return words.joined(separator: " ")
    }

    /// The one that ends last, and how many more there are.
    private static func names(_ names: [String]) -> String {
        (names.first ?? "") + (names.count > 1 ? " + \(names.count - 1) more" : "")
    }

    /// `a.example.com A NOERROR 198.51.100.1 + 3 more after 420 us`.
    private static func text(_ answer: DNSAnswer) -> String {
        guard answer.isAnswered else {
            return "\(answer.query). \(answer.typeText) unanswered after \(time(answer.latency))"
        }
        let found = answer.addresses.first.map { ["\($0)"] } ?? []
        let more = answer.addressCount > 1 ? ["+ \(answer.addressCount - 1) more"] : []
        let end = (answer.isTruncated ? ["truncated"] : []) + ["after \(time(answer.latency))"]
        return ([answer.query + ".", answer.typeText, answer.codeText] + found + more + end).joined(separator: " ")
    }

    private static func text(_ ending: Flow.Ending) -> String {
        switch ending {
        case .fin: "FIN"
        case .reset: "RST"
        case .timeout: "time-out"
        case .replaced: "replacement"
        }
    }

    private static func text(_ counters: FlowCounters, _ duration: UInt64?) -> String {
        (duration.map { "after \(time($0)), " } ?? "") + "\(text(counters.forward)) out, \(text(counters.reverse)) back"
    }

    /// `, handshake 420 us, 2 + 1 sent again`.
    private static func quality(_ flow: Flow) -> String {
        let again = flow.retransmissions.map { ", \($0.forward) + \($0.reverse) sent again" } ?? ""
        return (flow.handshake.map { ", handshake \(time($0))" } ?? "") + again
    }

    /// `back SYN ACK 66 B`.
    private static func packet(_ flow: Flow) -> String {
        let (counters, flags) = (flow.counters ?? FlowCounters(), flow.tcpFlags?.names ?? [])
        let isBack = counters.reverse.packets > 0
        let bytes = size(isBack ? counters.reverse.bytes : counters.forward.bytes)
        return ([isBack ? "back" : "out"] + flags + [bytes]).joined(separator: " ")
    }

    private static func text(_ way: FlowCounters.Way) -> String {
        "\(way.packets) \(way.packets == 1 ? "packet" : "packets") \(size(way.bytes))"
    }

    private static func rules(_ flow: Flow) -> String {
        let rules = [flow.egressRule, flow.ingressRule].compactMap { $0?.description }
        return rules.isEmpty ? "" : ": " + rules.joined(separator: ", ")
    }

    private static func time(_ nanoseconds: UInt64) -> String {
        switch nanoseconds {
        case ..<1_000_000: "\(nanoseconds / 1000) us"
        case ..<1_000_000_000: "\(nanoseconds / 1_000_000) ms"
        case ..<60_000_000_000: "\(tenths(nanoseconds, 1_000_000_000)) s"
        default: "\(nanoseconds / 60_000_000_000) min \(nanoseconds / 1_000_000_000 % 60) s"
        }
    }

    private static func size(_ bytes: UInt64) -> String {
        switch bytes {
        case ..<1024: "\(bytes) B"
        case ..<1_048_576: "\(tenths(bytes, 1024)) KiB"
        case ..<1_073_741_824: "\(tenths(bytes, 1_048_576)) MiB"
        default: "\(tenths(bytes, 1_073_741_824)) GiB"
        }
    }

    /// `value / unit` with one decimal, rounded down.
    private static func tenths(_ value: UInt64, _ unit: UInt64) -> String {
        "\(value / unit).\(value % unit * 10 / unit)"
    }
}
