internal import Addressing

extension Service {
    init(_ fields: Fields, meta: ObjectMeta) throws(FieldError) {
        self.init(meta: meta)
        try fields.within("spec") { (spec) throws(FieldError) in
            type = try spec.optional("type", Read.name) ?? .clusterIP
            (clusterIPs, isHeadless) = try Self.clusterIPs(spec)
            ports = try Self.ports(spec)
            hasSelector = try !spec.strings("selector").isEmpty
            externalIPs = try spec.list("externalIPs", Read.address)
            publishesNotReadyAddresses = try spec.optional("publishNotReadyAddresses", Read.boolean) ?? false
            ipFamilies = try spec.list("ipFamilies", Read.name)
            try readTraffic(spec)
            try readLoadBalancer(spec)
        }
        loadBalancer.ingress = try fields.within("status") { (status) throws(FieldError) in
            try status.within("loadBalancer") { (balancer) throws(FieldError) in
                try balancer.list("ingress", LoadBalancerIngress.init)
            }
        }
    }

    private mutating func readTraffic(_ spec: Fields) throws(FieldError) {
        sessionAffinity = try Self.sessionAffinity(spec)
        externalTrafficPolicy = try spec.optional("externalTrafficPolicy", Read.trafficPolicy) ?? .cluster
        internalTrafficPolicy = try spec.optional("internalTrafficPolicy", Read.trafficPolicy) ?? .cluster
        healthCheckNodePort = try spec.optional("healthCheckNodePort", Read.portOrNone) ?? nil
        trafficDistribution = try spec.optional("trafficDistribution", TrafficDistribution.read) ?? nil
    }

    private mutating func readLoadBalancer(_ spec: Fields) throws(FieldError) {
        loadBalancer.sourceRanges = try spec.list("loadBalancerSourceRanges", Read.sourceRange)
        loadBalancer.loadBalancerClass = try spec.optional("loadBalancerClass", Read.string)
        loadBalancer.allocatesNodePorts = try spec.optional("allocateLoadBalancerNodePorts", Read.boolean) ?? true
    }

    /// `clusterIPs`, or `clusterIP` where an old or a hand-written object has only that; `None` means headless.
    private static func clusterIPs(_ spec: Fields) throws(FieldError) -> ([IPAddress], isHeadless: Bool) {
        var entries = try spec.list("clusterIPs", Self.clusterIP)
        if entries.isEmpty { entries = try spec.optional("clusterIP", Self.clusterIP).map { [$0] } ?? [] }
        let addresses = entries.compactMap { if case .address(let address) = $0 { address } else { nil } }
        return (addresses, isHeadless: entries.contains { if case .headless = $0 { true } else { false } })
    }

    private enum ClusterIP {
        case unassigned, headless, address(IPAddress)
    }

    private static func clusterIP(_ value: ManifestValue) throws(FieldError) -> ClusterIP {
        switch value {
        case .string(""): return .unassigned
        case .string("None"): return .headless
        default: break
        }
        guard let address = value.text.flatMap({ StoredAddress.address($0) }) else {
            throw .expected("an IP address or None", got: value)
        }
        return .address(address)
    }

    /// The ports; two of one protocol and number, or of one name, would leave open which one is meant.
    private static func ports(_ spec: Fields) throws(FieldError) -> [ServicePort] {
        let ports = try spec.list("ports", ServicePort.init)
        for (index, port) in ports.enumerated() {
            let problem: FieldError?
            if ports[..<index].contains(where: { $0.port == port.port && $0.ipProtocol == port.ipProtocol }) {
                problem = FieldError("\(port.ipProtocol) \(port.port) is there twice")
            } else if port.name.isEmpty, ports.count > 1 {
                problem = FieldError("required when there is more than one port").inside(.field("name"))
            } else if ports[..<index].contains(where: { $0.name == port.name }) {
                problem = FieldError("\"\(port.name)\" is there twice").inside(.field("name"))
            } else {
                problem = nil
            }
            if let problem { throw problem.inside(.index(index)).inside(.field("ports")) }
        }
        return ports
    }

    private static func sessionAffinity(_ spec: Fields) throws(FieldError) -> SessionAffinity {
        let affinity: AffinityName = try spec.optional("sessionAffinity", Read.name) ?? .none
        guard affinity == .clientIP else { return .none }
        let seconds = try spec.within("sessionAffinityConfig") { (config) throws(FieldError) in
            try config.within("clientIP") { (client) throws(FieldError) in
                try client.optional("timeoutSeconds", Read.integer(1...86400))
            }
        }
        return .clientIP(timeoutSeconds: Int(seconds ?? 10800))
    }

    private enum AffinityName: String, CaseIterable {
        case none = "None"
        case clientIP = "ClientIP"
    }
}

extension ServicePort {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        self.init(
            name: try fields.optional("name", Read.string) ?? "",
            protocol: try fields.optional("protocol", Read.transport) ?? .tcp,
            port: try fields.required("port", Read.port),
            targetPort: try fields.optional("targetPort", Self.target) ?? nil,
            nodePort: try fields.optional("nodePort", Read.portOrNone) ?? nil)
    }

    /// The API takes 0 and an empty name for a missing target port.
    private static func target(_ value: ManifestValue) throws(FieldError) -> PortReference? {
        switch value {
        case .integer(0), .string(""): return nil
        default: return try Read.portReference(value)
        }
    }
}

extension LoadBalancerIngress {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        let host = try fields.optional("hostname", Read.string) ?? ""
        self.init(
            address: try fields.optional("ip", Read.addressOrNone) ?? nil,
            mode: try fields.optional("ipMode", Read.name) ?? .vip,
            hostname: host.isEmpty ? nil : host)
    }
}

extension TrafficDistribution {
    /// A preference; one that is not known is none, as it only ever is a wish.
    fileprivate static func read(_ value: ManifestValue) throws(FieldError) -> TrafficDistribution? {
        switch try Read.string(value) {
        case "PreferClose", "PreferSameZone": return .preferSameZone
        case "PreferSameNode": return .preferSameNode
        default: return nil
        }
    }
}

extension Read {
    /// A range that may have spaces around it, as the API allows here and nowhere else.
    fileprivate static func sourceRange(_ value: ManifestValue) throws(FieldError) -> CIDR {
        let text = try string(value)
        return try cidr(.string(String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())))
    }

    /// A traffic policy; an empty one is missing.
    fileprivate static func trafficPolicy(_ value: ManifestValue) throws(FieldError) -> TrafficPolicy {
        if case .string("") = value { return .cluster }
        return try name(value)
    }

    /// An address where the API takes an empty string for none.
    fileprivate static func addressOrNone(_ value: ManifestValue) throws(FieldError) -> IPAddress? {
        if case .string("") = value { return nil }
        return try address(value)
    }
}
