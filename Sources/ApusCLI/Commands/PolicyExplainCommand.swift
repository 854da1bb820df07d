internal import Addressing
internal import AgentAPI
internal import ArgumentParser
internal import Datapath

/// `apus policy explain`.
struct PolicyExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Tells what policies say of a connection, rule by rule.",
        discussion: """
            Judges a packet that opens a connection at both ends, as far as they are pods of this node: the egress of \
            the source and the ingress of the destination. It asks the agent, which goes by the objects, and the pinned \
            maps, which the kernel goes by, and says where the two differ. While apusd is stopped the maps answer alone; \
            they name pods of this node and Services, and hold no selectors. Behind a Service policies judge the backend: \
            every one is explained.

            A name of the DNS is judged by the addresses that the pod's policy holds under it. Where it holds none, by \
            what an answer to the pod would bring: the pod may connect to that as soon as it sees the answer. A name \
            has a dot (registry. for one without).

            Exit codes: 0 allowed on every way, at the ends that are here; 1 denied on one, or agent and maps differ; \
            2 no answer, as when an end is not known, or neither end of a way is a pod of this node.

            Examples:
              apus policy explain --from shop/web-1 --to shop/db-1 --port 5432
              apus policy explain --from 192.0.2.7 --to shop/web-1 --port http
              apus policy explain --from shop/web-1 --to shop/db:store
              apus policy explain --from shop/web-1 --to fd00::53 --port 53 --protocol UDP
              apus policy explain --from shop/web-1 --to www.example.com:443
              apus policy explain --from 192.168.7.1 --received --to shop/web-1 --port 8080
              apus policy explain --from shop/web-1 --to 10.96.0.10 --port 80 -o json | jq .allowed
            """)

    @Option(help: "Where it comes from: NAMESPACE/POD or an address.", transform: PolicyEnd.argument)
    var from: PolicyEnd

    @OptionGroup var target: TargetOptions

    @Option(
        name: .customLong("protocol"), help: "TCP, UDP, SCTP, ICMP or ICMPv6. (default: TCP)",
        transform: Self.ipProtocol)
    var ipProtocol: IPProtocol = .tcp

    @Flag(
        help: """
            Judge what comes in by an interface of this node, as by a rule that masquerades: who has the node's \
            address is not the node then.
            """)
    var received = false

    @OptionGroup var options: GlobalOptions

    func validate() throws {
        if ipProtocol.hasPorts, target.givenPort == nil { throw ValidationError("--port is needed for \(ipProtocol)") }
        if case .domain = from {
            throw ValidationError("--from \(from) is a name of the DNS: give NAMESPACE/POD or an address")
        }
        if !ipProtocol.hasPorts, target.givenPort != nil {
            throw ValidationError("\(ipProtocol) has no ports: leave --port away")
        }
    }

    func run() async throws {
        let question = PolicyQuestion(
            source: from, destination: target.to.end, ipProtocol: ipProtocol, port: target.givenPort,
            isReceived: received)
        let judged = try await askAgent(question)
        let datapath = try openMaps(isNeeded: judged == nil)
        let domain = try datapath.flatMap(askedName)
        let paths = try judged ?? datapath.map { try question.paths(MapPolicyNames($0, domain)) } ?? []
        let explanation = PolicyExplanation(
            try paths.map { try explain($0, judged: judged != nil, datapath, domain) }, agent: judged != nil,
            maps: datapath != nil)
        let text = PolicyExplanationText(console: options.console)
        try options.console.answer(explanation, as: options.output, table: text.text)
        if explanation.allowed == false || explanation.differs { throw ExitCode.checkFailed }
        if explanation.allowed == nil { throw ExitCode.unanswered }
    }

    /// The name that is asked about, as the maps know it; nil when it is none.
    private func askedName(_ datapath: any DatapathView) throws -> MapDomain? {
        guard case .domain(let name) = target.to.end else { return nil }
        return try MapDomain(datapath, name: name)
    }

    /// The agent's verdicts; nil when it gives none.
    private func askAgent(_ question: PolicyQuestion) async throws -> [PolicyPath]? {
        do throws(AgentError) {
            return try await options.agent.explain(question)
        } catch {
            if error.code == .notFound { throw error }
            options.console.note("apus: \(error); this is what the maps tell")
            return nil
        }
    }

    private func openMaps(isNeeded: Bool) throws -> (any DatapathView)? {
        do {
            return try options.datapath()
        } catch let error as CommandError where !isNeeded {
            options.console.note("apus: \(error); this is what the agent tells")
            return nil
        }
    }

    private func explain(
        _ path: PolicyPath, judged: Bool, _ datapath: (any DatapathView)?, _ domain: MapDomain?
    ) throws -> PolicyExplanation.Path {
        func side(
            _ direction: TrafficDirection, _ own: PolicyPath.End, _ peer: PolicyPath.End, _ agent: PolicyJudgement?
        ) throws -> PolicyExplanation.Side? {
            guard let endpoint = IPAddress(own.address), let other = IPAddress(peer.address) else { return nil }
            let question = VerdictQuestion(
                endpoint: endpoint, direction: direction, peer: other, ipProtocol: ipProtocol, port: path.port ?? 0,
                assumedName: path.name.flatMap { $0.learned ? nil : $0.name }, isReceived: received)
            var maps = try datapath?.judge(question)
            if direction == .egress { maps?.patterns = domain?.patterns(for: endpoint) }
            let name = direction == .egress ? path.name?.text(peer) : nil
            return PolicyExplanation.Side(
                agent: agent, maps: maps, isCompared: judged && datapath != nil, peer: name ?? peer.text,
                port: path.portText)
        }
        return PolicyExplanation.Path(
            path, egress: try side(.egress, path.source, path.destination, path.egress),
            ingress: try side(.ingress, path.destination, path.source, path.ingress))
    }

    private static func ipProtocol(_ text: String) throws -> IPProtocol {
        guard let ipProtocol = IPProtocol(text) else {
            throw ValidationError("a protocol is TCP, UDP, SCTP, ICMP or ICMPv6")
        }
        return ipProtocol
    }
}
