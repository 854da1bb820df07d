internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("DNS answers as events")
struct AnswerReportTests {
    @Test("An answer tells who asked whom for what, what came and how long it took")
    func told() throws {
        let asker = try Asker()
        try asker.ask("A.web.test")
        try asker.answer(lifetime: 90)
        let event = try #require(asker.datapath.answers().first)
        #expect(event.client.address == asker.pod.address(like: Asker.resolver))
        #expect(event.resolver.address == Asker.resolver && event.frontend_port == 0)
        #expect(event.client_port.bigEndian == 40_000 && event.resolver_port.bigEndian == 53)
        #expect(event.protocol == IPProtocol.udp.rawValue && event.endpoint == asker.pod.slot)
        #expect(event.policy == 0x77 && event.rule == 1)
        #expect(event.text == "a.web.test" && event.type == 1 && event.code == 0 && event.flags == 0)
        #expect(event.address_count == 2 && event.lifetime == 90)
        #expect([event.addresses.0.address, event.addresses.1.address] == Asker.web)
        // The coarse clock may have stood still meanwhile.
        #expect(event.latency_ns > 0 && event.latency_ns < event.time_ns)
    }

    @Test("Answers that teach nothing are told, too: no such name, no address, no pattern, and a cut one")
    func nothingTaught() throws {
        let asker = try Asker()
        let answers: [(name: String, flags: UInt16)] = [
            ("gone.web.test", 0x8183), ("empty.web.test", 0x8180), ("web.test", 0x8180), ("cut.web.test", 0x8380),
        ]
        for (number, answer) in answers.enumerated() {
            try asker.ask(answer.name, id: UInt16(number))
            try asker.answer(answer.name, id: UInt16(number), addresses: [], flags: answer.flags)
        }
        let events = asker.datapath.answers()
        #expect(events.map(\.text) == answers.map(\.name))
        #expect(events.map(\.code) == [3, 0, 0, 0] && events.map(\.flags) == [0, 0, 0, 1])
        #expect(events.allSatisfy { $0.address_count == 0 && $0.lifetime == 0 })
        #expect(try !asker.isTaught)
    }

    @Test("Of many addresses the first are told, and their number; the shortest lifetime is that of these")
    func many() throws {
        let asker = try Asker()
        try asker.ask()
        let addresses = (0..<40).map { IPAddress(v4: 0xcb00_7100 + $0) }
        try asker.answer(lifetime: 30, addresses: addresses)
        let event = try #require(asker.datapath.answers().first)
        #expect(event.address_count == 40 && event.lifetime == 30)
        #expect(event.addresses.0.address == addresses[0] && event.addresses.15.address == addresses[15])
    }

    @Test("What nobody asked for is no event, and neither is what a resolver says that is not trusted")
    func unasked() throws {
        let asker = try Asker()
        try asker.ask(id: 8)
        try asker.answer()
        try asker.ask(resolver: Asker.stranger)
        try asker.answer(from: Asker.stranger)
        try asker.ask("a.web.test")
        try asker.answer("b.web.test")
        #expect(asker.datapath.answers().isEmpty)
        try asker.answer()
        try asker.answer()
        #expect(asker.datapath.answers().count == 1, "the second one answers nothing any more")
    }

    @Test("A question whose id goes to another one is told as unanswered, one that is asked again is not")
    func replaced() throws {
        let asker = try Asker()
        try asker.ask("a.web.test")
        try asker.ask("a.web.test")
        #expect(asker.datapath.answers().isEmpty)
        try asker.ask("bb.web.test")
        let event = try #require(asker.datapath.answers().first)
        #expect(event.text == "a.web.test" && event.type == 1 && event.code == 0 && event.address_count == 0)
        #expect(event.flags == UInt16(APUS_DNS_UNANSWERED.rawValue) && event.latency_ns > 0)
        #expect(event.client.address == asker.pod.v4 && event.client_port.bigEndian == 40_000)
        #expect(event.endpoint == asker.pod.slot && event.policy == 0x77 && event.rule == 1)
        #expect(event.addresses.0.address == event.addresses.15.address && event.addresses.0.high == 0)
        #expect(try asker.count(.APUS_DNS_COUNT_REPLACED) == 1)
        try asker.answer("a.web.test")
        #expect(try asker.count(.APUS_DNS_COUNT_MISMATCHED) == 1 && !asker.isTaught)
        try asker.answer("bb.web.test")
        #expect(asker.datapath.answers().map(\.text) == ["bb.web.test"])
    }

    @Test("What does not fit into the ring is counted as lost, and teaches all the same")
    func lost() throws {
        let asker = try Asker(sizes: ["dns_answers": 4096])
        for number in 0..<10 {
            try asker.ask(id: UInt16(number))
            try asker.answer(id: UInt16(number), addresses: [IPAddress(v4: 0xcb00_7100 + UInt32(number))])
        }
        let size = (MemoryLayout<apus_answer_event>.size + 8 + 7) / 8 * 8
        #expect(asker.datapath.answers().count == 4096 / size)
        #expect(try asker.datapath.eventCount(.APUS_EVENTS_LOST) == UInt64(10 - 4096 / size))
        #expect(try asker.count(.APUS_DNS_COUNT_LEARNED) == 10)
    }

    @Test("Without events none is told")
    func off() throws {
        let asker = try Asker { $0.flow_detail = FlowDetail.none.abi }
        try asker.ask()
        try asker.answer()
        #expect(asker.datapath.answers().isEmpty)
        #expect(try asker.isTaught && asker.datapath.eventCount(.APUS_EVENTS_LOST) == 0)
    }
}

extension apus_answer_event {
    /// The name in question.
    fileprivate var text: String {
        withUnsafeBytes(of: name) { String(decoding: $0.prefix(Int(name_length)), as: UTF8.self) }
    }
}
