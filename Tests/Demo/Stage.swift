import Foundation
import TestSupport

/// The lab with its agent and what the steps of the demo do on it: run commands before the reader's eyes and check them.
struct Stage: Sendable {
    let lab: Lab
    let agent: NodeAgent
    let transcript: Transcript

    /// Plays all steps.
    func play(keeps: Bool) async throws {
        try await raise()
        try await balance()
        try await enforce()
        try await editUnderLiveConnection()
        try await observe()
        try await killUnderLoad()
        if !keeps { try await cleanUp() }
    }

    /// Runs a line of shell in a pod, shows it and what it prints.
    @discardableResult
    func show(on pod: String, _ line: String) async throws -> ProcessResult {
        transcript.command(pod, line)
        let result = try await lab.pod(pod).run(["sh", "-c", line])
        transcript.output(result.output + result.errors)
        return result
    }

    /// Runs a line of shell on the node with `apus` on its path, shows it and what it prints.
    @discardableResult
    func showOnNode(_ line: String) async throws -> ProcessResult {
        transcript.command(Shop.node, line)
        let result = try await agent.apus(line)
        transcript.output(result.output + result.errors)
        return result
    }

    /// Runs what must succeed; shows it.
    func succeed(on pod: String, _ line: String) async throws -> ProcessResult {
        let result = try await show(on: pod, line)
        let ending = result.status.map { "exit code \($0)" } ?? "no end within 10 s"
        try expect(result.succeeded, or: "'\(line)' failed on \(pod): \(ending)")
        return result
    }

    /// Shows that a request is not answered: the packets are dropped, so the client waits in vain.
    func expectDenied(_ pod: String, _ url: String) async throws {
        let result = try await show(on: pod, "curl -sS -m 0.4 '\(url)'")
        try expect(result.status == 28, or: "\(pod) should get no answer from \(url)")  // curl: time-out
    }

    /// Throws unless an expectation is met; says so when a sentence for the reader is given.
    func expect(_ isMet: Bool, _ sentence: String? = nil, or failure: String) throws {
        guard isMet else { throw Unexpected(failure) }
        if let sentence { transcript.checked(sentence) }
    }
}

extension Stage {
    /// The lab, the servers and the agent.
    func raise() async throws {
        transcript.step("A node with six pods")
        transcript.say(
            """
            Network namespaces play the node and the pods of examples/shop; web-1, web-2, web-3 and db-1 run nginx.
            The prompt says where a command runs; options that only the lab needs are left out.
            """)
        try await ShopServers(lab: lab).start()
        try await showOnNode("ls -m manifests")
        transcript.command(Shop.node, agent.shortCommand)
        try await agent.start()
        let services = try await showOnNode("apus service list")
        try expect(
            services.output.contains("\(Shop.web.ipv4):80"),
            "Six pods are attached; the Services and policies are in the kernel",
            or: "the web Service should be in the list")
    }

    /// Services: both families, every backend.
    func balance() async throws {
        transcript.step("Services: one address, three backends")
        let page = try await succeed(on: Shop.client, "curl -sS http://\(Shop.web.ipv4)/")
        let clientAddress = "\(lab.pod(Shop.client).ipv4)"
        try expect(
            page.output.contains("hello, \(clientAddress)"), "The server sees the client's own address",
            or: "the page should greet \(clientAddress)")
        for (family, host) in [("IPv4", Shop.web.ipv4), ("IPv6", "[\(Shop.web.ipv6)]")] {
            let counts = try await succeed(
                on: Shop.client,
                "curl -sS -H 'Connection: close' 'http://\(host)/?[1-60]' | grep web- | sort | uniq -c")
            try checkSpread(counts.output, family)
        }
        transcript.remember("Services", "120 connections by IPv4 and IPv6, spread over three backends")
    }

    private func checkSpread(_ counts: String, _ family: String) throws {
        let rows = counts.split(separator: "\n").map { $0.split(separator: " ") }
        let total = rows.compactMap { $0.first.flatMap { Int($0) } }.reduce(0, +)
        let pods = Set(rows.compactMap { $0.last.map(String.init) })
        try expect(
            total == 60 && pods == Set(Shop.webPods),
            "\(family): 60 connections, all answered, spread over all backends",
            or: "\(family): 60 answers from \(Shop.webPods) expected, got \(total) from \(pods.sorted())")
    }

    /// NetworkPolicy: who is admitted and who is not, by either family, to pods and from them.
    func enforce() async throws {
        transcript.step("NetworkPolicy: customers reach the web pods, web pods reach the database, nobody else")
        try await showOnNode("sed -n '/ingress:/,/protocol/p' manifests/policy-web.yaml")
        let stock = try await succeed(on: Shop.client, "curl -sS http://\(Shop.web.ipv4)/stock")
        try expect(
            stock.output.contains("in stock"), "client, a customer, is admitted; its web pod asked the database",
            or: "the web pod should pass on the database's answer")
        try await expectDenied(Shop.intruder, "http://\(Shop.web.ipv4)/")
        try await expectDenied(Shop.intruder, "http://[\(Shop.web.ipv6)]/")
        transcript.checked("intruder, a scraper, is denied, by IPv4 and IPv6")
        try await expectDenied(Shop.client, "http://\(Shop.store.ipv4):\(Shop.store.port)/")
        try await expectDenied(Shop.database, "http://\(Shop.web.ipv4)/")
        transcript.checked("client is denied at the database, and the database may open no connection itself")
        transcript.remember("Policy", "customers admitted, all others denied, by IPv4 and IPv6")
    }

    /// Everything that Apus made goes with one command.
    func cleanUp() async throws {
        transcript.step("Removing Apus")
        await agent.stop()
        let removal = try await showOnNode("apusd cleanup")
        try expect(removal.succeeded, or: "apusd cleanup failed")
        let page = try await show(on: Shop.intruder, "curl -sS http://\(lab.pod("web-1").ipv4):\(Shop.webPort)/")
        try expect(
            page.succeeded, "Without Apus the node's kernel just routes: intruder reaches the web pod",
            or: "no answer after the cleanup")
    }
}
