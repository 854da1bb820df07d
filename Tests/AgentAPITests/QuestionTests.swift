import Addressing
import AgentAPI
import Flows
import Foundation
import Glibc
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct AgentQuestions {
    @Test func everyQuestionIsAnswered() async throws {
        let agent = FakeAgent()
        agent.produce(5)
        try await withServer(agent) { _, path in
            let client = patientClient(path)
            let answers = (try await client.hello(), try await client.status(), try await client.verify())
            let expected = (agent.hello, try await agent.status(), try await agent.verify())
            #expect(answers == expected)
            var flows: [Flow] = []
            try await client.flows(FlowQuery(last: 3)) { flows.append($0) }
            #expect(flows == agent.hub.last(3))
        }
    }

    @Test(
        arguments: [
            ("shop/web", "10.0.0.1", .tcp, "http"), ("fd00::1", "shop/web", .udp, "53"),
            ("10.0.0.1", "10.0.0.2", .icmp, nil), ("shop/web", "registry.", .tcp, "443"),
        ] as [(String, String, IPProtocol, String?)])
    func aQuestionAboutPoliciesTravels(source: String, destination: String, ipProtocol: IPProtocol, port: String?)
        async throws
    {
        let agent = FakeAgent()
        let question = PolicyQuestion(
            source: try #require(PolicyEnd(source)), destination: try #require(PolicyEnd(destination)),
            ipProtocol: ipProtocol, port: port.flatMap { PolicyPort($0) }, isReceived: port == nil)
        try await withServer(agent) { _, path in
            let expected = try await agent.explain(question)
            #expect(try await patientClient(path).explain(question) == expected)
        }
    }

    @Test(arguments: ["web", "shop/web", "00c0ffee"])
    func aPolicyIsAskedForByNameOrID(text: String) async throws {
        let agent = FakeAgent()
        let selection = try #require(PolicySelection(text))
        try await withServer(agent) { _, path in
            let expected = try await agent.policies(selection)
            #expect(try await patientClient(path).policies(selection) == expected)
        }
    }

    @Test func aQuestionAboutAServiceTravels() async throws {
        let agent = FakeAgent()
        let question = ServiceQuestion(
            client: "shop/front", address: try #require(IPAddress("fd00::10")), port: 53, ipProtocol: .udp)
        try await withServer(agent) { _, path in
            let expected = try await agent.trace(question)
            #expect(expected.frontend == "UDP fd00::10:53" && expected.serving.isEmpty)
            #expect(try await patientClient(path).trace(question) == expected)
        }
    }

    @Test func aFilterTravelsWithTheQuery() async throws {
        let agent = FakeAgent()
        agent.produce(2, port: 80)
        agent.produce(3, port: 443)
        try await withServer(agent) { _, path in
            var filter = FlowFilter()
            filter.ports = [443]
            var ports: [UInt16] = []
            try await patientClient(path).flows(FlowQuery(last: 100, filter: filter)) {
                ports.append($0.tuple.destination.port)
            }
            #expect(ports == [443, 443, 443])
        }
    }

    @Test func followingEndsWithItsTask() async throws {
        let agent = FakeAgent()
        agent.produce(1)
        try await withServer(agent) { server, path in
            let received = Counter()
            try await withThrowingTaskGroup { group in
                group.addTask {
                    try await patientClient(path).flows(FlowQuery(last: 1, follow: true)) { _ in
                        received.increment()
                    }
                }
                try await eventually("the past flow arrives") { received.value == 1 }
                agent.produce(1)
                try await eventually("a new flow arrives") { received.value == 2 }
                group.cancelAll()
                await #expect(throws: CancellationError.self) { try await group.waitForAll() }
            }
            try await eventually("the server forgets the follower") {
                server.openConnections == 0 && agent.running.value == 0
                    && agent.hub.statistics.followers == 0
            }
        }
    }

    @Test func theConsumersErrorEndsTheStream() async throws {
        struct Enough: Error {}
        let agent = FakeAgent()
        agent.produce(10)
        try await withServer(agent) { server, path in
            await #expect(throws: Enough.self) {
                try await patientClient(path).flows(FlowQuery(last: 10, follow: true)) { _ in throw Enough() }
            }
            try await eventually("the connection is gone") { server.openConnections == 0 }
        }
    }

    @Test func theAgentsErrorReachesTheClient() async throws {
        let failure = AgentError(.unavailable, "not yet synchronised: try again")
        try await withServer(FakeAgent(failure: failure)) { _, path in
            await #expect(throws: failure) { try await patientClient(path).status() }
        }
    }

    @Test func anAgentThatIsNotThereSaysWhatToDo() async throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/none.sock"
        let error = await #expect(throws: AgentError.self) { try await patientClient(path).status() }
        #expect(error?.code == .notRunning)
        #expect(error?.message == "the agent is not running at \(path): start apusd, or name its socket with --socket")
    }
}
