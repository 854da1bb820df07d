import Addressing
import AgentAPI
import ArgumentParser
import Flows
import Testing

@testable import ApusCLI

@Suite struct `Flow observe` {
    static let line =
        "10:13:20.000 DENIED   shop/front-7d9f:40000 -> 10.244.0.5:80 TCP denied (policy_isolated): "
        + "NetworkPolicy shop/cart isolates ingress\n"

    @Test func `asks the agent first`() async throws {
        let agent = FakeAgent()
        agent.hub.append(FakeDatapath.flow(port: 80))
        try await withAgent(agent) { socket in
            let outcome = await run("flow", "observe", datapath: nil, socket: socket)
            #expect(outcome == Outcome(code: 0, output: Self.line, notes: ""))
        }
    }

    @Test func `without the agent, flows come from the ring`() async {
        let outcome = await run("flow", "observe", "--port", "80")
        #expect(outcome.output == Self.line && outcome.code == 0)
        #expect(outcome.notes.hasPrefix("apus: the agent is not running at /nowhere/apus.sock"))
        #expect(outcome.notes.hasSuffix("these flows are from the kernel's ring buffer\n"))
    }

    @Test func `when nothing is shown it is said why`() async throws {
        let agent = FakeAgent()
        try await withAgent(agent) { socket in
            let empty = await run("flow", "observe", datapath: nil, socket: socket)
            #expect(empty == Outcome(code: 0, output: "", notes: "apus: no flow is stored yet\n"))
        }
        let outcome = await run("flow", "observe", "--port", "81")
        #expect(outcome.code == 0 && outcome.output.isEmpty)
        #expect(outcome.notes.hasSuffix("apus: none of the 2 stored flows matches\n"), "\(outcome.notes)")
    }

    @Test func `as lines of JSON`() async throws {
        let outcome = await run("flow", "observe", "-o", "json")
        let lines = outcome.output.split(separator: "\n")
        #expect(try lines.map { try FlowJSON.flow(String($0)) } == [80, 443].map { FakeDatapath.flow(port: $0) })
    }

    @Test func `as documents of YAML`() async {
        let outcome = await run("flow", "observe", "-o", "yaml", "--last", "1")
        #expect(outcome.output.hasPrefix("---\n") && outcome.output.contains("kind: denied\n"))
    }

    @Test func `on a terminal the verdict has a colour`() async {
        #expect(await run("flow", "observe", "--last", "1", colour: true).output.contains("\u{1b}[31mDENIED"))
    }

    @Test func `following shows the past, then what comes`() async throws {
        let agent = FakeAgent()
        agent.hub.append(FakeDatapath.flow(port: 80))
        try await withAgent(agent) { socket in
            let written = Text()
            let outcome = await run(
                arguments: ["flow", "observe", "--follow", "--last", "1"], socket: socket
            ) { text in
                written.append(text)
                switch written.value.split(separator: "\n").count {
                case 1: agent.hub.append(FakeDatapath.flow(port: 443))
                default: agent.hub.finish()
                }
            }
            #expect(outcome.code == 0 && outcome.notes.isEmpty)
            #expect(outcome.output == Self.line + Self.line.replacing(":80 ", with: ":443 "))
        }
    }

    @Test func `a reader that leaves is a quiet end`() async throws {
        let agent = FakeAgent()
        for _ in 0..<10 { agent.hub.append(FakeDatapath.flow(port: 80)) }
        try await withAgent(agent) { socket in
            for mode in [["--last", "10"], ["--last", "10", "--follow"]] {
                let outcome = await run(arguments: ["flow", "observe"] + mode, socket: socket) { _ in
                    throw OutputClosed()
                }
                #expect(outcome == Outcome(code: 0, output: Self.line, notes: ""))
            }
        }
    }

    @Test func `options become a filter`() throws {
        let options = try FlowFilterOptions.parse([
            "--namespace", "shop", "--pod", "shop/cart-*", "--pod", "web", "--service", "shop/cart", "--ip",
            "10.0.0.0/8", "--ip", "fd00::1", "--port", "80", "--protocol", "tcp", "--verdict", "denied", "--kind",
            "closed", "--kind", "active",
        ])
        var wanted = FlowFilter()
        wanted.namespaces = ["shop"]
        wanted.pods = ["shop/cart-*", "web"].compactMap { NamePattern($0) }
        wanted.services = ["shop/cart"].compactMap { NamePattern($0) }
        wanted.addresses = ["10.0.0.0/8", "fd00::1/128"].compactMap { CIDR($0) }
        wanted.ports = [80]
        wanted.protocols = [.tcp]
        wanted.verdicts = [.dropped]
        wanted.kinds = [.closed, .active]
        #expect(options.filter == wanted)
    }

    @Test(arguments: [
        ("--ip", "10.0.0.300", "an address is like"), ("--pod", "a/b/c", "a name is NAME"),
        ("--port", "70000", "70000"), ("--protocol", "tcpp", "a protocol is"), ("--verdict", "maybe", "a verdict is"),
        ("--kind", "x", "opened, denied, audited, closed, active, packet, dns, lost"),
        ("--last", "-1", "--last takes a number from 0 up"),
    ]) func `a wrong filter is a usage error that says why`(_ option: String, _ value: String, _ reason: String) async {
        let outcome = await run("flow", "observe", option + "=" + value)
        #expect(outcome.code == 64 && outcome.notes.contains(reason), "\(outcome.notes)")
        let apart = await run("flow", "observe", option, value)
        #expect(apart.code == 64 && apart.notes.contains(reason), "\(apart.notes)")
    }
}
