import AgentAPI
import Flows
import Testing

@testable import ApusCLI

@Suite struct `With and without the agent` {
    @Test func `status tells both parts`() async throws {
        try await withAgent(FakeAgent()) { socket in
            let outcome = await run("status", socket: socket)
            #expect(
                outcome.output == """
                    agent: running
                      version:    1.2.3
                      node:       node-a
                      uptime:     2m5s
                      source:     API server of /etc/config, failing since 2026-03-01T09:13:20Z: connection \
                    refused; not all read yet, what an earlier start left in force stays
                      objects:    Pod 6, Service 0 (not synced) (error: a.yaml: no such file)
                      endpoints:  2, 1 attached
                      services:   1 with 2 frontends, 3 backends
                      policies:   1
                      delivery:   peer
                      routing:    vxlan by apus-vxlan (MTU 1450), 2 of 3 other nodes with 10 entries
                      xdp:        eth0 native, eth1 off (it is a veth)
                      writes:     40, 0 failed, 0 to be tried again
                      flows:      9001 seen, 0 stored, 0 lost in the kernel, 0 by slow followers
                      diagnostics:
                        Service shop/cart: port is missing (a.yaml, document 2)

                    data path:
                      node:         node-a
                      since:        2026-03-01T09:13:20.000000000Z, ABI 1
                      endpoints:    2
                      services:     1 with 2 frontends, 3 backends
                      policies:     1
                      connections:  5120 of 262144 (1 %)
                      half open:    0 of 65536 (0 %)
                      events:       9001 submitted, 0 lost
                      drops:
                        REASON           DIRECTION  PACKETS    BYTES
                        policy_isolated  ingress         42  3.0 KiB
                        no_backend       egress           3    222 B

                    """)
            #expect(outcome.code == 0 && outcome.notes.isEmpty)
        }
    }

    @Test func `status without the agent still tells the data path's part`() async {
        let outcome = await run("status")
        #expect(outcome.code == 0)
        #expect(outcome.output.hasPrefix("agent: not running\n\ndata path:\n"))
        let json = await run("status", "-o", "json")
        #expect(json.output.contains(#""running" : false"#) && json.output.contains(#""submitted" : 9001"#))
    }

    @Test func `status with neither fails and says what to do`() async {
        let outcome = await run("status", "--bpffs", "/sys/fs/bpf/other", datapath: nil)
        #expect(outcome.code == 2)
        #expect(outcome.output == "agent: not running\n\ndata path: no maps\n")
        #expect(
            outcome.notes == """
                apus: no Apus maps under /sys/fs/bpf/other: is apusd running on this node? Use --bpffs DIR for another \
                directory

                """)
    }

    @Test func `status of an agent without maps is no failure`() async throws {
        try await withAgent(FakeAgent()) { socket in
            let outcome = await run("status", datapath: nil, socket: socket)
            #expect(outcome.code == 0 && outcome.output.hasSuffix("data path: no maps\n"))
        }
    }

    @Test func `verify without drift`() async throws {
        try await withAgent(FakeAgent()) { socket in
            let outcome = await run("verify", socket: socket)
            #expect(outcome == Outcome(code: 0, output: "no drift: 25 items in 2 tables compared\n", notes: ""))
        }
    }

    @Test func `verify with drift tells each item and exits with 1`() async throws {
        let drift = [
            DriftItem(
                table: "services", key: "TCP 10.96.0.10:80", kind: .different, desired: "slots 0-4", actual: "slots 0-3"
            ),
            DriftItem(table: "slots", key: "9", kind: .unexpected, actual: "backend 3"),
        ]
        try await withAgent(FakeAgent(drift: drift)) { socket in
            let outcome = await run("verify", socket: socket)
            #expect(
                outcome.output == """
                    2 items of 25 drifted
                    services TCP 10.96.0.10:80: different
                        desired: slots 0-4
                        actual: slots 0-3
                    slots 9: unexpected
                        actual: backend 3

                    """)
            #expect(outcome.code == 1 && outcome.notes.isEmpty)
            let json = await run("verify", "-o", "json", socket: socket)
            #expect(json.code == 1 && json.output.contains(#""clean" : false"#))
        }
    }

    @Test func `verify tells what could not be written, and exits with 1`() async throws {
        let lost = DriftItem(
            table: "policy_ports", key: "policy 7", kind: .notWritten, reason: "map policy_ports is full")
        let drift = DriftItem(table: "slots", key: "9", kind: .unexpected, actual: "backend 3")
        let heads = [
            ([lost], "no drift, but 1 item not written\n"),
            ([drift, lost], "1 item of 25 drifted, but 1 item not written\n"),
        ]
        for (items, head) in heads {
            try await withAgent(FakeAgent(drift: items)) { socket in
                let outcome = await run("verify", socket: socket)
                let told = "policy_ports policy 7: not written\n    reason: map policy_ports is full\n"
                #expect(outcome.code == 1 && outcome.output.hasPrefix(head) && outcome.output.hasSuffix(told))
                let json = await run("verify", "-o", "json", socket: socket)
                #expect(json.code == 1 && json.output.contains(#""kind" : "not_written""#))
            }
        }
    }

    @Test(arguments: [["verify"], ["flow", "observe", "--follow"]])
    func `what needs the agent says so`(_ command: [String]) async {
        let outcome = await run(arguments: command, socket: "/nowhere/apus.sock")
        #expect(outcome.code == 2 && outcome.output.isEmpty)
        #expect(
            outcome.notes
                == "apus: the agent is not running at /nowhere/apus.sock: start apusd, or name its socket with --socket\n"
        )
    }

    @Test func `an agent that can't answer is not called absent`() async throws {
        let failure = AgentError(.unavailable, "the agent is still reading its sources: try again")
        try await withAgent(FakeAgent(failure: failure)) { socket in
            let status = await run("status", socket: socket)
            #expect(status.output.hasPrefix("agent: no answer (the agent is still reading its sources: try again)\n"))
            let verify = await run("verify", socket: socket)
            #expect(verify.code == 2 && verify.notes == "apus: \(failure)\n")
        }
    }

    @Test func `versions`() async throws {
        #expect(await run("version").output == "apus:   \(Release.version)\napusd:  not running\n")
        try await withAgent(FakeAgent()) { socket in
            #expect(await run("version", socket: socket).output == "apus:   \(Release.version)\napusd:  1.2.3\n")
        }
    }
}
