import Addressing
import LoadBalancing

/// The text form of inputs in fixtures, one command a line:
///
///     service shop/cart ips=10.96.0.10,fd00::10 ports=http:TCP:80 [type=NodePort] [created=T] [proxy=P]
///         [internal=Local] [outside=Local] [check=PORT] [affinity=SECONDS] [external=IPS] [balancer=IPS] [sources=CIDRS]
///     slice shop/cart-1 of=shop/cart family=IPv4 ports=http:TCP:8080 endpoints=10.244.0.5,10.244.0.6/r-t+@node-b
///     delete service shop/cart
///     delete slice shop/cart-1
///     zone north-1
///     addresses 10.0.0.1 fd00::1
///     sources 10.0.0.1 fd00::1
///
/// A fourth part of a Service's port is its node port. Conditions are letters with a sign: `r` ready, `s` serving, `t`
/// terminating; a port number `-` is none. Hints come last: `10.244.0.5@node-a~n:node-a+node-b~z:north-1`. `zone` alone
/// takes this node's zone away.
struct Script {
    struct Failure: Error {
        let line: String
    }

    let commands: [(line: String, input: ServiceInput)]

    init(_ text: String) throws {
        commands = try text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }.map { line in
            guard let input = Self.input(line) else { throw Failure(line: line) }
            return (line, input)
        }
    }

    private static func input(_ line: String) -> ServiceInput? {
        let words = line.split(separator: " ").map(String.init)
        if words.first == "addresses" { return .nodeAddresses(Set(words.dropFirst().compactMap { IPAddress($0) })) }
        if words.first == "nodes" { return .addressesOfNodes(Set(words.dropFirst().compactMap { IPAddress($0) })) }
        if words.first == "sources" { return .nodeSources(Set(words.dropFirst().compactMap { IPAddress($0) })) }
        if words.first == "zone" { return .nodeZone(words.count > 1 ? words[1] : nil) }
        guard words.count >= 2 else { return nil }
        let isDeletion = words[0] == "delete"
        let name = words[isDeletion ? 2 : 1].split(separator: "/").map(String.init)
        let options = Dictionary(
            uniqueKeysWithValues: words.dropFirst(2).compactMap { word -> (String, String)? in
                let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
                return parts.count == 2 ? (parts[0], parts[1]) : nil
            })
        guard name.count == 2 else { return nil }
        switch (isDeletion, words[isDeletion ? 1 : 0]) {
        case (true, "service"): return .removeService(ServiceName(namespace: name[0], name: name[1]))
        case (true, "slice"): return .removeSlice(SliceName(namespace: name[0], name: name[1]))
        case (false, "service"): return service(ServiceName(namespace: name[0], name: name[1]), options)
        case (false, "slice"): return slice(SliceName(namespace: name[0], name: name[1]), options)
        default: return nil
        }
    }

    private static func addresses(_ text: String?) -> [IPAddress] { list(text).compactMap { IPAddress($0) } }

    private static func service(_ name: ServiceName, _ options: [String: String]) -> ServiceInput? {
        let kinds: [String: ServiceDefinition.Kind] = [
            "ClusterIP": .clusterIP, "NodePort": .nodePort, "LoadBalancer": .loadBalancer,
            "ExternalName": .externalName,
        ]
        guard let kind = kinds[options["type"] ?? "ClusterIP"] else { return nil }
        let ports = list(options["ports"]).map(port)
        return .upsertService(
            ServiceDefinition(
                name: name, creationTimestamp: options["created"], kind: kind,
                clusterIPs: addresses(options["ips"]),
                externalIPs: addresses(options["external"]),
                loadBalancerIPs: addresses(options["balancer"]),
                sourceRanges: list(options["sources"]).compactMap { CIDR($0) },
                ports: ports.map {
                    ServiceDefinition.Port(
                        name: $0.name, ipProtocol: $0.ipProtocol, port: $0.number ?? 0, nodePort: $0.nodePort)
                },
                proxyName: options["proxy"], isInternalTrafficLocal: options["internal"] == "Local",
                isExternalTrafficLocal: options["outside"] == "Local",
                healthCheckNodePort: options["check"].flatMap { Port($0) },
                affinitySeconds: options["affinity"].flatMap { UInt32($0) }))
    }

    private static func slice(_ name: SliceName, _ options: [String: String]) -> ServiceInput? {
        let families: [String: EndpointSliceDefinition.Family] = ["IPv4": .ipv4, "IPv6": .ipv6, "FQDN": .fqdn]
        guard let family = families[options["family"] ?? "IPv4"] else { return nil }
        let service = options["of"]?.split(separator: "/").map(String.init)
        return .upsertSlice(
            EndpointSliceDefinition(
                name: name, service: service.map { ServiceName(namespace: $0[0], name: $0[1]) }, family: family,
                ports: list(options["ports"]).map(port).map {
                    EndpointSliceDefinition.Port(name: $0.name, ipProtocol: $0.ipProtocol, port: $0.number)
                },
                endpoints: list(options["endpoints"]).map(endpoint), isHeadless: options["headless"] == "true"))
    }

    private static func list(_ text: String?) -> [String] { text?.split(separator: ",").map(String.init) ?? [] }

    private static func port(_ text: String) -> (
        name: String, ipProtocol: IPProtocol, number: Port?, nodePort: Port?
    ) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        return (parts[0], IPProtocol(parts[1]) ?? .tcp, Port(parts[2]), parts.count > 3 ? Port(parts[3]) : nil)
    }

    private static func endpoint(_ text: String) -> EndpointSliceDefinition.Endpoint {
        let hinted = text.split(separator: "~").map(String.init)
        let placed = hinted[0].split(separator: "@").map(String.init)
        let parts = placed[0].split(separator: "/").map(String.init)
        var endpoint = EndpointSliceDefinition.Endpoint(
            addresses: IPAddress(parts[0]).map { [$0] } ?? [], nodeName: placed.count > 1 ? placed[1] : nil)
        let marks = Array(parts.count > 1 ? parts[1] : "")
        for (letter, sign) in zip(marks, marks.dropFirst()) where sign == "+" || sign == "-" {
            switch letter {
            case "r": endpoint.ready = sign == "+"
            case "s": endpoint.serving = sign == "+"
            default: endpoint.terminating = sign == "+"
            }
        }
        for hint in hinted.dropFirst() {
            let names = hint.dropFirst(2).split(separator: "+").map(String.init)
            if hint.hasPrefix("n:") { endpoint.nodeHints = names } else { endpoint.zoneHints = names }
        }
        return endpoint
    }
}

/// Programs, edits and problems as text.
enum Rendering {
    static func text(_ edit: ServiceEdit) -> String {
        switch edit {
        case .set(let frontend, let program): "  set    \(text(frontend, program))"
        case .remove(let frontend): "  remove \(frontend)"
        }
    }

    static func text(_ frontend: Frontend, _ program: ServiceProgram) -> String {
        let backends = program.backends.map(\.description).joined(separator: ", ")
        let stays = program.affinitySeconds.map { ", for \($0) s the same" } ?? ""
        return "\(frontend) = \(program.service):\(program.portName)\(text(program.kind)) -> "
            + (backends.isEmpty ? "refused" : backends) + outside(program) + kept(program) + limits(program) + stays
    }

    /// What keeps its datagrams and gets nothing new.
    private static func kept(_ program: ServiceProgram) -> String {
        program.kept.isEmpty ? "" : ", kept " + program.kept.map(\.description).joined(separator: ", ")
    }

    /// What clients outside get, where that is something else.
    private static func outside(_ program: ServiceProgram) -> String {
        if program.isServedElsewhere { return ", outside dropped" }
        if !program.isForOutside || program.outside == program.backends { return "" }
        let backends = program.outside.map(\.description).joined(separator: ", ")
        return ", outside " + (backends.isEmpty ? "dropped" : backends)
    }

    private static func limits(_ program: ServiceProgram) -> String {
        if program.sourceRanges.isEmpty { return "" }
        let ranges = program.sourceRanges.map(\.description).sorted().joined(separator: ", ")
        return ", for \(ranges)" + (program.admitsNode ? " and so for the node" : "")
    }

    private static func text(_ kind: FrontendKind) -> String {
        switch kind {
        case .clusterIP: ""
        case .loadBalancer: " (LoadBalancer)"
        case .externalIP: " (externalIP)"
        case .nodePort: " (NodePort)"
        }
    }

    static func state(_ balancer: LoadBalancer) -> String {
        let programs = balancer.programs.sorted { $0.key < $1.key }.map { "  " + text($0.key, $0.value) }
        let problems = balancer.problems.map { "  \($0)" }
        return (["programs"] + programs + ["problems"] + problems).joined(separator: "\n") + "\n"
    }
}
