internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Translations packet by packet")
struct TranslationTests {
    private let frontend = SocketAddress(ip("10.96.0.1"), 80)

    @Test("A flood of openings takes no answered connection from its backend, even where all else is forgotten")
    func flood() throws {
        let talk = try ServiceTalk(backends: 64)
        try talk.answer()
        let flooder = try talk.datapath.addPod()
        for port in 1..<10_000 as Range<Port> {
            let packet = flooder.sends(to: frontend.address).tcp(from: port, to: 80, flags: .syn)
            #expect(try talk.datapath.run(packet, on: .fromPod(flooder)) == .passed)
        }
        #expect(try talk.places() == [.answered])
        for _ in 0..<8 {
            try talk.datapath.forgetConnections()
            #expect(try talk.send(.ack) == talk.backend)
        }
    }

    @Test("Without an answer it is disposable, and a retransmission finds it")
    func unanswered() throws {
        let talk = try ServiceTalk(backends: 64)
        #expect(try talk.places() == [.disposable])
        #expect(try talk.send(.syn) == talk.backend)
    }

    @Test("A refusal is no answer")
    func refused() throws {
        let talk = try ServiceTalk(backends: 1)
        try talk.answer([.rst, .ack])
        #expect(try talk.places() == [.disposable])
    }

    @Test("After the end stragglers still find their backend, and the record is disposable")
    func ended() throws {
        let talk = try ServiceTalk(backends: 64)
        try talk.answer()
        #expect(try talk.places() == [.answered])
        #expect(try talk.send(.rst) == talk.backend)
        #expect(try talk.places() == [.disposable])
        #expect(try talk.send(.rst) == talk.backend)
    }

    @Test("The port opens anew, and what is answered then is kept")
    func reopened() throws {
        let talk = try ServiceTalk(backends: 64)
        for _ in 0..<16 {
            try talk.answer()
            #expect(try talk.places() == [.answered])
            #expect(try talk.send(.ack) == talk.backend)
            #expect(try talk.send(.rst) == talk.backend)
            talk.backend = try #require(try talk.send(.syn))
            #expect(try talk.places() == [.disposable])
        }
    }

    @Test("One that expired unseen does not hide the backend of the next")
    func expired() throws {
        let talk = try ServiceTalk(backends: 64) { $0.established_timeout_ns = 1 }
        for _ in 0..<16 {
            try talk.answer()
            talk.datapath.passTime()
            talk.backend = try #require(try talk.send(.syn))
            #expect(try talk.places() == [.disposable])
            #expect(try talk.send(.syn) == talk.backend)
        }
    }

    @Test("A datagram's answer keeps it, too")
    func datagram() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let backend = SocketAddress(ip("192.0.2.1"), 8053)
        try datapath.addService(frontend, .udp, to: [backend])
        let question = client.sends(to: frontend.address).udp(from: 40000, to: 80)
        let answer = client.receives(from: backend.address).udp(from: 8053, to: 40000)
        #expect(try datapath.run(question, on: .fromPod(client)) == .passed)
        #expect(try datapath.run(answer, on: .toPod(client)) == .passed)
        #expect(try datapath.maps.translations.keys(as: apus_translation_key.self).count == 1)
        #expect(try datapath.maps.disposableTranslations.keys(as: apus_translation_key.self).isEmpty)
    }
}

/// A connection of a pod to a Service whose backends are outside of the node.
private final class ServiceTalk {
    enum Place { case answered, disposable }

    let datapath: DatapathFixture
    /// The one that was chosen.
    var backend: IPAddress
    private let client: Pod
    private let frontend = SocketAddress(ip("10.96.0.1"), 80)

    /// Opens it.
    init(backends: Int, _ configure: (inout apus_config) -> Void = { _ in }) throws {
        datapath = try DatapathFixture(configure)
        client = try datapath.addPod()
        try datapath.addService(frontend, to: (1...backends).map { SocketAddress(ip("192.0.2.\($0)"), 8080) })
        backend = frontend.address
        backend = try #require(try send(.syn))
    }

    /// Sends a packet to the Service. Returns where it went.
    func send(_ flags: TCPFlags) throws -> IPAddress? {
        let packet = client.sends(to: frontend.address).tcp(from: 40000, to: 80, flags: flags)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        return datapath.outputView?.destination
    }

    func answer(_ flags: TCPFlags = [.syn, .ack]) throws {
        let packet = client.receives(from: backend).tcp(from: 8080, to: 40000, flags: flags)
        #expect(try datapath.run(packet, on: .toPod(client)) == .passed)
        #expect(datapath.outputView?.source == frontend.address)
    }

    /// The maps in which the connection's translation is.
    func places() throws -> [Place] {
        var places: [Place] = []
        if try isRecorded(in: datapath.maps.translations) { places.append(.answered) }
        if try isRecorded(in: datapath.maps.disposableTranslations) { places.append(.disposable) }
        return places
    }

    private func isRecorded(in map: borrowing BPFMap) throws -> Bool {
        try map.keys(as: apus_translation_key.self).contains { $0.client.address == client.addresses[0] }
    }
}
