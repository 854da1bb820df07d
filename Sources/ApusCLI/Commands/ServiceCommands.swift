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
                its backend.

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
        commandName: "trace", abstract: "Tells where a pod's connection to a Service can end, and why not elsewhere.",
        discussion: """
            Every endpoint of the Service is shown, with the reason for which it does not serve clients of this node. The \
            agent answers from the objects; `apus verify` says whether the kernel holds the same, and `apus policy \
            explain` what policies say of each way.

            Exit codes: 0 some endpoint serves; 1 none does, connections are refused; 2 no answer, as when the pod is \
            not one of this node.

            Examples:
              apus service trace --from visitors/client --to 10.96.0.10:80
              apus service trace --from visitors/client --to '[fd00:10:96::10]:53' --protocol UDP
              apus service trace --from visitors/client --to 10.96.0.10:80 -o json | jq '.endpoints[].excluded'
            """)

    @Option(help: "The pod that asks: NAMESPACE/POD.")
    var from: String

    @Option(help: "Where it asks: ADDRESS:PORT of the Service.", transform: Self.frontend)
    var to: SocketAddress

    @Option(name: .customLong("protocol"), help: "TCP, UDP or SCTP. (default: TCP)", transform: Self.ipProtocol)
    var ipProtocol: IPProtocol = .tcp

    @OptionGroup var options: GlobalOptions

    func run() async throws {
        let question = ServiceQuestion(client: from, address: to.address, port: to.port, ipProtocol: ipProtocol)
        let trace = try await options.agent.trace(question)
        try options.console.answer(trace, as: options.output) { ServiceTraceText.text($0) }
        if trace.serving.isEmpty { throw ExitCode.checkFailed }
    }

    private static func frontend(_ text: String) throws -> SocketAddress {
        guard let end = text.lastIndex(of: ":"), let port = Port(text[text.index(after: end)...]), port != 0,
            let address = IPAddress(String(text[..<end].trimmed(of: "[", "]")))
        else { throw ValidationError("a frontend is ADDRESS:PORT like 10.96.0.10:80 or [fd00:10:96::10]:80") }
        return SocketAddress(address, port)
    }

    private static func ipProtocol(_ text: String) throws -> IPProtocol {
        guard let ipProtocol = IPProtocol(text), ipProtocol.hasPorts else {
            throw ValidationError("a protocol is TCP, UDP or SCTP")
        }
        return ipProtocol
    }
}

extension Substring {
    /// Without an opening bracket and the closing one that belongs to it.
    fileprivate func trimmed(of open: Character, _ close: Character) -> Substring {
        first == open && last == close ? dropFirst().dropLast() : self
    }
}
