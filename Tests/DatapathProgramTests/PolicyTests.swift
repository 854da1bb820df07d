internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

private typealias Rule = HandMadePolicy.Rule
private typealias Ports = HandMadePolicy.PortRange

extension DatapathFixture {
    /// What becomes of a packet of a new connection from a pod to the outside.
    func open(
        _ pod: Pod, to address: IPAddress = Family.v4.outside, _ ipProtocol: IPProtocol = .tcp, _ port: Port = 80
    ) throws -> Fate {
        let start = pod.sends(to: address)
        let source = nextSourcePort()
        let packet =
            switch ipProtocol {
            case .tcp: start.tcp(from: source, to: port, flags: .syn)
            case .udp: start.udp(from: source, to: port)
            case .sctp: start.sctp(from: source, to: port)
            case .icmp: start.echo(identifier: source)
            default: pod.frame().ipv4(from: pod.v4, to: address, ipProtocol: ipProtocol).payload([0, 0, 8, 0])
            }
        return try run(packet, on: .fromPod(pod))
    }

    /// A pod under an egress policy.
    func pod(under policy: HandMadePolicy) throws -> Pod {
        try set(policy)
        return try addPod(egress: policy.id)
    }

    /// The rule that judged the egress of the last connection that opened, or of the last packet that was denied.
    func lastRule() -> UInt32? { events().last?.egress_rule }
}

/// One row of rules and what they come to.
struct TierCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let isolates: Bool
    let rules: [HandMadePolicy.Rule]
    let fate: Fate
    let rule: UInt32

    init(
        _ name: String, isolates: Bool, _ rules: [HandMadePolicy.Rule], _ fate: Fate, rule: UInt32
    ) {
        testDescription = name
        (self.isolates, self.rules, self.fate, self.rule) = (isolates, rules, fate, rule)
    }
}

@Suite("Policy")
struct PolicyTests {
    private static let denied = Fate.dropped(leaving: .denied)
    private static let isolated = Fate.dropped(leaving: .isolated)

    static let tiers: [TierCase] = [
        TierCase("no rule and no isolation", isolates: false, [], .passed, rule: noRule),
        TierCase("no rule but isolation", isolates: true, [], isolated, rule: isolationRule),
        TierCase("an allowing rule", isolates: true, [Rule()], .passed, rule: 0),
        TierCase(
            "Admin denies before NetworkPolicy allows", isolates: true,
            [Rule(tier: .admin, action: .deny), Rule()], denied, rule: 0),
        TierCase(
            "Admin allows what isolation would deny", isolates: true,
            [Rule(tier: .admin, action: .allow)], .passed, rule: 0),
        TierCase(
            "Admin passes, then NetworkPolicy allows", isolates: true,
            [Rule(tier: .admin, action: .pass), Rule(tier: .admin, action: .deny), Rule()], .passed, rule: 2),
        TierCase(
            "Admin passes, then isolation denies", isolates: true,
            [Rule(tier: .admin, action: .pass), Rule(tier: .admin, action: .allow)], isolated, rule: isolationRule),
        TierCase(
            "Admin passes, then Baseline denies", isolates: false,
            [Rule(tier: .admin, action: .pass), Rule(tier: .baseline, action: .deny)], denied, rule: 1),
        TierCase(
            "the first Admin rule that matches decides", isolates: false,
            [
                Rule(tier: .admin, action: .deny, ports: Ports(port: 81)), Rule(tier: .admin, action: .allow),
                Rule(tier: .admin, action: .deny),
            ], .passed, rule: 1),
        TierCase(
            "Baseline has no say about isolated pods", isolates: true,
            [Rule(tier: .baseline, action: .allow)], isolated, rule: isolationRule),
        TierCase(
            "the first Baseline rule that matches decides", isolates: false,
            [Rule(tier: .baseline, action: .deny), Rule(tier: .baseline, action: .allow)], denied, rule: 0),
        TierCase("Baseline allows", isolates: false, [Rule(tier: .baseline, action: .allow)], .passed, rule: 0),
        TierCase(
            "peers of another class don't count", isolates: true, [Rule(peers: [9])], isolated, rule: isolationRule),
        TierCase("the peer's class counts", isolates: true, [Rule(peers: [9]), Rule(peers: [7])], .passed, rule: 1),
        TierCase(
            "peer and port have to match in one rule", isolates: true,
            [Rule(peers: [7], ports: Ports(port: 81)), Rule(peers: [9], ports: Ports(port: 80))], isolated,
            rule: isolationRule),
        TierCase(
            "the port of another protocol doesn't count", isolates: true,
            [Rule(ports: Ports(ipProtocol: .udp, port: 80))], isolated, rule: isolationRule),
    ]

    @Test("The first rule that matches, tier by tier", arguments: tiers)
    func tier(_ row: TierCase) throws {
        let datapath = try DatapathFixture()
        // The same rules behind 0…300 that never match: in another word of a page, and in another page.
        for skipped in [0, 1, 63, 64, 255, 256, 300] {
            let never = Rule(tier: .admin, action: .deny, peers: [9], ports: Ports(ipProtocol: .sctp, port: 9))
            let rules = [Rule](repeating: never, count: skipped) + row.rules
            let policy = HandMadePolicy(id: UInt32(100 + skipped), isolates: row.isolates, rules: rules)
            let pod = try datapath.pod(under: policy)
            try datapath.setClass(7, of: Family.v4.outside)
            #expect(try datapath.open(pod) == row.fate, "behind \(skipped) rules")
            let rule = row.rule >= isolationRule ? row.rule : row.rule + UInt32(skipped)
            #expect(datapath.lastRule() == rule, "behind \(skipped) rules")
            try datapath.maps.denials.clear(apus_denial_key.self)
        }
    }

    @Test("The last rule of a long policy is found", arguments: [1, 64, 65, 256, 257, 512, 2000, 16_384])
    func pages(count: Int) throws {
        let datapath = try DatapathFixture()
        let never = Rule(peers: [9], ports: Ports(ipProtocol: .sctp, port: 9))
        let policy = HandMadePolicy(
            id: 5, rules: [Rule](repeating: never, count: count - 1) + [Rule(ports: Ports(port: 80))])
        let pod = try datapath.pod(under: policy)
        #expect(try datapath.open(pod) == .passed)
        #expect(datapath.lastRule() == UInt32(count - 1))
        #expect(try datapath.open(pod, to: Family.v4.outside, .tcp, 81) == Self.isolated)
    }

    /// Rules of three pages for one peer or one port, none for both, where nothing isolates.
    private static let neverMet = HandMadePolicy(
        id: 5, isolates: false,
        rules: (0..<700).map {
            $0.isMultiple(of: 2) ? Rule(peers: [9], ports: Ports(port: 81)) : Rule(peers: [8], ports: Ports(port: 80))
        })

    @Test("A missing page in which a rule could match lets nothing pass", arguments: [0, 1, 2])
    func missingPage(page: UInt32) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.pod(under: Self.neverMet)
        try datapath.setClass(9, of: Family.v4.outside)
        #expect(try datapath.open(pod, to: Family.v4.outside, .tcp, 80) == .passed)
        try datapath.maps.policyPages.delete(apus_policy_page_key(policy: 5, page: page))
        #expect(try datapath.open(pod, to: Family.v4.outside, .tcp, 80) == .dropped(leaving: .policyMissing))
        // No other page than the first is asked of a peer and port that no rule names.
        let fate = try datapath.open(pod, to: Family.v4.outside, .tcp, 82)
        #expect(fate == (page == 0 ? .dropped(leaving: .policyMissing) : .passed))
    }

    @Test("Missing bits of a further page, which its first one promises, let nothing pass", arguments: [1, 2])
    func missingBits(page: UInt32) throws {
        for side in [0, 1] {
            let datapath = try DatapathFixture()
            let pod = try datapath.pod(under: Self.neverMet)
            try datapath.setClass(9, of: Family.v4.outside)
            #expect(try datapath.open(pod, to: Family.v4.outside, .tcp, 80) == .passed)
            if side == 0 {
                try datapath.maps.policyPeers.delete(apus_policy_peers_key(policy: 5, class_id: 9, page: page))
            } else {
                try datapath.maps.policySinglePorts.delete(
                    datapath.portsKey(5, Int(page), HandMadePolicy.PortRange(port: 80)))
            }
            #expect(try datapath.open(pod, to: Family.v4.outside, .tcp, 80) == .dropped(leaving: .policyMissing))
        }
    }

    /// A peer of rules on some pages, a port of others, an order that crosses pages.
    private static let crossing = HandMadePolicy(
        id: 5,
        rules: (0..<1300).map { number in
            switch number {
            case 300: Rule(peers: [9], ports: Ports(port: 0, length: 0))  // every TCP port
            case 600: Rule(peers: [7, 9], ports: Ports(port: 8080, length: 12))  // 8080…8095
            case 900: Rule(peers: [7], ports: Ports(port: 8085))
            case 1290: Rule(ports: Ports(port: 8085))
            case 1291: Rule(peers: [6])
            default: Rule(peers: [UInt32(1000 + number)], ports: Ports(ipProtocol: .udp, port: Port(number)))
            }
        })

    @Test(
        "Pages meet where a rule admits both, in order",
        arguments: [
            (9, .tcp, 9000, 300), (9, .tcp, 8085, 300), (7, .tcp, 8080, 600), (7, .tcp, 8085, 600),
            (7, .tcp, 8079, nil), (6, .tcp, 8085, 1290), (6, .udp, 1, 1291), (0, .tcp, 8085, 1290),
            (0, .udp, 8085, nil), (1299, .udp, 1299, 1299), (1299, .udp, 1298, nil), (1, .tcp, 8085, 1290),
        ] as [(UInt32, IPProtocol, Port, UInt32?)])
    func pagesMeet(peer: UInt32, ipProtocol: IPProtocol, port: Port, rule: UInt32?) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.pod(under: Self.crossing)
        try datapath.setClass(peer == 1299 ? 2299 : peer, of: Family.v4.outside)
        let fate = try datapath.open(pod, to: Family.v4.outside, ipProtocol, port)
        #expect(fate == (rule == nil ? Self.isolated : .passed))
        if let rule { #expect(datapath.lastRule() == rule) }
    }

    @Test("A policy that says it is longer than any can be lets nothing pass")
    func tooLong() throws {
        let datapath = try DatapathFixture()
        let policy = HandMadePolicy(
            id: 5, isolates: false, rules: [Rule](repeating: Rule(peers: [9]), count: 16_384))
        let pod = try datapath.pod(under: policy)
        #expect(try datapath.open(pod) == .passed)
        for number in 0..<UInt32(64) {
            let key = apus_policy_page_key(policy: 5, page: number)
            var page = try #require(try datapath.maps.policyPages.lookup(key, as: apus_policy_page.self))
            page.page_count = 65
            try datapath.maps.policyPages.update(key, page)
        }
        #expect(try datapath.open(pod) == .dropped(leaving: .policyMissing))
    }

    @Test("Port ranges end where they end, and longer prefixes hold what shorter ones admit")
    func portRanges() throws {
        let datapath = try DatapathFixture()
        let policy = HandMadePolicy(
            id: 5,
            rules: [
                Rule(ports: Ports(port: 8000, length: 10)),  // 7936…7999 is another block: 8000 & ~63 = 8000…8063
                Rule(ports: Ports(port: 8010)), Rule(ports: Ports(ipProtocol: .udp, port: 0, length: 0)),
                Rule(peers: [7], ports: Ports(port: 9000, length: 13)),
            ])
        let pod = try datapath.pod(under: policy)
        let outside = Family.v4.outside
        for (port, fate) in [
            (7999, Self.isolated), (8000, .passed), (8010, .passed), (8063, .passed), (8064, Self.isolated),
        ] {
            #expect(try datapath.open(pod, to: outside, .tcp, Port(port)) == fate, "TCP \(port)")
        }
        #expect(datapath.events().filter { $0.kind == .opened }.allSatisfy { $0.egress_rule == 0 })
        for port in [1, 53, 65535] as [Port] { #expect(try datapath.open(pod, to: outside, .udp, port) == .passed) }
        #expect(try datapath.open(pod, to: outside, .sctp, 8010) == Self.isolated)
        #expect(try datapath.open(pod, to: outside, .tcp, 9001) == Self.isolated)
        try datapath.setClass(7, of: outside)
        #expect(try datapath.open(pod, to: outside, .tcp, 9001) == .passed)
        #expect(try datapath.open(pod, to: outside, .tcp, 9008) == Self.isolated)
    }

    @Test("An exact class beats a prefix, a long prefix a short one", arguments: Family.allCases)
    func classes(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.pod(under: HandMadePolicy(id: 5, rules: [Rule(peers: [7])]))
        let (wide, narrow) = family == .v4 ? ("203.0.113.0/24", "203.0.113.8/30") : ("2001:db8::/32", "2001:db8::/64")
        #expect(try datapath.open(pod, to: family.outside) == Self.isolated)
        try datapath.setClass(7, of: cidr(wide))
        #expect(try datapath.open(pod, to: family.outside) == .passed)
        try datapath.setClass(8, of: cidr(narrow))
        #expect(try datapath.open(pod, to: family.outside) == Self.isolated)
        try datapath.setClass(7, of: family.outside)
        #expect(try datapath.open(pod, to: family.outside) == .passed)
        try datapath.setClass(0, of: family.outside)
        #expect(try datapath.open(pod, to: family.outside) == Self.isolated)
    }

    @Test("A rule for every peer admits the class of anyone, and every other", arguments: [0, 7] as [UInt32])
    func anyPeer(peer: UInt32) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.pod(under: .onlyHTTP)
        try datapath.setClass(peer, of: Family.v4.outside)
        #expect(try datapath.open(pod) == .passed)
    }

    @Test("The node reaches its own pods; the pods don't reach it without a rule", arguments: Family.allCases)
    func localNode(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(ingress: HandMadePolicy.denyAll.id, egress: HandMadePolicy.denyAll.id)
        let probe = pod.receives(from: family.outside).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(probe, on: .toPod(pod)) == .dropped(entering: .isolated))
        try datapath.setClass(0, of: family.outside, isLocalNode: true)
        #expect(try datapath.run(probe, on: .toPod(pod)) == .passed)
        #expect(
            try datapath.run(
                pod.sends(to: family.outside).tcp(from: 80, to: 40000, flags: [.syn, .ack]), on: .fromPod(pod))
                == .passed)
        #expect(try datapath.open(pod, to: family.outside) == Self.isolated)
    }

    @Test("Who has the node's address but comes from an interface is not the node", arguments: Family.allCases)
    func receivedFromLocalNode(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.onlyHTTP)
        let pod = try datapath.addPod(ingress: HandMadePolicy.onlyHTTP.id)
        try datapath.setClass(0, of: family.outside, isLocalNode: true)
        func opening(_ port: Port) -> Packet {
            pod.receives(from: family.outside).tcp(from: 40000, to: port, flags: .syn)
        }
        let isolated = Fate.dropped(entering: .isolated)
        #expect(try datapath.forward(opening(81), to: pod) == isolated)
        let error = pod.receives(from: family.outside).icmpError(
            .timeExceeded, quoting: Packet.raw.ip(from: pod[family], to: family.virtual).udp(from: 53, to: 5000))
        #expect(try datapath.forward(error, to: pod) == isolated)
        // Its rules are for it as for anyone, …
        #expect(try datapath.forward(opening(80), to: pod) == .passed)
        // … also once its connection lives, which the pod's answers do not make one of the node.
        try datapath.set(.denyAll)
        try datapath.setEndpoint(of: pod) {
            $0.ingress_policy = HandMadePolicy.denyAll.id
            $0.generation += 1
        }
        let answer = pod.sends(to: family.outside).tcp(from: 80, to: 40000, flags: [.syn, .ack])
        #expect(try datapath.run(answer, on: .fromPod(pod)) == isolated)
        #expect(try datapath.run(opening(81), on: .toPod(pod)) == .passed)
    }

    @Test("What the node has opened stays its own under a policy that isolates, and its answers come by an interface")
    func liveOfLocalNode() throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        try datapath.setClass(0, of: Family.v4.outside, isLocalNode: true)
        let request = pod.receives(from: Family.v4.outside).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(request, on: .toPod(pod)) == .passed)
        try datapath.set(.denyAll)
        try datapath.setEndpoint(of: pod) {
            $0.ingress_policy = HandMadePolicy.denyAll.id
            $0.generation += 1
        }
        let answer = pod.sends(to: Family.v4.outside).tcp(from: 80, to: 40000, flags: [.syn, .ack])
        #expect(try datapath.run(answer, on: .fromPod(pod)) == .passed)
    }

    @Test("A pod may ask and answer its own node for hardware addresses, but sends nothing else there by that way")
    func discoveryOfTheNode() throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(egress: HandMadePolicy.denyAll.id)
        let gateway = Family.v6.outside
        let solicitation = pod.sends(to: gateway, ttl: 255).neighbourSolicitation(for: gateway, from: pod.mac)
        let advertisement = pod.sends(to: gateway, ttl: 255).neighbourAdvertisement(of: pod.v6, at: pod.mac)
        #expect(try datapath.run(solicitation, on: .fromPod(pod)) == Self.isolated)
        try datapath.setClass(0, of: gateway, isLocalNode: true)
        #expect(try datapath.run(solicitation, on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(advertisement, on: .fromPod(pod)) == .passed)
        #expect(try datapath.open(pod, to: gateway) == Self.isolated)
    }

    @Test("The sender's egress is judged before the receiver's ingress")
    func bothEnds() throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        try datapath.set(.onlyHTTP)
        let client = try datapath.addPod(egress: HandMadePolicy.onlyHTTP.id)
        let server = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        #expect(try datapath.open(client, to: server.v4, .tcp, 81) == Self.isolated)
        #expect(try datapath.open(client, to: server.v4) == .dropped(entering: .isolated))
        try datapath.setEndpoint(of: server) { $0.ingress_policy = HandMadePolicy.onlyHTTP.id }
        #expect(try datapath.open(client, to: server.v4) == .delivered)
        let opened = try #require(datapath.events().last)
        #expect(
            opened.egress_policy == HandMadePolicy.onlyHTTP.id && opened.ingress_policy == HandMadePolicy.onlyHTTP.id)
        #expect(opened.egress_rule == 0 && opened.ingress_rule == 0)
    }

    @Test("Protocols without ports need a rule for every port", arguments: [IPProtocol.icmp, IPProtocol(rawValue: 47)])
    func withoutPorts(_ ipProtocol: IPProtocol) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.pod(
            under: HandMadePolicy(
                id: 5,
                rules: [
                    Rule(ports: Ports(port: 0, length: 0)), Rule(ports: Ports(ipProtocol: .udp, port: 0, length: 0)),
                ]))
        #expect(try datapath.open(pod, to: Family.v4.outside, ipProtocol) == Self.isolated)
        try datapath.set(.allowAll)
        try datapath.setEndpoint(of: pod) { $0.egress_policy = HandMadePolicy.allowAll.id }
        #expect(try datapath.open(pod, to: Family.v4.outside, ipProtocol) == .passed)
    }
}
