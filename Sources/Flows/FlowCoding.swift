internal import Addressing

/// A value that is coded as its text.
struct Text<Value: LosslessStringConvertible & Sendable>: Codable, Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Value(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is no \(Value.self)")
        }
        self.value = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value.description)
    }
}

/// The stable JSON form of a flow: what is unknown or does not apply is left out.
private struct FlowRecord: Codable {
    struct End: Codable {
        var address: Text<IPAddress>
        var port: Port?
        var kind: Peer.Kind
        var namespace: String?
        var name: String?
        var labels: [String: String]?
        var workload: Peer.Workload?
        var node: String?
    }

    struct Service: Codable {
        var address: Text<IPAddress>
        var port: Port
        var namespace: String?
        var name: String?
        var portName: String?

        enum CodingKeys: String, CodingKey {
            case address, port, namespace, name
            case portName = "port_name"
        }
    }

    /// What Hubble calls layer 7: here a DNS answer, or a question that got none, which has no code.
    struct Layer7: Codable {
        struct DNS: Codable {
            var query: String
            var ips: [Text<IPAddress>]?
            /// How many addresses there are where not all are in `ips`.
            var ipCount: Int?
            var ttl: UInt32?
            var rcode: UInt16?
            var qtypes: [String]
            var truncated: Bool?

            enum CodingKeys: String, CodingKey {
                case query, ips, ttl, rcode, qtypes, truncated
                case ipCount = "ip_count"
            }
        }

        static let request = "REQUEST"

        var type = "RESPONSE"
        var latencyNanoseconds: UInt64
        var dns: DNS

        enum CodingKeys: String, CodingKey {
            case type, dns
            case latencyNanoseconds = "latency_ns"
        }
    }

    enum CodingKeys: String, CodingKey {
        case sequence, time, node, kind, verdict, direction, source, destination, service, counters, ending, icmp, count
        case lost, l7, retransmissions
        case destinationNames = "destination_names"
        case ipProtocol = "protocol"
        case dropReason = "drop_reason"
        case egressRule = "egress_rule"
        case ingressRule = "ingress_rule"
        case durationNanoseconds = "duration_ns"
        case tcpFlags = "tcp_flags"
        case handshakeNanoseconds = "handshake_ns"
    }

    var sequence: UInt64
    var time: String
    var node: String
    var kind: Flow.Kind
    var verdict: Flow.Verdict?
    var direction: Flow.Direction?
    var ipProtocol: Text<IPProtocol>?
    var source: End?
    var destination: End?
    var service: Service?
    var dropReason: String?
    var egressRule: String?
    var ingressRule: String?
    var counters: FlowCounters?
    var durationNanoseconds: UInt64?
    var ending: Flow.Ending?
    var tcpFlags: [String]?
    var icmp: ICMPMessage?
    var handshakeNanoseconds: UInt64?
    var retransmissions: FlowRetransmissions?
    var destinationNames: [String]?
    var l7: Layer7?
    var count: UInt64
    var lost: FlowLoss?
}

extension Flow: Codable {
    public init(from decoder: any Decoder) throws {
        let record = try FlowRecord(from: decoder)
        func corrupt(_ what: String) -> DecodingError {
            .dataCorrupted(DecodingError.Context(codingPath: decoder.codingPath, debugDescription: what))
        }
        guard let time = Timestamp.parse(record.time) else { throw corrupt("time \"\(record.time)\" is no time") }
        if record.kind == .lost {
            guard let loss = record.lost else { throw corrupt("a record of loss without its count") }
            self = .lost(loss.count, by: loss.source, time: time, node: record.node)
            sequence = record.sequence
            return
        }
        guard let source = record.source, let destination = record.destination, let ipProtocol = record.ipProtocol,
            let verdict = record.verdict, let direction = record.direction
        else { throw corrupt("a flow needs source, destination, protocol, verdict and direction") }
        let tuple = FlowTuple(
            source: source.socketAddress, destination: destination.socketAddress, ipProtocol: ipProtocol.value)
        self.init(
            time: time, kind: record.kind, verdict: verdict, direction: direction, tuple: tuple, node: record.node)
        self.source = source.peer
        self.destination = destination.peer
        guard takeDetails(of: record) else { throw corrupt("unknown TCP flag") }
    }

    public func encode(to encoder: any Encoder) throws {
        var record = FlowRecord(
            sequence: sequence, time: Timestamp.text(time), node: node, kind: kind, count: count, lost: loss)
        if kind != .lost { describe(in: &record) }
        try record.encode(to: encoder)
    }

    private mutating func takeDetails(of record: FlowRecord) -> Bool {
        sequence = record.sequence
        service = record.service.map {
            FlowService(
                frontend: SocketAddress($0.address.value, $0.port), namespace: $0.namespace, name: $0.name,
                portName: $0.portName)
        }
        dropReason = record.dropReason
        egressRule = record.egressRule.map { RuleReference($0) }
        ingressRule = record.ingressRule.map { RuleReference($0) }
        counters = record.counters
        duration = record.durationNanoseconds
        ending = record.ending
        icmp = record.icmp
        handshake = record.handshakeNanoseconds
        retransmissions = record.retransmissions
        destinationNames = record.destinationNames ?? []
        dns = record.l7.flatMap { DNSAnswer($0) }
        count = record.count
        tcpFlags = record.tcpFlags.flatMap { TCPFlags(names: $0) }
        return (tcpFlags == nil) == (record.tcpFlags == nil)
    }

    private func describe(in record: inout FlowRecord) {
        record.verdict = verdict
        record.direction = direction
        record.ipProtocol = Text(tuple.ipProtocol)
        record.source = FlowRecord.End(source, tuple.source.port)
        record.destination = FlowRecord.End(destination, tuple.destination.port)
        record.service = service.map {
            FlowRecord.Service(
                address: Text($0.frontend.address), port: $0.frontend.port, namespace: $0.namespace, name: $0.name,
                portName: $0.portName)
        }
        record.dropReason = dropReason
        record.egressRule = egressRule?.text
        record.ingressRule = ingressRule?.text
        record.counters = counters
        record.durationNanoseconds = duration
        record.ending = ending
        record.tcpFlags = tcpFlags?.names
        record.icmp = icmp
        record.handshakeNanoseconds = handshake
        record.retransmissions = retransmissions
        record.destinationNames = destinationNames.isEmpty ? nil : destinationNames
        record.l7 = dns.map { FlowRecord.Layer7($0) }
    }
}

extension FlowRecord.Layer7 {
    /// Hubble writes a name with its trailing dot.
    fileprivate init(_ answer: DNSAnswer) {
        if !answer.isAnswered { type = Self.request }
        latencyNanoseconds = answer.latency
        dns = DNS(
            query: answer.query + ".", ips: answer.addresses.isEmpty ? nil : answer.addresses.map { Text($0) },
            ipCount: answer.addressCount == answer.addresses.count ? nil : answer.addressCount,
            ttl: answer.addresses.isEmpty ? nil : answer.lifetime,
            rcode: answer.isAnswered ? answer.code : nil, qtypes: [answer.typeText],
            truncated: answer.isTruncated ? true : nil)
    }
}

extension DNSAnswer {
    /// Nil where the type of the question is none.
    fileprivate convenience init?(_ record: FlowRecord.Layer7) {
        let dns = record.dns
        guard let type = dns.qtypes.first.flatMap(Self.type) else { return nil }
        self.init(
            query: dns.query.hasSuffix(".") ? String(dns.query.dropLast()) : dns.query, type: type,
            code: dns.rcode ?? 0,
            addresses: dns.ips?.map(\.value) ?? [], addressCount: dns.ipCount, lifetime: dns.ttl ?? 0,
            latency: record.latencyNanoseconds, isTruncated: dns.truncated ?? false,
            isAnswered: record.type != FlowRecord.Layer7.request)
    }
}

extension FlowRecord.End {
    fileprivate init(_ peer: Peer, _ port: Port) {
        self.init(
            address: Text(peer.address), port: port == 0 ? nil : port, kind: peer.kind, namespace: peer.namespace,
            name: peer.name, labels: peer.labels.isEmpty ? nil : peer.labels, workload: peer.workload,
            node: peer.node)
    }

    fileprivate var socketAddress: SocketAddress { SocketAddress(address.value, port ?? 0) }

    fileprivate var peer: Peer {
        if kind == .world { return Peer(address: address.value) }
        return Peer(
            address: address.value, kind: kind, namespace: namespace, name: name, labels: labels ?? [:],
            workload: workload, node: node)
    }
}

extension FlowFilter: Codable {
    private enum CodingKeys: String, CodingKey {
        case namespaces, pods, labels, services, addresses, ports, protocols, verdicts, kinds, names
    }

    /// Absent fields are empty.
    public init(from decoder: any Decoder) throws {
        self.init()
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func texts<Value>(_ key: CodingKeys) throws -> [Value] where Value: LosslessStringConvertible & Sendable {
            try container.decodeIfPresent([Text<Value>].self, forKey: key)?.map(\.value) ?? []
        }
        namespaces = try container.decodeIfPresent([String].self, forKey: .namespaces) ?? []
        pods = try texts(.pods)
        labels = try texts(.labels)
        services = try texts(.services)
        addresses = try texts(.addresses)
        ports = try container.decodeIfPresent([Port].self, forKey: .ports) ?? []
        protocols = try texts(.protocols)
        verdicts = try container.decodeIfPresent([Flow.Verdict].self, forKey: .verdicts) ?? []
        kinds = try container.decodeIfPresent([Flow.Kind].self, forKey: .kinds) ?? []
        names = try texts(.names)
        let wanted: [Int] = [
            namespaces.count, pods.count, labels.count, services.count, addresses.count, ports.count, protocols.count,
            verdicts.count, kinds.count, names.count,
        ]
        guard wanted.reduce(0, +) <= Self.limit else {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(
                    codingPath: decoder.codingPath, debugDescription: "a filter has at most \(Self.limit) values"))
        }
    }

    /// Each value is compared with every flow that is told while somebody follows.
    private static let limit = 256

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        func put(_ values: [some Encodable], _ key: CodingKeys) throws {
            if !values.isEmpty { try container.encode(values, forKey: key) }
        }
        try put(namespaces, .namespaces)
        try put(pods.map { Text($0) }, .pods)
        try put(labels.map { Text($0) }, .labels)
        try put(services.map { Text($0) }, .services)
        try put(addresses.map { Text($0) }, .addresses)
        try put(ports, .ports)
        try put(protocols.map { Text($0) }, .protocols)
        try put(verdicts, .verdicts)
        try put(kinds, .kinds)
        try put(names.map { Text($0) }, .names)
    }
}
