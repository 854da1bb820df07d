internal import Addressing
internal import Flows

/// Everything of a flow that counters look at. Flows of one shape differ in no label of any metric.
///
/// Making one and looking it up allocates nothing: ends are known by the identity of their names, which whoever keeps a
/// shape must keep alive by keeping the ends.
struct FlowShape: Hashable, Sendable {
    let kind: Flow.Kind
    let verdict: Flow.Verdict
    let direction: Flow.Direction
    let ipProtocol: IPProtocol
    let isIPv4: Bool
    /// The server's port; 0: none, or one that no server has.
    let port: Port
    let source: ObjectIdentifier
    let destination: ObjectIdentifier
    let reason: String?
    /// Flags that metrics tell, of a TCP connection that has ended.
    let flags: TCPFlags
    let icmpType: UInt8?
    /// Whether an answer came, of a connection that has ended; of a packet, whether it went back.
    let isAnswered: Bool
    let hasEgressRule: Bool
    let hasIngressRule: Bool
    let lossSource: FlowLoss.Source?
    /// What metrics tell of a DNS answer.
    let answer: AnswerShape?

    /// Ports from here on are given to clients.
    static let firstClientPort: Port = 32768

    /// Borrows the flow: an initializer would otherwise get a copy, which costs more than everything else here.
    init(_ flow: borrowing Flow) {
        kind = flow.kind
        verdict = flow.verdict
        direction = flow.direction
        ipProtocol = flow.tuple.ipProtocol
        isIPv4 = flow.tuple.destination.address.isIPv4
        let port = flow.tuple.destination.port
        self.port = flow.tuple.ipProtocol.hasPorts && port < Self.firstClientPort ? port : 0
        source = flow.source.identity
        destination = flow.destination.identity
        reason = flow.dropReason
        flags = flow.kind == .closed ? (flow.tcpFlags ?? []).intersection([.fin, .rst]) : []
        icmpType = flow.icmp?.type
        isAnswered = [.closed, .packet].contains(flow.kind) && flow.counters?.reverse.packets ?? 0 > 0
        hasEgressRule = flow.egressRule != nil
        hasIngressRule = flow.ingressRule != nil
        lossSource = flow.loss?.source
        answer = flow.dns.map(AnswerShape.init)
    }
}

/// What metrics tell of a DNS answer.
struct AnswerShape: Hashable, Sendable {
    let code: UInt16
    let type: UInt16
    let addresses: Int
    let isAnswered: Bool

    init(_ answer: DNSAnswer) {
        code = answer.code
        type = answer.type
        addresses = answer.addressCount
        isAnswered = answer.isAnswered
    }

    var typeText: String { DNSAnswer.typeText(type) }
}

extension FlowShape {
    /// Hashed for each flow: one word for all small fields costs a fraction of one step for each. What is left out only
    /// comes with other words.
    func hash(into hasher: inout Hasher) {
        let small =
            UInt64(kind.number) | UInt64(verdict.isDropped ? 8 : 0) | UInt64(direction == .egress ? 16 : 0)
            | UInt64(isAnswered ? 32 : 0) | UInt64(flags.rawValue) << 8 | UInt64(ipProtocol.rawValue) << 16
            | UInt64(port) << 24 | UInt64(icmpType ?? 0) << 40
        hasher.combine(small)
        hasher.combine(source)
        hasher.combine(destination)
        if let answer {
            hasher.combine(UInt64(answer.code) << 48 | UInt64(answer.type) << 32 | UInt64(answer.addresses))
        }
    }
}

extension Flow.Kind {
    fileprivate var number: UInt8 {
        switch self {
        case .opened: 0
        case .denied: 1
        case .closed: 2
        case .active: 3
        case .lost: 4
        case .audited: 5
        case .dns: 6
        case .packet: 7
        }
    }
}

extension Flow.Verdict {
    fileprivate var isDropped: Bool { self == .dropped }
}
