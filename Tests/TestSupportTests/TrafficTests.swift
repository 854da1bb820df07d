import Addressing
import FoundationEssentials
import TestSupport
import Testing

/// One after the other: each keeps a core busy.
@Suite(.serialized) struct Traffic {
    @Test func aHeldConnectionTellsWhenItStallsAndResumes() async throws {
        try await withLab(.oneNode(pods: ["web", "client"])) { lab in
            let (node, web) = (lab.node("node-a"), lab.pod("web"))
            let device = try #require(web.hostInterface)
            try await web.serve(port: 80)
            let held = try lab.pod("client").traffic(
                ["hold", "--interval-ms", "10", "--timeout-ms", "5000", "\(web.ipv4)", "80"])
            try await eventually("the connection") { held.states == ["connected"] }
            try await node.output(["ip", "route", "replace", "blackhole", "\(web.ipv4)/32"])
            try await eventually("the stall") { held.states == ["connected", "stalled"] }
            try await node.output(["ip", "route", "replace", "\(web.ipv4)/32", "dev", device])
            try await eventually("the end of the stall") { held.states == ["connected", "stalled", "resumed"] }
            let result = await held.stop()
            #expect(result.succeeded && held.states.last == "exchanges")
        }
    }

    @Test func aMeshAsksByEveryProtocolAndTellsWhoAnswers() async throws {
        try await withLab(LabPlan(pairs: [PairPlan("left", "right", number: 1)])) { lab in
            let (left, right) = (lab.host("left"), lab.host("right"))
            let options = ["mesh", "--port", "80", "--interval-ms", "1000", "--timeout-ms", "60000"]
            let (asks, answers) = (try left.traffic(options), try right.traffic(options))
            for member in [asks, answers] {
                try await eventually("a member of the mesh") { member.lines == ["listening"] }
            }
            asks.write(right.addresses.map { "target \($0)\n" }.joined())
            let all = String(repeating: "1", count: 16)
            asks.write(all + "\n")
            try await eventually("all answers") { asks.lines.last == all }
            // Also where no answer was expected it is told.
            asks.write("0000000011111111\n")
            try await eventually("all answers") { asks.lines == ["listening", all, all] }
            await answers.stop()
            let none = String(repeating: "0", count: 16)
            asks.write(none + "\n")
            try await eventually("no answer") { asks.lines.last == none }
        }
    }

    @Test func aLoadCountsWhoAnsweredAndWhatFailed() async throws {
        try await withLab(LabPlan(pairs: [PairPlan("left", "right", number: 1)])) { lab in
            let (left, right) = (lab.host("left"), lab.host("right"))
            for ipProtocol in [IPProtocol.tcp, .udp] {
                try await right.serve(port: 80, over: ipProtocol)
                for options in [["--count", "50"], ["--count", "50", "--hold"]] {
                    let report = try await left.load(right.ipv6, 80, over: ipProtocol, options: options)
                    #expect(report.ok == 50 && report.failed == 0 && report.ids == ["right": 50])
                }
                let refused = try await left.load(right.ipv4, 81, over: ipProtocol, options: ["--count", "3"])
                #expect(refused.ok == 0 && refused.errors == ["ECONNREFUSED": 3])
            }
        }
    }

    @Test(arguments: [
        ["rr", "--tcp"], ["rr", "--udp", "--size", "100"], ["crr", "--tcp"], ["crr", "--tcp", "--close", "server"],
        ["crr", "--udp", "--ports", "20000-20100"], ["stream", "--congestion", "cubic", "--cpu", "0"],
        ["flood", "--udp", "--size", "64", "--ports", "20000-20100"],
    ])
    func everyRateIsMeasuredAgainstBothKindsOfServer(arguments: [String]) async throws {
        try await withLab(LabPlan(pairs: [PairPlan("left", "right", number: 1)])) { lab in
            let right = lab.host("right")
            let ipProtocol = arguments.contains("--udp") ? IPProtocol.udp : .tcp
            try await right.serve(port: 80, over: ipProtocol)
            try await right.serve(port: 81, over: ipProtocol, options: ["--serial"])
            for (address, port) in [(right.ipv4, 80), (right.ipv6, 81)] {
                let command =
                    [try BuiltProducts.path(of: "apus-traffic")] + arguments
                    + [
                        "--json", "--timeout-ms", "60000", "--seconds", "0.1", "--warmup", "0.02", "\(address)",
                        "\(port)",
                    ]
                let output = try await lab.host("left").output(command)
                let numbers = try JSONDecoder().decode([String: Double].self, from: Data(output.utf8))
                #expect(try #require(numbers["per_second"] ?? numbers["gbit_per_second"]) > 0)
                #expect(numbers["failed"] ?? 0 == 0)
                guard arguments.first == "crr" else { continue }
                let (median, slowest) = (try #require(numbers["p50_us"]), try #require(numbers["p99_us"]))
                #expect(0 < median && median <= slowest)
            }
        }
    }

    @Test func nonsenseOnTheCommandLineIsRefused() async throws {
        let tool = try BuiltProducts.path(of: "apus-traffic")
        for arguments in [
            [], ["dance"], ["ask"], ["ask", "localhost", "80"], ["ask", "10.0.0.1", "99999"],
            ["rr", "--size", "0", "::1", "1"],
            ["tcp-echo"], ["udp-echo"], ["inject"], ["crr", "--ports", "9-8", "::1", "1"],
        ] {
            #expect(try await run([tool] + arguments).status == 2, "\(arguments)")
        }
    }
}

extension ChildProcess {
    /// The first words of its lines.
    fileprivate var states: [String] { lines.compactMap { $0.split(separator: " ").first.map(String.init) } }
}
