internal import Addressing

extension NetworkPolicy {
    init(_ fields: Fields, meta: ObjectMeta) throws(FieldError) {
        self.init(meta: meta)
        try fields.within("spec") { (spec) throws(FieldError) in
            try spec.refuseOthers(than: ["podSelector", "policyTypes", "ingress", "egress"])
            podSelector = try spec.optional("podSelector", LabelSelector.init) ?? LabelSelector()
            policyTypes = try spec.optionalList("policyTypes", Read.name)
            ingress = try spec.optionalList("ingress") { (value) throws(FieldError) in
                try NetworkPolicyRule(value, peers: "from")
            }
            egress = try spec.optionalList("egress") { (value) throws(FieldError) in
                try NetworkPolicyRule(value, peers: "to")
            }
        }
    }
}

extension NetworkPolicyRule {
    fileprivate init(_ value: ManifestValue, peers: String) throws(FieldError) {
        // A rule may be written as a bare dash: it is empty, and allows everything.
        let fields = value.isNull ? Fields(ManifestObject()) : try Fields(value)
        try fields.refuseOthers(than: [peers, "ports"])
        self.init(
            peers: try fields.optionalList(peers, NetworkPolicyPeer.init),
            ports: try fields.readableList("ports", NetworkPolicyPort.init))
        // No list of ports is every port: where none can be read, the rule must admit nobody instead.
        if ports?.isEmpty == true, fields.hasUnreadable("ports") { (self.peers, ports) = ([.unreadable], nil) }
    }
}

extension NetworkPolicyPeer {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        if value.isUnreadable {
            self = .unreadable
            return
        }
        let fields = try Fields(value)
        try fields.refuseOthers(than: ["podSelector", "namespaceSelector", "ipBlock"])
        let pods = try fields.optional("podSelector", LabelSelector.init)
        let namespaces = try fields.optional("namespaceSelector", LabelSelector.init)
        let block = try fields.optional("ipBlock", Self.ipBlock)
        switch (block, pods, namespaces) {
        case (nil, nil, nil):
            throw FieldError("expected podSelector, namespaceSelector or ipBlock")
        case (let block?, nil, nil):
            self = block
        case (.some, _, _):
            throw FieldError("ipBlock excludes podSelector and namespaceSelector")
        case (nil, _, _):
            self = .selectors(pods: pods, namespaces: namespaces)
        }
    }

    private static func ipBlock(_ value: ManifestValue) throws(FieldError) -> NetworkPolicyPeer {
        let fields = try Fields(value)
        try fields.refuseOthers(than: ["cidr", "except"])
        let range = try fields.required("cidr", Read.cidr)
        let exceptions = try fields.list("except") { (value) throws(FieldError) in
            let inner = try Read.cidr(value)
            guard range.contains(inner) else { throw .expected("a range inside \(range)", got: value) }
            if inner == range { throw .expected("a range strictly smaller than its cidr \(range)", got: value) }
            return inner
        }
        return .ipBlock(range, except: exceptions)
    }
}

extension NetworkPolicyPort {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        let fields = value.isNull ? Fields(ManifestObject()) : try Fields(value)
        try fields.refuseOthers(than: ["protocol", "port", "endPort"])
        self.init(
            protocol: try fields.optional("protocol", Read.transport) ?? .tcp,
            port: try fields.optional("port", Read.portReference))
        endPort = try fields.optional("endPort") { [port] (value) throws(FieldError) in
            let last = try Read.port(value)
            guard case .number(let first) = port else {
                var error = FieldError("needs a port that is a number")
                error.isAboutNeighbour = true
                throw error
            }
            if last < first { throw .expected("an integer from \(first) to 65535", got: value) }
            return last
        }
    }
}

extension LabelSelector {
    init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        try fields.refuseOthers(than: ["matchLabels", "matchExpressions"])
        self.init(
            matchLabels: try fields.strings("matchLabels"),
            matchExpressions: try fields.list("matchExpressions", LabelRequirement.init))
    }
}

extension LabelRequirement {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        try fields.refuseOthers(than: ["key", "operator", "values"])
        var errors = GatheredErrors()
        let key = errors.attempt { () throws(FieldError) in try fields.required("key", Read.nonEmptyString) }
        let name: Operator? = errors.attempt { () throws(FieldError) in try fields.required("operator", Read.name) }
        let values = errors.attempt { () throws(FieldError) in try fields.list("values", Read.string) }
        guard errors.isEmpty, let key, let name, let values else { throw errors.error }
        self.init(key: key, operator: name, values: values)
        switch self.operator {
        case .in, .notIn:
            if values.isEmpty { throw problem("needs at least one value") }
        case .exists, .doesNotExist:
            if !values.isEmpty { throw problem("takes no values") }
        }
    }

    private func problem(_ text: String) -> FieldError {
        FieldError("operator \(self.operator.rawValue) \(text)").inside(.field("values"))
    }
}
