internal import Addressing

extension FQDNNetworkPolicy {
    init(_ fields: Fields, meta: ObjectMeta) throws(FieldError) {
        let spec = try fields.required("spec", Fields.init)
        do throws(FieldError) {
            var errors = GatheredErrors()
            errors.attempt { () throws(FieldError) in try spec.refuseOthers(than: ["podSelector", "egress"]) }
            let pods = errors.attempt { () throws(FieldError) in
                try spec.required("podSelector", LabelSelector.init)
            }
            let egress = errors.attempt { () throws(FieldError) in
                try spec.nonEmptyList("egress", FQDNNetworkPolicyRule.init)
            }
            guard errors.isEmpty, let pods, let egress else { throw errors.error }
            self.init(meta: meta, podSelector: pods, egress: egress)
        } catch { throw error.inside(.field("spec")) }
    }
}

extension FQDNNetworkPolicyRule {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        var errors = GatheredErrors()
        let fields = try Fields(value)
        errors.attempt { () throws(FieldError) in try fields.refuseOthers(than: ["matches", "ports"]) }
        let matches = errors.attempt { () throws(FieldError) in
            fields.hasUnreadable("matches")
                ? try fields.readableList("matches", Match.init) ?? []
                : try fields.nonEmptyList("matches", Match.init)
        }
        let ports = errors.attempt { () throws(FieldError) in
            try fields.readableList("ports", FQDNNetworkPolicyPort.init)
        }
        guard errors.isEmpty, let matches, let ports else { throw errors.error }
        self.init(matches: matches, ports: ports)
        // No list of ports is every port: where none can be read, the rule must admit nothing instead.
        if ports?.isEmpty == true, fields.hasUnreadable("ports") { self.matches = [] }
    }
}

extension FQDNNetworkPolicyRule.Match {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        try fields.requireOne(of: ["name", "pattern"])
        if let name = try fields.optional("name", Read.nonEmptyString) {
            self = .name(name)
        } else {
            self = .pattern(try fields.required("pattern", Read.nonEmptyString))
        }
    }
}

extension FQDNNetworkPolicyPort {
    /// What `protocol` may say.
    private enum Name: String, CaseIterable {
        case tcp = "TCP"
        case udp = "UDP"
        case all = "ALL"

        var ipProtocol: IPProtocol? {
            switch self {
            case .tcp: .tcp
            case .udp: .udp
            case .all: nil
            }
        }
    }

    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        // An item may be written as a bare dash: it is empty, and stands for everything.
        let fields = value.isNull ? Fields(ManifestObject()) : try Fields(value)
        try fields.refuseOthers(than: ["protocol", "port"])
        let name: Name = try fields.optional("protocol", Read.name) ?? .all
        self.init(protocol: name.ipProtocol, port: try fields.optional("port", Read.port))
    }
}

extension Fields {
    /// As `list`, of one entry or more: an empty one must not stand for everything.
    fileprivate func nonEmptyList<T>(_ name: String, _ read: Reader<T>) throws(FieldError) -> [T] {
        let entries = try list(name, read)
        if entries.isEmpty { throw FieldError("needs at least one entry").inside(.field(name)) }
        return entries
    }
}
