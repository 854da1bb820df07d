internal import Addressing
internal import BPF
internal import DNSMessages
internal import DatapathABI
internal import DomainNames
internal import TestSupport
internal import Testing
internal import Wire

/// A pod that may ask anybody and reach what is called `*.web.test`, and a trusted resolver.
struct Asker {
    static let resolver = ip("10.9.9.9")
    static let stranger = ip("10.9.9.8")
    static let web = [ip("203.0.113.1"), ip("203.0.113.2")]

    let datapath: DatapathFixture
    let pod: Pod

    /// - Parameter names: patterns besides `*.web.test`, which are classes of peers in their order as text.
    init(sizes: [String: Int] = [:], names: [String] = [], _ configure: (inout apus_config) -> Void = { _ in }) throws {
        datapath = try DatapathFixture(
            { config in
                config.redirect_peer = 0
                configure(&config)
            }, sizes: sizes)
        let policy = HandMadePolicy(
            id: 0x77, hasNames: true,
            rules: [
                .init(peers: (0...UInt32(names.count)).map { $0 + 1 }), .init(ports: .init(ipProtocol: .udp, port: 53)),
                .init(ports: .init(port: 53)),
            ])
        try datapath.set(policy)
        pod = try datapath.addPod(egress: policy.id)
        try datapath.maps.domainAutomaton.install(
            DomainAutomaton(compiling: try (["*.web.test"] + names).map { try DomainPattern(fqdnPattern: $0) }))
        try datapath.maps.dnsResolvers.update(apus_prefix_key(CIDR(host: Self.resolver)), UInt32(1))
    }

    /// Another pod of the same data path.
    init(_ pod: Pod, beside asker: Asker) {
        datapath = asker.datapath
        self.pod = pod
    }

    /// Sends a question; it passes.
    func ask(
        _ name: String = "a.web.test", id: UInt16 = 7, resolver: IPAddress = Self.resolver, from port: Port = 40_000,
        to resolverPort: Port = 53
    ) throws {
        let message = DNSEncoder.encode(Self.question(name, id: id))
        let packet = pod.sends(to: resolver).udp(from: port, to: resolverPort).payload(message)
        #expect(try datapath.run(packet, on: .fromPod(pod)) == .passed)
    }

    /// An answer on its way to the pod, which passes whatever it says.
    func answer(
        _ name: String = "a.web.test", id: UInt16 = 7, type: DNSType = .a, from resolver: IPAddress = Self.resolver,
        lifetime: UInt32 = 60, addresses: [IPAddress] = Self.web, flags: UInt16 = 0x8180
    ) throws {
        var message = Self.message(name, id: id, type: type, lifetime: lifetime, addresses: addresses)
        message.flags = flags
        try receive(message, from: resolver)
    }

    static func question(_ name: String = "a.web.test", id: UInt16 = 7) -> SentMessage {
        var message = SentMessage(id: id, name: name)
        message.flags = 0x0100
        return message
    }

    static func message(
        _ name: String = "a.web.test", id: UInt16 = 7, type: DNSType = .a, lifetime: UInt32 = 60,
        addresses: [IPAddress] = Self.web
    ) -> SentMessage {
        SentMessage(
            id: id, name: name, type: type,
            answers: addresses.map { .init(owner: name, lifetime: lifetime, data: .address($0)) })
    }

    /// A message on its way to the pod, which passes whatever it says.
    func receive(
        _ message: SentMessage, from resolver: IPAddress = Self.resolver, _ resolverPort: Port = 53,
        to port: Port = 40_000
    ) throws {
        let packet = pod.receives(from: resolver).udp(from: resolverPort, to: port).payload(DNSEncoder.encode(message))
        #expect(try datapath.run(packet, on: .toPod(pod)) == .passed)
    }

    func reaches(_ address: IPAddress, from port: Port) throws -> Bool {
        try datapath.run(pod.sends(to: address).tcp(from: port, to: 443, flags: .syn), on: .fromPod(pod)) == .passed
    }

    /// Lets the first name of an address end.
    func end(_ address: IPAddress) throws {
        let key = apus_learned_key(address: apus_address(address), policy: 0x77, part: 0)
        var value = try #require(try datapath.maps.learnedAddresses.lookup(key, as: apus_learned_address.self))
        value.uses.0.end_ns = 1
        try datapath.maps.learnedAddresses.update(key, value)
    }

    func count(_ counter: apus_dns_counter) throws -> UInt64 {
        try datapath.maps.dnsCounters.lookupSum(counter.rawValue, as: UInt64.self) ?? 0
    }

    var isTaught: Bool { get throws { try !datapath.maps.learnedAddresses.keys(as: apus_learned_key.self).isEmpty } }
}
