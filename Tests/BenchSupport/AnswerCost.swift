public import Addressing
internal import BPF
internal import DNSMessages
internal import TestSupport

/// What the delivery of an answer to a pod costs in the program at its interface, measured by the kernel itself.
public struct AnswerCost: ~Copyable {
    /// Who asks whom.
    public struct Ends: Sendable {
        public var client: IPAddress
        public var hardware: MACAddress
        public var resolver: IPAddress
        /// 53 of a resolver; any other one is a plain datagram of the same length.
        public var port: Port

        public init(client: IPAddress, hardware: MACAddress, resolver: IPAddress, port: Port) {
            self.client = client
            self.hardware = hardware
            self.resolver = resolver
            self.port = port
        }
    }

    /// Of the hosts' ends of pods' links in a lab.
    private static let gateway = mac("ee:ee:ee:ee:ee:ee")
    private static let clientPort: Port = 40_003
    /// What all names lead to.
    private static let address = ip("198.51.100.1")

    private let ends: Ends
    private let context: [UInt8]
    private let question: BPFProgram
    private let answer: BPFProgram
    private let nothing: BPFProgram

    /// - Parameters:
    ///   - links: The directory of the pinned links. The calling process must be in the interface's network namespace.
    ///   - interface: The index of the host's end of the client's link.
    public init(links: String, interface: UInt32, _ ends: Ends) throws {
        // All or none: the compiler destroys no half-made value.
        let question = try BPFProgram.open(id: BPFLink.open(pinned: "\(links)/pod-\(interface)-from").info().programID)
        let answer = try BPFProgram.open(id: BPFLink.open(pinned: "\(links)/pod-\(interface)-to").info().programID)
        let nothing = try BPFProgram.load(.classifier, instructions: BPFInstruction.returning(0), name: "nothing")
        self.ends = ends
        context = PacketCost.context(interface)
        self.question = question
        self.answer = answer
        self.nothing = nothing
    }

    /// Nanoseconds of one answer that is run by itself, each to a question of its own: the median.
    ///
    /// - Parameter names: The numbers of the names that are asked for in turn.
    public func single(names: Range<Int>, runs: Int) throws -> Double {
        var (own, empty): ([UInt32], [UInt32]) = ([], [])
        for number in 0..<runs {
            let name = names.lowerBound + number % names.count
            _ = try run(question, frame(of: name, isAnswer: false))
            let packet = frame(of: name, isAnswer: true)
            own.append(try run(answer, packet).duration)
            empty.append(try nothing.testRun(packet: packet.span.bytes, context: context).duration)
        }
        return PacketCost.median(own) - PacketCost.median(empty)
    }

    /// Nanoseconds of a run of many in a row, where nothing is learned: the question is asked once.
    public func repeated(runs: Int) throws -> Double {
        _ = try run(question, frame(of: 0, isAnswer: false))
        let packet = frame(of: 0, isAnswer: true)
        let own = try run(answer, packet, runs).duration
        let empty = try nothing.testRun(packet: packet.span.bytes, context: context, repeat: runs).duration
        return Double(own) - Double(empty)
    }

    private func run(_ program: borrowing BPFProgram, _ packet: [UInt8], _ count: Int = 1) throws -> BPFTestRun {
        let result = try program.testRun(packet: packet.span.bytes, context: context, repeat: count)
        guard result.returnValue == PacketCost.passed else {
            throw LabError("run a packet of \(ends.resolver):\(ends.port)", "verdict \(result.returnValue)")
        }
        return result
    }

    private func frame(of number: Int, isAnswer: Bool) -> [UInt8] {
        let name = "n\(number).web.test"
        var message = SentMessage(id: UInt16(truncatingIfNeeded: number), name: name)
        if isAnswer {
            message.answers = [.init(owner: name, data: .address(Self.address))]
        } else {
            message.flags = 0x0100
        }
        let payload = DNSEncoder.encode(message)
        return isAnswer
            ? Packet.ethernet(from: Self.gateway, to: ends.hardware).ip(from: ends.resolver, to: ends.client)
                .udp(from: ends.port, to: Self.clientPort).payload(payload).bytes
            : Packet.ethernet(from: ends.hardware, to: Self.gateway).ip(from: ends.client, to: ends.resolver)
                .udp(from: Self.clientPort, to: ends.port).payload(payload).bytes
    }
}
