internal import Addressing
internal import AgentAPI
internal import ArgumentParser

/// `apus service`.
struct ServiceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "service", abstract: "The Services that are translated on this node.",
        discussion: """
            Examples:
              apus service list
              apus service get shop/web
              apus service trace --from shop/cart-0 --to 10.96.0.10:80
            """,
        subcommands: [List.self, Get.self, ServiceTraceCommand.self], aliases: ["services", "svc"])

    @OptionGroup var options: GlobalOptions

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists each frontend and the backends that it leads to.",
            discussion: """
                The table shows the first backends; -o json and -o yaml show all. AFFINITY is for how long a client keeps \
                its backend. FROM OUTSIDE is what clients get who come in by an uplink, where that is something else \
                (externalTrafficPolicy Local), and whom a load balancer is for (loadBalancerSourceRanges).

                Examples:
                  apus service list
                  apus service list -o yaml
                  apus service list -o json | jq '.[] | select(.backends == [])'
                """)

        @OptionGroup var options: GlobalOptions

        func run() throws { try options.console.list(try options.datapath().services(), as: options.output) }
    }

    struct Get: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows one Service: its frontends with all their backends.",
            discussion: """
                Examples:
                  apus service get shop/web
                  apus service get shop/web -o json | jq '.[].backends[].pod'
                """)

        @Argument(help: "NAMESPACE/NAME of the Service.")
        var name: String

        @OptionGroup var options: GlobalOptions

        func run() throws {
            let rows = try options.datapath().services().filter { "\($0.namespace ?? "")/\($0.service ?? "")" == name }
            if rows.isEmpty { throw CommandError.noService(name) }
            try options.console.answer(rows, as: options.output) { $0.map(\.details).joined(separator: "\n") }
        }
    }
}

/// `apus backend`.
struct BackendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backend", abstract: "Where connections to Services end.",
        discussion: """
            Examples:
              apus backend list
            """,
        subcommands: [List.self], aliases: ["backends"])

    @OptionGroup var options: GlobalOptions

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists each backend and the Services that lead to it.",
            discussion: """
                POD is the pod with the address, when it is one of this node.

                Examples:
                  apus backend list
                  apus backend list -o json | jq '.[] | select(.pod == "shop/web-1") | .services'
                """)

        @OptionGroup var options: GlobalOptions

        func run() throws {
            try options.console.list(BackendRow.rows(of: try options.datapath().services()), as: options.output)
        }
    }
}

/// `apus service trace`.
struct ServiceTraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Tells where a client's connection to a Service can end, and why not elsewhere.",
        discussion: """
            Every endpoint of the Service is shown, with the reason for which it does not serve clients of this node. The \
            agent answers from the objects; `apus verify` says whether the kernel holds the same, and `apus policy \
            explain` what policies say of each way.

            A Service by its name is looked up in the pinned maps; each of its addresses is traced, and -o json gives a \
            list.

            An address of the node itself stands for its own processes, which are led at their sockets. Any other one that \
            is no pod's of this node is that of a client outside, whose packets come in by an uplink.

            Exit codes: 0 some endpoint serves; 1 none does, or none may serve this client; 2 no answer, as when the \
            pod is not one of this node.

            Examples:
              apus service trace --from visitors/client --to shop/web:http
              apus service trace --from visitors/client --to 10.96.0.10 --port 80
              apus service trace --from 198.51.100.7 --to 10.0.0.1:30080
              apus service trace --from 127.0.0.1 --to 10.96.0.10:80
              apus service trace --from visitors/client --to '[fd00:10:96::10]:53' --protocol UDP
              apus service trace --from visitors/client --to 10.96.0.10:80 -o json | jq '.endpoints[].excluded'
            """)

    @Option(
        help:
            "Who asks: NAMESPACE/POD, a pod's address, one of the node for a process of its own, or any other one: a client outside.",
        transform: PolicyEnd.argument)
    var from: PolicyEnd

    @OptionGroup var target: TargetOptions

    @Option(name: .customLong("protocol"), help: "TCP, UDP or SCTP. (default: TCP)", transform: Self.ipProtocol)
    var ipProtocol: IPProtocol = .tcp

    @OptionGroup var options: GlobalOptions

    func validate() throws {
        if target.givenPort == nil { throw ValidationError("--port is needed") }
        if case .domain = target.to.end {
            throw ValidationError("--to \(target.to.end) is a name of the DNS: give NAMESPACE/SERVICE or an address")
        }
        if case .domain = from { throw ValidationError("--from \(from) is a name of the DNS: give NAMESPACE/POD") }
    }

    func run() async throws {
        let ends = ServiceTraceEnds(ipProtocol: ipProtocol) { try options.datapath() }
        let client = try ends.client(from)
        var traces: [ServiceTrace] = []
        for frontend in try ends.frontends(target.to.end, target.givenPort) {
            let question = ServiceQuestion(
                client: client, address: frontend.address, port: frontend.port, ipProtocol: ipProtocol)
            traces.append(try await options.agent.trace(question))
        }
        if case .address = target.to.end, let trace = traces.first {
            try options.console.answer(trace, as: options.output) { ServiceTraceText.text($0) }
        } else {
            try options.console.answer(traces, as: options.output) {
                $0.map(ServiceTraceText.text).joined(separator: "\n")
            }
        }
        if traces.contains(where: \.serving.isEmpty) { throw ExitCode.checkFailed }
    }

    private static func ipProtocol(_ text: String) throws -> IPProtocol {
        guard let ipProtocol = IPProtocol(text), ipProtocol.hasPorts else {
            throw ValidationError("a protocol is TCP, UDP or SCTP")
        }
        return ipProtocol
    }
}
