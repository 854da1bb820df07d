internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Ports that are taken")
struct SourcePortTests {
    private let backend = ip("192.0.2.1")
    private let frontends = [ip("10.96.0.1"), ip("10.96.0.2")]

    @Test("Where an older translation remembers the backend, its segments don't join the client's own connection")
    func directLater() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        try datapath.addService(SocketAddress(frontends[0], 80), to: [SocketAddress(backend, 8080)])
        func through(_ flags: TCPFlags) throws -> Port? {
            let packet = client.sends(to: frontends[0]).tcp(from: 40000, to: 80, flags: flags)
            #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
            return datapath.outputView?.sourcePort
        }
        #expect(try through(.syn) == 40000)
        #expect(try through(.rst) == 40000)
        let direct = client.sends(to: backend).tcp(from: 40000, to: 8080, flags: .syn)
        #expect(try datapath.run(direct, on: .fromPod(client)) == .passed)
        #expect(try through(.ack) != 40000)
        let entry = try #require(try datapath.connection(of: direct)?.entry)
        #expect(!entry.has(APUS_CONNECTION_TRANSLATED) && entry.openerSide.packets == 1)
    }

    @Test("A connection stays with its backend when the record of its translation was evicted")
    func translationEvicted() throws {
        let (datapath, client, through) = try opened(backends: 1)
        let direct = client.sends(to: backend).tcp(from: 40000, to: 8080, flags: .ack)
        let connection = try #require(try datapath.connection(of: direct))
        try datapath.maps.disposableTranslations.clear(apus_translation_key.self)
        #expect(try through(.ack) == .passed)
        #expect(datapath.outputView?.destination == backend)
        let same = try #require(try datapath.connection(of: direct))
        #expect(same.entry.opened_ns == connection.entry.opened_ns && same.entry.openerSide.packets == 2)
    }

    @Test("… and when its own entry was")
    func connectionEvicted() throws {
        let (datapath, _, through) = try opened(backends: 16)
        let first = try #require(datapath.outputView?.destination)
        for _ in 0..<8 {
            try datapath.forgetConnections()
            #expect(try through(.ack) == .passed)
            #expect(datapath.outputView?.destination == first)
        }
    }

    /// A connection that a pod has opened to a Service, and how the pod sends more packets of it.
    private func opened(backends: Int) throws -> (DatapathFixture, Pod, (TCPFlags) throws -> Fate) {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let ends = (1...backends).map { SocketAddress(ip("192.0.2.\($0)"), 8080) }
        try datapath.addService(SocketAddress(frontends[0], 80), to: ends)
        let frontend = frontends[0]
        let through = { (flags: TCPFlags) in
            try datapath.run(client.sends(to: frontend).tcp(from: 40000, to: 80, flags: flags), on: .fromPod(client))
        }
        #expect(try through(.syn) == .passed)
        return (datapath, client, through)
    }

    @Test("After its end the port is free, also towards the same backend")
    func reused() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        for frontend in frontends {
            try datapath.addService(SocketAddress(frontend, 80), to: [SocketAddress(backend, 8080)])
        }
        for frontend in frontends + frontends {
            for flags in [TCPFlags.syn, .rst] {
                let packet = client.sends(to: frontend).tcp(from: 40000, to: 80, flags: flags)
                #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
                #expect(datapath.outputView?.destination == backend)
            }
        }
    }
}
