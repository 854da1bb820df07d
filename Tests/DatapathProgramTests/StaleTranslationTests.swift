internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("What clients outside have open when their Service goes")
struct StaleTranslationTests {
    /// A client that has opened a connection to a pod through a node port that is gone since.
    private struct World {
        let edge: Edge
        let server: Pod

        init(_ family: Family, _ transport: Transport = .tcp, isAnswered: Bool = true) throws {
            edge = try Edge(family, transport)
            server = try edge.datapath.addPod()
            let service = try edge.expose([server[family]])
            #expect(try arrive(.syn) == .delivered)
            if isAnswered {
                let answer = transport.header(
                    on: server.sends(to: edge.client), from: 8080, to: Edge.clientPort, [.syn, .ack])
                #expect(try edge.datapath.run(answer.payload("text"), on: .fromPod(server)) == .passed)
            }
            try edge.datapath.remove(service)
        }

        func arrive(_ flags: TCPFlags) throws -> Fate {
            try edge.datapath.run(packet(flags), on: .fromNetwork)
        }

        /// Whether the host's stack gets a packet as the client has sent it.
        func reachesNode(_ flags: TCPFlags) throws -> Bool {
            try arrive(flags) == .passed && edge.datapath.output == packet(flags).bytes
        }

        var translationCount: Int {
            get throws {
                try edge.datapath.maps.translations.keys(as: apus_translation_key.self).count
                    + edge.datapath.maps.disposableTranslations.keys(as: apus_translation_key.self).count
            }
        }

        private func packet(_ flags: TCPFlags) -> Packet {
            edge.arriving(from: nil, Edge.clientPort, to: nil, Edge.nodePort, flags)
        }
    }

    @Test("A connection goes on", arguments: Family.allCases, Transport.connected)
    func goesOn(_ family: Family, _ transport: Transport) throws {
        let world = try World(family, transport)
        for flags in [TCPFlags.ack, [.ack, .fin]] { #expect(try world.arrive(flags) == .delivered) }
    }

    @Test("… and when it is over its ports are the node's", arguments: Family.allCases, Transport.connected)
    func over(_ family: Family, _ transport: Transport) throws {
        let world = try World(family, transport)
        #expect(try world.arrive(.rst) == .delivered)
        for flags in [TCPFlags.syn, .ack, .ack] { #expect(try world.reachesNode(flags), "\(flags)") }
        #expect(try world.translationCount == 0)
    }

    @Test(
        "A client that knows nothing of it resets it, and meets the node then", arguments: Family.allCases,
        Transport.connected)
    func opensAnew(_ family: Family, _ transport: Transport) throws {
        let world = try World(family, transport)
        #expect(try world.arrive(.syn) == .delivered, "the pod says what it expects instead")
        #expect(try world.arrive(.ack) == .delivered, "a forged SYN has ended nothing")
        #expect(try world.arrive(.rst) == .delivered)
        for flags in [TCPFlags.syn, .ack] { #expect(try world.reachesNode(flags), "\(flags)") }
    }

    @Test("What nobody has answered does not open any more", arguments: Family.allCases, Transport.connected)
    func unanswered(_ family: Family, _ transport: Transport) throws {
        let world = try World(family, transport, isAnswered: false)
        for flags in [TCPFlags.syn, .ack] { #expect(try world.reachesNode(flags), "\(flags)") }
        #expect(try world.translationCount == 0)
    }

    @Test("The next datagram is for whoever has the port now", arguments: Family.allCases, [true, false])
    func datagrams(_ family: Family, isAnswered: Bool) throws {
        let world = try World(family, .udp, isAnswered: isAnswered)
        #expect(try world.reachesNode(.syn))
        #expect(try world.translationCount == 0)
    }
}
