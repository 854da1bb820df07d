import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// A client keeps its pod of a Service, whichever port and way it takes.
    @Suite(.serialized) struct SessionAffinity {
        private static func service(_ lab: Lab, _ backends: [String], seconds: Int = 600) -> String {
            Echo.service(lab, backends).replacing(
                "type: ClusterIP",
                with: """
                    type: ClusterIP
                      sessionAffinity: ClientIP
                      sessionAffinityConfig: {clientIP: {timeoutSeconds: \(seconds)}}
                    """)
        }

        @Test(.shows(.affinityOfPod, .affinitySwitched)) func everyWayOfAClientLeadsToOnePod() async throws {
            try await withAffinity { echo in
                // IPv6 first, at the socket: what it sends tells whose namespace the client's is. From then on the other
                // order of ways agrees as well.
                let v6 = EchoPath.all.filter { $0.family == 1 }
                let v4 = Array(EchoPath.all.filter { $0.family == 0 }.reversed())
                for paths in [v6, v4] {
                    let pod = try #require(try await answering(echo, paths[0]).first)
                    for path in paths {
                        #expect(try await answering(echo, path) == [pod], "\(path)")
                        ServiceRow.affinityOfPod.seen(path)
                    }
                }
                let affinities = try await echo.agent.apus("map", "dump", "affinities").output
                for address in echo.client.addresses { #expect(affinities.contains("client \(address) service")) }
                let services = try await echo.agent.apus("service", "list").output
                #expect(services.contains("600 s"), "\(services)")
                try echo.setBackends(Echo.pods)
                for path in EchoPath.all {
                    try await eventually("\(path) to reach all pods") {
                        try await answering(echo, path) == Set(Echo.pods)
                    }
                }
                try echo.agent.manifests.write("echo.yaml", Self.service(echo.lab, Echo.pods))
                for path in EchoPath.all {
                    try await eventually("\(path) to reach one pod") { try await answering(echo, path).count == 1 }
                    ServiceRow.affinitySwitched.seen(path)
                }
            }
        }

        @Test(.shows(.affinityOfNode)) func aProcessOfTheNodeKeepsItsPodToo() async throws {
            try await withAffinity { echo in
                for path in EchoPath.all where path.covered {
                    let pods = try await answering(echo, path, from: echo.agent.node)
                    #expect(pods.count == 1, "\(path): \(pods)")
                    ServiceRow.affinityOfNode.seen(path)
                }
            }
        }

        @Test func aClientMovesOnWhenItsPodServesNoMore() async throws {
            try await withAffinity { echo in
                let path = EchoPath.all[0]
                let first = try #require(try await answering(echo, path).first)
                let others = Echo.pods.filter { $0 != first }
                try echo.agent.manifests.write("echo.yaml", Self.service(echo.lab, others))
                try await eventually("another pod than \(first)") { try await answering(echo, path) != [first] }
                let next = try await answering(echo, path)
                #expect(next.count == 1)
                try echo.agent.manifests.write("echo.yaml", Self.service(echo.lab, Echo.pods))
                for _ in 0..<3 { #expect(try await answering(echo, path) == next) }
                try echo.agent.manifests.write("echo.yaml", Echo.service(echo.lab, Echo.pods))
                try await eventually("all pods") { try await answering(echo, path) == Set(Echo.pods) }
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        @Test func clientsKeepTheirPodsWhenTheAgentStartsAnewWithOtherSizes() async throws {
            try await withAffinity { echo in
                let pods = try await answering(echo, EchoPath.all[0])
                try await echo.agent.restart(options: ["--map-size-services", "512", "--map-size-affinities", "1024"])
                for path in EchoPath.all where path.family == EchoPath.all[0].family {
                    #expect(try await answering(echo, path) == pods, "\(path)")
                }
            }
        }

        @Test(.shows(.affinityFromOutside, .affinityTimeout))
        func aClientOutsideKeepsItsPodForTheTimeThatTheServiceSays() async throws {
            try await withOutside(more: Self.policy(seconds: 600)) { world in
                var pods: [Bool: Set<String>] = [:]
                for question in world.questions {
                    let (address, port) = world.destination(question)
                    let report = try await world.outside.load(
                        address, port, over: question.ipProtocol, options: ["--count", "10"])
                    #expect(report.failed == 0, "\(question): \(report)")
                    pods[question.isIPv4, default: []].formUnion(report.ids.keys)
                    ServiceRow.affinityFromOutside.seen(question)
                }
                #expect(pods.values.allSatisfy { $0.count == 1 }, "\(pods)")
                try world.agent.manifests.edit("echo.yaml", "timeoutSeconds: 600", to: "timeoutSeconds: 1")
                try await eventually("the shorter affinity") {
                    try await world.agent.apus("service", "list").output.contains("1 s")
                }
                for question in world.questions where question.frontend == .nodePort {
                    try await expectTimeout(world, question)
                }
            }
        }

        private static func policy(seconds: Int) -> String {
            """
            sessionAffinity: ClientIP
              sessionAffinityConfig: {clientIP: {timeoutSeconds: \(seconds)}}
            """
        }

        /// A client that goes on keeps its pod beyond the time, and one that pauses does not, sooner or later.
        private func expectTimeout(_ world: OutsideWorld, _ question: OutsideQuestion) async throws {
            let (address, port) = world.destination(question)
            var kept = ""
            try await eventually("requests without a pause of a second") {
                let report = try await world.outside.load(
                    address, port, over: question.ipProtocol, options: ["--rate", "20", "--count", "30"])
                guard report.maxGap < 900 else { return false }
                #expect(report.failed == 0 && report.ids.count == 1, "\(question): \(report)")
                kept = report.ids.keys.first ?? ""
                return true
            }
            try await eventually("another pod than \(kept)", every: .milliseconds(1200)) {
                try await world.ask(question, within: .seconds(60)) != .answered(kept)
            }
            ServiceRow.affinityTimeout.seen(question)
        }

        private func withAffinity(_ body: (Echo) async throws -> Void) async throws {
            try await withEcho { echo in
                try echo.agent.manifests.write("echo.yaml", Self.service(echo.lab, Echo.pods))
                try await eventually("the Service's affinity") {
                    try await echo.agent.apus("service", "list").output.contains("600 s")
                }
                try await body(echo)
            }
        }

        /// The pods that answer many connections.
        private func answering(_ echo: Echo, _ path: EchoPath, from host: LabHost? = nil) async throws -> Set<String> {
            let report = try await (host ?? echo.client).load(
                Echo.addresses[path.family], path.ipProtocol == .udp ? Echo.udpPort : Echo.tcpPort,
                over: path.ipProtocol, options: ["--count", "12"] + path.options,
                covered: path.covered)
            #expect(report.failed == 0, "\(path): \(report)")
            return Set(report.ids.keys)
        }
    }
}
