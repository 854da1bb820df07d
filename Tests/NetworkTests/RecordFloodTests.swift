import Foundation
import TestSupport
import Testing

extension AgentLifeTests {
    /// A pod that sends to all ports of others: a record each, and more of them than there is room for.
    @Suite(.serialized) struct RecordFlood {
        private static let scan = """
            import socket, sys
            senders = {4: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
                       6: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)}
            for address in sys.argv[2:]:
                sender = senders[6 if ":" in address else 4]
                for port in range(1, int(sys.argv[1])): sender.sendto(b"x", (address, port))
            """

        private func scan(_ shop: Shop, ports: Int) async throws {
            let addresses = Shop.webPods.flatMap { shop.lab.pod($0).addresses }.map { "\($0)" }
            let result = try await shop.lab.pod("intruder").run(
                ["/usr/bin/python3", "-c", Self.scan, "\(ports)"] + addresses, covered: false)
            guard result.succeeded else { throw LabError("send to all ports", result.errors) }
        }

        /// MiB that the agent has resident.
        private func memory(_ agent: AgentProcess) throws -> Double {
            guard let pid = agent.process?.pid else { throw LabError("look at apusd", "it does not run") }
            let fields = try String(contentsOfFile: "/proc/\(pid)/statm", encoding: .utf8).split(separator: " ")
            guard fields.count > 1, let pages = Double(fields[1]) else { throw LabError("look at apusd", "\(fields)") }
            return pages * Double(sysconf(Int32(_SC_PAGESIZE))) / Double(1 << 20)
        }

        @Test func whatTheRingLosesIsToldAndMemoryStaysBounded() async throws {
            try await withShop(options: ["--flow-capacity", "1024", "--map-size-events", "65536"]) { shop in
                let agent = shop.agent
                // A store, series and maps that are full take their memory before it is looked at.
                try await scan(shop, ports: 10_000)
                let records = try #require(try await agent.metric("apus_ring_records_total"))
                let before = try memory(agent)
                try await scan(shop, ports: 60_000)
                // Nobody takes records: most of what comes now finds no room.
                agent.process?.signal(SIGSTOP)
                try await scan(shop, ports: 10_000)
                agent.process?.signal(SIGCONT)
                try await eventually("the losses to be told", every: .milliseconds(200)) {
                    let lost = try await agent.metric("apus_ring_records_lost_total") ?? 0
                    let told = [
                        try await agent.metric("apus_flows_lost_total", ["place": "kernel_ring"]),
                        try await agent.metric("hubble_lost_events_total"),
                    ]
                    if lost > 0, told == [lost, lost] { return true }
                    throw LabError("compare what was lost", "\(lost) lost, \(told) told")
                }
                let grown = try memory(agent) - before
                let taken = (try await agent.metric("apus_ring_records_total") ?? 0) - records
                // Each kept record would take half a KiB at least.
                #expect(grown < 48, "\(grown) MiB more after \(taken) records")
                #expect(try await agent.metric("apus_flows_stored") == 1024)
            }
        }
    }
}
