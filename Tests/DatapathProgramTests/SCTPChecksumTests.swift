internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("The checksum of SCTP where a port changes")
struct SCTPChecksumTests {
    /// A pod that asks a Service of another pod.
    private struct Pair {
        let datapath: DatapathFixture
        let client: Pod
        let server: Pod
        let family: Family

        init(_ family: Family, port: Port = 80, target: Port = 8080) throws {
            datapath = try DatapathFixture()
            (client, server) = (try datapath.addPod(), try datapath.addPod())
            self.family = family
            try datapath.addService(
                SocketAddress(family.virtual, port), .sctp, to: [SocketAddress(server[family], target)])
        }

        /// Expects that what the client sends arrives, and what is answered comes back, as if it had been made there.
        func expectExchange(_ chunks: [UInt8], from source: Port, checksum: ChecksumChoice = .right) throws {
            func check(_ sent: Packet, from pod: Pod, becomes wanted: Packet) throws {
                var chunks = chunks
                // What answers an INIT is none itself.
                if pod == server && !chunks.isEmpty { chunks[0] = Chunk.openingAnswer.rawValue }
                #expect(try datapath.run(sent.payload(chunks), on: .fromPod(pod)) == .delivered)
                try #require(datapath.output == wanted.payload(chunks).bytes, "\(chunks.count)")
            }
            try check(
                client.sends(to: family.virtual).sctp(from: source, to: 80, tag: 7, checksum: checksum), from: client,
                becomes: server.receives(from: client[family], ttl: 63)
                    .sctp(from: source, to: 8080, tag: 7, checksum: checksum))
            try check(
                server.sends(to: client[family]).sctp(from: 8080, to: source, tag: 9, checksum: checksum), from: server,
                becomes: client.receives(from: family.virtual, ttl: 63)
                    .sctp(from: 80, to: source, tag: 9, checksum: checksum))
        }
    }

    private static func chunks(_ count: Int, _ random: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    @Test("It is right whatever the packet's length", arguments: Family.allCases)
    func lengths(_ family: Family) throws {
        let pair = try Pair(family)
        var random = SeededGenerator(seed: 26)
        for count in Array(0...130) + [255, 256, 500, 1011, 1012, 1013, 1400, 2035, 2036, 3000] {
            // A chunk that opens, so that no packet ends what another one has opened.
            let chunks = [1, 0, 0, 20] + Self.chunks(max(0, count - 4), &random)
            try pair.expectExchange(Array(chunks.prefix(count)), from: Port(20000 + count))
        }
    }

    @Test("It is right for random ports and packets", arguments: Family.allCases)
    func random(_ family: Family) throws {
        var random = SeededGenerator(seed: 27)
        let edge = try Edge(family, .sctp)
        for _ in 0..<200 {
            let (port, target) = (
                Port.random(in: 1...65535, using: &random), Port.random(in: 1...65535, using: &random)
            )
            let source = Port.random(in: 1...65535, using: &random)
            let chunks = [1, 0, 0, 20] + Self.chunks(Int.random(in: 0...1400, using: &random), &random)
            let service = try edge.datapath.addService(
                SocketAddress(edge.node, port), .sctp, to: [SocketAddress(edge.remote, target)],
                kind: .APUS_SERVICE_NODE_PORT)
            let start = Packet.ethernet(from: Edge.router, to: Edge.uplink)
            let sent = start.ip(from: edge.client, to: edge.node).sctp(from: source, to: port).payload(chunks)
            #expect(try edge.datapath.run(sent, on: .fromNetwork) == .passed)
            let aimed = start.ip(from: edge.client, to: edge.remote).sctp(from: source, to: target).payload(chunks)
            try #require(edge.datapath.output == aimed.bytes, "\(port) \(target) \(chunks.count)")
            try edge.datapath.remove(service)
        }
    }

    @Test("One that the kernel has still to fill in stays zero", arguments: Family.allCases)
    func zero(_ family: Family) throws {
        let pair = try Pair(family)
        try pair.expectExchange(Chunk.opening.bytes, from: 40000, checksum: .zero)
        let gate = try Gate(family, .sctp)
        let pod = try gate.datapath.addPod()
        func packet(_ start: Packet, from port: Port) -> Packet {
            start.sctp(from: port, to: Gate.port, chunk: Chunk.opening.bytes, checksum: .zero)
        }
        #expect(try gate.datapath.run(packet(pod.sends(to: gate.world), from: 40000), on: .fromPod(pod)) == .passed)
        let start = Packet.ethernet(from: Edge.uplink, to: Edge.router)
        let leaving = packet(start.ip(from: pod[family], to: gate.world), from: 40000)
        #expect(try gate.datapath.run(leaving, on: .toNetwork) == .passed)
        let port = try #require(try gate.port(of: pod))
        #expect(gate.datapath.output == packet(start.ip(from: gate.node, to: gate.world), from: port).bytes)
    }

    @Test("What follows the packet in a short frame is no part of it")
    func padding() throws {
        let pair = try Pair(.v4)
        let padding = [UInt8](repeating: 0xee, count: 9)
        let sent = pair.client.sends(to: Family.v4.virtual).sctp(from: 40000, to: 80)
        #expect(try pair.datapath.run(sent.bytes + padding, on: .fromPod(pair.client)) == .delivered)
        let arrived = pair.server.receives(from: pair.client.v4, ttl: 63).sctp(from: 40000, to: 8080)
        #expect(pair.datapath.output == arrived.bytes + padding)
    }

    @Test("Nor is what comes before it")
    func headers() throws {
        let pair = try Pair(.v4)
        let options: [UInt8] = [0x94, 4, 0, 0]
        let sent = pair.client.frame().ipv4(from: pair.client.v4, to: Family.v4.virtual, options: options)
            .sctp(from: 40000, to: 80, chunk: Chunk.opening.bytes)
        #expect(try pair.datapath.run(sent, on: .fromPod(pair.client)) == .delivered)
        let view = try #require(pair.datapath.outputView)
        #expect(view.destinationPort == 8080 && view.transportChecksumIsRight == true)
        let six = try Pair(.v6)
        let extended = six.client.sends(to: Family.v6.virtual).ipv6Extension(.destinationOptions)
            .sctp(from: 40000, to: 80, chunk: Chunk.opening.bytes)
        #expect(try six.datapath.run(extended, on: .fromPod(six.client)) == .delivered)
        let other = try #require(six.datapath.outputView)
        #expect(other.destinationPort == 8080 && other.transportChecksumIsRight == true)
    }

    @Test("Where no port changes it stays as it is, in fragments too", arguments: Family.allCases)
    func samePort(_ family: Family) throws {
        let pair = try Pair(family, target: 80)
        let payload = [UInt8](repeating: 9, count: 80)
        let sent = pair.client.sends(to: family.virtual)
            .sctp(from: 40000, to: 80, chunk: Chunk.opening.bytes).payload(payload)
        let wanted = pair.server.receives(from: pair.client[family], ttl: 63)
            .sctp(from: 40000, to: 80, chunk: Chunk.opening.bytes).payload(payload)
        for (fragment, expected) in zip(sent.fragments(of: 32), wanted.fragments(of: 32)) {
            #expect(try pair.datapath.run(fragment, on: .fromPod(pair.client)) == .delivered)
            #expect(pair.datapath.output == expected.bytes)
        }
    }

    @Test("A first fragment whose port would have to change is dropped", arguments: Family.allCases)
    func fragments(_ family: Family) throws {
        let pair = try Pair(family)
        func first(_ checksum: ChecksumChoice) throws -> Packet {
            let packet = pair.client.sends(to: family.virtual)
                .sctp(from: 40000, to: 80, chunk: Chunk.opening.bytes, checksum: checksum)
            return try #require(packet.fragments(of: 24).first)
        }
        #expect(
            try pair.datapath.run(first(.right), on: .fromPod(pair.client)) == .dropped(leaving: .fragment))
        // Without a checksum there is none to change (RFC 9653).
        #expect(try pair.datapath.run(first(.zero), on: .fromPod(pair.client)) == .delivered)
        #expect(pair.datapath.outputView?.destinationPort == 8080)
    }
}
