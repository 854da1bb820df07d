internal import Addressing
internal import BPF
internal import DNSMessages
internal import DatapathABI
internal import TestSupport
internal import Testing

extension Asker {
    /// Nothing is held of anybody, one outcome was counted, and the addresses of the web are as closed as before.
    func expectNothingLearned(_ counter: apus_dns_counter, times: UInt64 = 1) throws {
        #expect(try !isTaught)
        #expect(try count(counter) == times)
        #expect(try count(.APUS_DNS_COUNT_LEARNED) == 0 && count(.APUS_DNS_COUNT_ADDRESSES) == 0)
        for address in Self.web { #expect(try !reaches(address, from: 50_000)) }
    }

    /// Trusts an address as enum apus_resolver_trust says; 0: as nothing.
    fileprivate func trust(_ address: IPAddress, _ trust: UInt32) throws {
        let key = apus_prefix_key(CIDR(host: address))
        if trust == 0 {
            _ = try datapath.maps.dnsResolvers.delete(key)
        } else {
            try datapath.maps.dnsResolvers.update(key, trust)
        }
    }

    /// A pod behind a Service with the resolver's address.
    fileprivate func addBackend() throws -> Pod {
        let backend = try datapath.addPod()
        try datapath.addService(
            SocketAddress(Self.resolver, 53), .udp, to: [SocketAddress(backend.v4, 53)],
            kind: .APUS_SERVICE_EXTERNAL_IP)
        return backend
    }

    /// The answer of a backend, on its way to the pod in the name of its Service.
    fileprivate func answer(id: UInt16 = 7, by backend: Pod) throws {
        let answer = backend.sends(to: pod.v4).udp(from: 53, to: 40_000)
            .payload(DNSEncoder.encode(Self.message(id: id)))
        #expect(try datapath.run(answer, on: .fromPod(backend)) == .passed)
        #expect(try datapath.run(datapath.output, on: .toPod(pod)) == .passed)
    }
}

@Suite("Answers that are not to be believed, to a question that was asked")
struct HostileAnswerTests {
    @Test("A resolver that the node does not trust teaches nothing")
    func untrusted() throws {
        let asker = try Asker()
        try asker.ask(resolver: Asker.stranger)
        try asker.answer(from: Asker.stranger)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNTRUSTED)
        #expect(try asker.count(.APUS_DNS_COUNT_QUESTIONS) == 0)
    }

    @Test("A resolver that the node does not trust teaches nothing over TCP, in one segment or in parts")
    func untrustedStream() throws {
        let stream = try StreamAsker(to: Asker.stranger)
        try stream.ask(1)
        let answer = StreamAsker.framed(StreamAsker.answer(1))
        try stream.receive(answer, at: 0)
        try stream.receive(answer[..<20], at: answer.count)
        try stream.receive(answer[20...], at: answer.count + 20)
        try stream.asker.expectNothingLearned(.APUS_DNS_COUNT_UNTRUSTED, times: 3)
        #expect(try !stream.isTaught(1) && stream.asker.handedOver().isEmpty)
    }

    @Test("Fragments of a resolver that the node does not trust are not handed over")
    func untrustedFragments() throws {
        let asker = try Asker()
        try asker.ask(resolver: Asker.stranger)
        let whole = asker.pod.receives(from: Asker.stranger).udp(from: 53, to: 40_000)
            .payload(DNSEncoder.encode(Asker.message()))
        for fragment in whole.fragments(of: 32) {
            #expect(try asker.datapath.run(fragment, on: .toPod(asker.pod)) == .passed)
        }
        let count = UInt64(whole.fragments(of: 32).count)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNTRUSTED, times: count)
        #expect(try asker.handedOver().isEmpty && asker.count(.APUS_DNS_COUNT_FRAGMENTED) == 0)
    }

    @Test("Another pod of the node that is asked as a resolver teaches nothing", arguments: [0, 1] as [UInt8])
    func attackerPod(redirect: UInt8) throws {
        let asker = try Asker { $0.redirect_peer = redirect }
        let attacker = try asker.datapath.addPod()
        let question = asker.pod.sends(to: attacker.v4).udp(from: 40_000, to: 53)
            .payload(DNSEncoder.encode(Asker.question()))
        let passed: Fate = redirect == 1 ? .delivered : .passed
        #expect(try asker.datapath.run(question, on: .fromPod(asker.pod)) == passed)
        let answer = attacker.sends(to: asker.pod.v4).udp(from: 53, to: 40_000)
            .payload(DNSEncoder.encode(Asker.message()))
        #expect(try asker.datapath.run(answer, on: .fromPod(attacker)) == passed)
        if redirect == 0 { #expect(try asker.datapath.run(answer, on: .toPod(asker.pod)) == .passed) }
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNTRUSTED)
    }

    @Test("Another pod of the node that takes the resolver's address gets no packet out, and the real answer counts")
    func forgedSource() throws {
        let asker = try Asker()
        let attacker = try asker.datapath.addPod()
        try asker.ask()
        let forged = attacker.frame().ip(from: Asker.resolver, to: asker.pod.v4).udp(from: 53, to: 40_000)
            .payload(DNSEncoder.encode(Asker.message(addresses: [ip("203.0.113.66")])))
        #expect(try asker.datapath.run(forged, on: .fromPod(attacker)) == .dropped(leaving: .invalidSource))
        #expect(try !asker.isTaught)
        try asker.answer()
        #expect(try asker.reaches(Asker.web[0], from: 50_001) && !asker.reaches(ip("203.0.113.66"), from: 50_002))
    }

    @Test("The resolver's address on a packet of the network is no pod's own resolver: its node drops it")
    func forgedPodSource() throws {
        let asker = try Asker()
        let resolver = try asker.datapath.addPod()
        try asker.datapath.maps.dnsResolvers.update(apus_prefix_key(CIDR(host: resolver.v4)), UInt32(1))
        try asker.ask(resolver: resolver.v4)
        let forged = asker.pod.receives(from: resolver.v4).udp(from: 53, to: 40_000)
            .payload(DNSEncoder.encode(Asker.message()))
        #expect(try asker.datapath.run(forged, on: .fromNetwork) == .dropped(entering: .invalidSource))
        #expect(try !asker.isTaught && !asker.reaches(Asker.web[0], from: 50_000))
    }

    /// Which of its addresses a Service is trusted by, and which its backend is.
    private static let services: [(frontend: UInt32, backend: UInt32, teaches: Bool)] = {
        let (peer, frontend) = (APUS_RESOLVER_PEER.rawValue, APUS_RESOLVER_FRONTEND.rawValue)
        let backend = APUS_RESOLVER_BACKEND.rawValue
        return [
            (peer, 0, false), (peer, backend, false), (frontend, 0, false), (0, backend, false),
            (frontend, backend, true), (frontend | peer, backend, true), (frontend, peer, true),
            (backend, backend, false),
        ]
    }()

    @Test(
        "A Service teaches only where its address is a resolvers' Service's, and leads to a backend of one",
        arguments: services)
    func serviceInFront(frontend: UInt32, backend trust: UInt32, teaches: Bool) throws {
        let asker = try Asker()
        let backend = try asker.addBackend()
        try asker.trust(Asker.resolver, frontend)
        try asker.trust(backend.v4, trust)
        try asker.ask()
        try asker.answer(by: backend)
        if teaches {
            #expect(try asker.isTaught)
        } else {
            try asker.expectNothingLearned(.APUS_DNS_COUNT_UNTRUSTED)
        }
    }

    @Test("A backend that is gone from its Service teaches nothing any more, by a connection that still leads to it")
    func formerBackend() throws {
        let asker = try Asker()
        let backend = try asker.addBackend()
        try asker.trust(Asker.resolver, APUS_RESOLVER_FRONTEND.rawValue | APUS_RESOLVER_PEER.rawValue)
        try asker.trust(backend.v4, APUS_RESOLVER_BACKEND.rawValue)
        try asker.ask()
        try asker.ask(id: 8)
        try asker.trust(backend.v4, 0)
        try asker.answer(by: backend)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNTRUSTED)
        // What is asked from now on waits for nothing.
        try asker.ask(id: 9)
        #expect(try asker.count(.APUS_DNS_COUNT_QUESTIONS) == 2)
        // A question that was noted while the backend was trusted is answered once it is again.
        try asker.trust(backend.v4, APUS_RESOLVER_BACKEND.rawValue)
        try asker.answer(id: 8, by: backend)
        #expect(try asker.isTaught)
    }

    @Test("An answer of a host that was not asked teaches nothing, and the question still waits for its own")
    func unsolicited() throws {
        let asker = try Asker()
        try asker.ask()
        try asker.answer(from: Asker.stranger)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNSOLICITED)
        try asker.answer()
        #expect(try asker.isTaught)
    }

    @Test("An answer to another port of the pod than the question came from teaches nothing")
    func otherPort() throws {
        let asker = try Asker()
        try asker.ask()
        try asker.receive(Asker.message(), to: 40_001)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNSOLICITED)
    }

    @Test("What comes from another port than 53 of the resolver is no answer, whether it was asked there or not")
    func otherResolverPort() throws {
        let asker = try Asker()
        try asker.ask()
        try asker.receive(Asker.message(), from: Asker.resolver, 5353)
        try asker.datapath.set(
            HandMadePolicy(id: 0x77, hasNames: true, rules: [.init(ports: .init(ipProtocol: .udp, port: 5353))]))
        try asker.ask(from: 40_002, to: 5353)
        try asker.receive(Asker.message(), from: Asker.resolver, 5353, to: 40_002)
        // Nobody looks into it: the question to port 53 is all there is.
        try asker.expectNothingLearned(.APUS_DNS_COUNT_QUESTIONS)
    }

    @Test("A connection that the resolver opened teaches nothing, whatever the pod asks over it")
    func openedByResolver() throws {
        let asker = try Asker()
        try asker.receive(Asker.message())
        try asker.ask()
        try asker.receive(Asker.message())
        try asker.receive(Asker.message(), to: 53)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNSOLICITED, times: 3)
        #expect(try asker.count(.APUS_DNS_COUNT_QUESTIONS) == 0)
    }

    @Test("What a pod without names asks is not noted: it takes no room, and is never told as unanswered")
    func nameless() throws {
        let asker = try Asker()
        let other = try asker.datapath.addPod()
        let question = other.sends(to: Asker.resolver).udp(from: 40_000, to: 53)
            .payload(DNSEncoder.encode(Asker.question()))
        #expect(try asker.datapath.run(question, on: .fromPod(other)) == .passed)
        #expect(try asker.count(.APUS_DNS_COUNT_QUESTIONS) == 0)
        try asker.ask()
        #expect(try asker.count(.APUS_DNS_COUNT_QUESTIONS) == 1)
    }

    @Test("A pod that answers itself teaches nothing", arguments: Family.allCases)
    func oneself(_ family: Family) throws {
        let asker = try Asker()
        let (pod, own) = (asker.pod, asker.pod[family])
        let question = pod.sends(to: own).udp(from: 40_000, to: 53).payload(DNSEncoder.encode(Asker.question()))
        let answer = pod.sends(to: own).udp(from: 53, to: 40_000).payload(DNSEncoder.encode(Asker.message()))
        for packet in [question, answer] {
            #expect(try asker.datapath.run(packet, on: .fromPod(pod)) == .passed)
            #expect(try asker.datapath.run(packet, on: .toPod(pod)) == .passed)
        }
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNTRUSTED)
        #expect(try asker.count(.APUS_DNS_COUNT_QUESTIONS) == 0)
    }

    @Test(
        "A pod that answers itself as its resolver, or as localhost, gets no packet out",
        arguments: ["10.9.9.9", "127.0.0.1"])
    func oneselfForged(source: String) throws {
        let asker = try Asker()
        try asker.ask()
        let forged = asker.pod.frame().ip(from: ip(source), to: asker.pod.v4).udp(from: 53, to: 40_000)
            .payload(DNSEncoder.encode(Asker.message()))
        #expect(try asker.datapath.run(forged, on: .fromPod(asker.pod)) == .dropped(leaving: .invalidSource))
        try asker.expectNothingLearned(.APUS_DNS_COUNT_QUESTIONS)
    }
}
