import Addressing
import TestSupport
import Testing

/// Packets of the builder, sent into a pod: the kernel's counters say whether it took them for what they are.
@Suite struct PacketsInTheKernel {
    /// The counters of /proc/net/snmp and snmp6 that a packet moves, and whether a good one does.
    @Test func theKernelAgreesOnEveryChecksum() async throws {
        try await withLab(LabPlan(pairs: [PairPlan("left", "right", number: 1)])) { lab in
            let (left, right) = (lab.host("left"), lab.host("right"))
            let hardware = try await address(of: right)
            let before = try await counters(of: right)
            let link = Packet.ethernet(from: try await address(of: left), to: hardware)
            var frames: [Packet] = []
            for (source, destination) in [(left.ipv4, right.ipv4), (left.ipv6, right.ipv6)] {
                for choice in [ChecksumChoice.right, .wrong] {
                    let base = link.ip(from: source, to: destination)
                    frames += [
                        base.tcp(from: 4000, to: 9, flags: .syn, checksum: choice),
                        base.udp(from: 4000, to: 9, checksum: choice).payload("odd"),
                        base.icmp(type: source.isIPv4 ? 8 : 128, rest: 1, checksum: choice).payload("ping"),
                    ]
                }
                frames += link.ip(from: source, to: destination).udp(from: 4001, to: 9).payload(
                    [UInt8](repeating: 7, count: 3000)
                ).fragments(of: 1400)
            }
            try await inject(frames, from: left)
            let expected = [
                "TcpInSegs": 4, "TcpOutRsts": 2, "TcpInCsumErrors": 2, "UdpNoPorts": 2, "UdpInCsumErrors": 1,
                "Udp6NoPorts": 2, "Udp6InCsumErrors": 1, "IcmpInEchos": 1, "IcmpInCsumErrors": 1, "Icmp6InEchos": 1,
                "Icmp6InCsumErrors": 1, "IpReasmOKs": 1, "Ip6ReasmOKs": 1,
            ]
            for (name, count) in expected.sorted(by: { $0.key < $1.key }) {
                try await eventually("\(name) to rise by \(count)") {
                    let moved = try await counters(of: right)[name, default: 0] - before[name, default: 0]
                    guard moved == count else { throw LabError(name, "rose by \(moved)") }
                    return true
                }
            }
        }
    }

    private func inject(_ frames: [Packet], from host: LabHost) async throws {
        let command = [try BuiltProducts.path(of: "apus-traffic"), "inject", "--interface", host.interface]
        let sent = try await host.output(command, input: frames.map { $0.hexadecimal + "\n" }.joined())
        #expect(sent == "\(frames.count)\n")
    }

    private func address(of host: LabHost) async throws -> MACAddress {
        let words = try await host.output(["ip", "-o", "link", "show", host.interface]).split(separator: " ")
        let marker = try #require(words.firstIndex(of: "link/ether"))
        return mac(String(words[marker + 1]))
    }

    /// Both counter files as one table: `Tcp: InSegs …` over `Tcp: 3 …` and `Icmp6InEchos 1`.
    private func counters(of host: LabHost) async throws -> [String: Int] {
        let lines = try await host.output(["cat", "/proc/net/snmp", "/proc/net/snmp6"]).split(separator: "\n")
            .map { $0.split(whereSeparator: \.isWhitespace).map(String.init) }
        var table: [String: Int] = [:]
        for (index, line) in lines.enumerated() where !line.isEmpty {
            if line.count == 2, let value = Int(line[1]) { table[line[0]] = value }
            guard line[0].hasSuffix(":"), index + 1 < lines.count, lines[index + 1][0] == line[0] else { continue }
            for (name, value) in zip(line, lines[index + 1]).dropFirst() {
                table[line[0].dropLast() + name] = Int(value)
            }
        }
        return table
    }
}
