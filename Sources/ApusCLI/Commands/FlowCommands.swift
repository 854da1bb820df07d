internal import Addressing
internal import AgentAPI
internal import ArgumentParser
internal import Flows

/// `apus flow`.
struct FlowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flow", abstract: "What happened on the network.",
        discussion: """
            Examples:
              apus flow observe --last 50
              apus flow observe --follow --verdict denied
            """,
        subcommands: [Observe.self, Top.self], aliases: ["flows"])

    @OptionGroup var options: GlobalOptions

    struct Observe: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows flows: connections opened, denied, closed and still in use, and DNS answers.",
            discussion: """
                Options of one kind widen the choice, of several kinds narrow it. Names may end with *. Records of \
                lost flows are always shown. While apusd is stopped, the last flows come from the kernel's ring \
                buffer, named as far as the maps tell; --follow needs apusd. -o json prints one object a line.

                Examples:
                  apus flow observe --last 50
                  apus flow observe --follow -n shop -l app=web
                  apus flow observe --follow --verdict denied --pod shop/cart-*
                  apus flow observe --service shop/web --port 80 --protocol tcp
                  apus flow observe --fqdn '*.example.com' --verdict denied
                  apus flow observe --kind dns -o json | jq '.l7 | select(.dns.rcode != 0)'
                  apus flow observe --ip 10.244.0.0/24 --kind closed -o json | jq .counters
                """)

        @Flag(name: [.short, .long], help: "Go on with new flows until Ctrl-C.")
        var follow = false

        // A negative number is no option that was meant.
        @Option(
            parsing: .unconditional, help: "Show so many of the past flows first. (default: 20, with --follow 0)")
        var last: Int?

        @OptionGroup(title: "Filters") var filter: FlowFilterOptions
        @OptionGroup var options: GlobalOptions

        func validate() throws {
            if let last, last < 0 { throw ValidationError("--last takes a number from 0 up, not \(last)") }
        }

        func run() async throws {
            let query = FlowQuery(last: last ?? (follow ? 0 : 20), follow: follow, filter: filter.filter)
            let printer = FlowPrinter(console: options.console, format: options.output)
            let agent = options.agent
            let meter = FlowMeter(options.console, isQuiet: options.console.isTerminal)
            let take: @Sendable (Flow) throws -> Void = { flow in
                try printer.print(flow)
                meter.count(flow)
            }
            if follow {
                await options.noteIfSilent()
                try await untilInterrupted { try await agent.flows(query, take) }
                let sum = meter.finish()
                if options.console.renew != nil { options.console.note("apus: \(sum)") }
                return
            }
            do {
                defer { _ = meter.finish() }
                try await agent.flows(query, take)
                guard !printer.hasPrinted, query.last > 0 else { return }
                let evidence = try? await agent.status().evidence
                options.console.note(
                    evidence?.isSilent ?? false ? GlobalOptions.silence : Self.absence(of: evidence?.stored))
            } catch let error as AgentError where !printer.hasPrinted && query.filter.labels.isEmpty {
                let datapath = try options.datapath()
                let flows = try datapath.flows(last: query.last, query.filter)
                options.console.note("apus: \(error); these flows are from the kernel's ring buffer")
                for flow in flows { try printer.print(flow) }
                guard flows.isEmpty, query.last > 0 else { return }
                options.console.note(Self.absence(of: try datapath.flows(last: .max, FlowFilter()).count))
            }
        }

        /// Why nothing was shown, by the number of flows that there are to choose from; nil when that is not known.
        private static func absence(of stored: Int?) -> String {
            switch stored {
            case 0?: "apus: no flow is stored yet"
            case let stored?: "apus: none of the \(Quantity.count(stored, "stored flow")) matches"
            case nil: "apus: no stored flow matches"
            }
        }
    }
}

extension GlobalOptions {
    static let silence = "apus: nothing is told of flows: the agent runs with --flow-detail none"

    /// Says so before somebody waits for flows that never come.
    func noteIfSilent() async {
        if (try? await agent.status().evidence.isSilent) ?? false { console.note(Self.silence) }
    }
}

extension AgentStatus.Evidence {
    /// Whether the agent tells nothing of flows.
    fileprivate var isSilent: Bool { detail == FlowDetail.none.rawValue }
}

/// Which flows are wanted.
struct FlowFilterOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "Namespace of either end or of the Service.")
    var namespace: [String] = []

    @Option(help: "Pod at either end: name or namespace/name.", transform: Self.name)
    var pod: [NamePattern] = []

    @Option(
        name: [.customShort("l"), .long],
        help: "Label selector of the pod at either end, such as 'app=web,tier in (a, b)'; needs apusd.",
        transform: Self.labels)
    var selector: [LabelFilter] = []

    @Option(help: "Service that was asked for: name or namespace/name.", transform: Self.name)
    var service: [NamePattern] = []

    @Option(help: "Address or prefix of either end or of the Service.", transform: Self.prefix)
    var ip: [CIDR] = []

    @Option(help: "Port of either end or of the Service.")
    var port: [UInt16] = []

    @Option(
        name: .customLong("protocol"), help: "TCP, UDP, SCTP, ICMP, ICMPv6 or a number.", transform: Self.ipProtocol)
    var ipProtocol: [IPProtocol] = []

    @Option(help: "forwarded (or allowed), dropped (or denied), audit.", transform: Self.verdict)
    var verdict: [Flow.Verdict] = []

    @Option(help: "opened, denied, audited, closed, active, packet, dns or lost.", transform: Self.kind)
    var kind: [Flow.Kind] = []

    @Option(help: "Domain name of the destination, or asked for; each * is any characters.", transform: Self.domain)
    var fqdn: [DomainFilter] = []

    var filter: FlowFilter {
        var filter = FlowFilter()
        filter.namespaces = namespace
        filter.pods = pod
        filter.labels = selector
        filter.services = service
        filter.addresses = ip
        filter.ports = port
        filter.protocols = ipProtocol
        filter.verdicts = verdict
        filter.kinds = kind
        filter.names = fqdn
        return filter
    }

    private static func name(_ text: String) throws -> NamePattern {
        try NamePattern(text) ?? fail("a name is NAME or NAMESPACE/NAME, with or without a final *")
    }

    private static func labels(_ text: String) throws -> LabelFilter {
        try LabelFilter(text) ?? fail("a label selector is like app=web or 'tier in (front, back),!canary'")
    }

    private static func domain(_ text: String) throws -> DomainFilter {
        try DomainFilter(text) ?? fail("a domain name is like api.example.com or *.example.com")
    }

    private static func prefix(_ text: String) throws -> CIDR {
        try CIDR(text) ?? IPAddress(text).map { CIDR(host: $0) }
            ?? fail("an address is like 10.0.0.1 or fd00::1, a prefix like 10.0.0.0/8")
    }

    private static func ipProtocol(_ text: String) throws -> IPProtocol {
        try IPProtocol(text) ?? fail("a protocol is TCP, UDP, SCTP, ICMP, ICMPv6 or a number up to 255")
    }

    private static func verdict(_ text: String) throws -> Flow.Verdict {
        switch text.lowercased() {
        case "forwarded", "allowed": .forwarded
        case "dropped", "denied": .dropped
        case "audit", "audited": .audit
        default: try fail("a verdict is forwarded, dropped or audit")
        }
    }

    private static func kind(_ text: String) throws -> Flow.Kind {
        let names = Flow.Kind.allCases.map(\.rawValue).joined(separator: ", ")
        return try Flow.Kind(rawValue: text.lowercased()) ?? fail("a kind is one of \(names)")
    }

    private static func fail<Value>(_ reason: String) throws -> Value { throw ValidationError(reason) }
}
