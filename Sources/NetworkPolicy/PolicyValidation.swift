internal import Addressing

/// Checks of what the API server would have refused; a file may hold anything.
enum PolicyValidation {
    static func problems(_ object: NetworkPolicyObject, _ name: PolicyName) -> [PolicyProblem] {
        var found = Findings(object: name, fields: object.invalidFields)
        found.check(object.podSelector, "spec.podSelector")
        for (direction, rules) in [("ingress", object.ingress), ("egress", object.egress)] {
            for (index, rule) in rules.enumerated() {
                let path = "spec.\(direction)[\(index)]"
                let peersPath = path + (direction == "ingress" ? ".from" : ".to")
                for (number, peer) in (rule.peers ?? []).enumerated() { found.check(peer, "\(peersPath)[\(number)]") }
                found.check(rule.ports ?? [], path)
            }
        }
        return found.problems.sorted()
    }

    static func problems(_ object: FQDNPolicyObject, _ name: PolicyName) -> [PolicyProblem] {
        var found = Findings(object: name, fields: object.invalidFields)
        found.check(object.podSelector, "spec.podSelector")
        for (index, rule) in object.egress.enumerated() {
            let path = "spec.egress[\(index)]"
            // What could not be read has its own problem.
            if rule.matches.isEmpty, found.problems.isEmpty { found.add("\(path).matches", "needs at least one name") }
            found.check(rule.ports ?? [], path)
            found.refuseNamedPorts(rule.ports ?? [], path)
        }
        return found.problems.sorted()
    }

    static func problems(_ object: ClusterPolicyObject, _ name: PolicyName) -> [PolicyProblem] {
        var found = Findings(object: name, fields: object.invalidFields)
        found.check(object.namespaceSelector, "spec.subject.namespaceSelector")
        found.check(object.podSelector, "spec.subject.podSelector")
        if object.tier == .networkPolicy { found.add("spec.tier", "must be Admin or Baseline") }
        if !(0...1000).contains(object.priority) { found.add("spec.priority", "must be 0 to 1000") }
        for (direction, rules) in [("ingress", object.ingress), ("egress", object.egress)] {
            for (index, rule) in rules.enumerated() {
                let path = "spec.\(direction)[\(index)]"
                let peersPath = path + (direction == "ingress" ? ".from" : ".to")
                if rule.peers.isEmpty { found.add(peersPath, "needs at least one peer") }
                for (number, peer) in rule.peers.enumerated() { found.check(peer, "\(peersPath)[\(number)]") }
                found.check(rule.ports ?? [], path)
                guard rule.peers.contains(where: \.isDomains) else { continue }
                if rule.action != .allow { found.add("\(path).action", "must be Accept in a rule with domainNames") }
                found.refuseNamedPorts(rule.ports ?? [], path)
            }
        }
        return found.problems.sorted()
    }
}

/// The problems found so far in one object.
private struct Findings {
    let object: PolicyName
    private(set) var problems: [PolicyProblem]

    init(object: PolicyName, fields: [InvalidField]) {
        self.object = object
        problems = fields.map { PolicyProblem(object: object, field: $0.field, message: $0.message) }
    }

    mutating func add(_ field: String, _ message: String) {
        problems.append(PolicyProblem(object: object, field: field, message: message))
    }

    mutating func check(_ selector: LabelSelector, _ path: String) {
        for (index, requirement) in selector.matchExpressions.enumerated() {
            let field = "\(path).matchExpressions[\(index)].values"
            switch requirement.comparison {
            case .isIn, .notIn:
                if requirement.values.isEmpty { add(field, "\(requirement.comparison.rawValue) needs values") }
            case .exists, .doesNotExist:
                if !requirement.values.isEmpty { add(field, "\(requirement.comparison.rawValue) takes no values") }
            }
        }
    }

    mutating func check(_ peer: PolicyPeer, _ path: String) {
        switch peer {
        case .pods(nil, nil):
            add(path, "needs a podSelector, a namespaceSelector or an ipBlock")
        case .pods(let namespaces, let pods):
            if let namespaces { check(namespaces, "\(path).namespaceSelector") }
            if let pods { check(pods, "\(path).podSelector") }
        case .addresses: break
        case .domains:
            if !path.hasPrefix("spec.egress") { add(path, "names can only be peers of egress rules") }
        case .block(let block, let except):
            for (index, exception) in except.enumerated()
            where !block.contains(exception) || exception.length == block.length {
                add("\(path).ipBlock.except[\(index)]", "\(exception) is not inside \(block)")
            }
        }
    }

    /// Behind a name there may be anything, and only pods have named ports.
    mutating func refuseNamedPorts(_ ports: [PortRule], _ path: String) {
        for (index, rule) in ports.enumerated() {
            if case .name = rule.ports { add("\(path).ports[\(index)].port", "only pods have named ports") }
        }
    }

    mutating func check(_ ports: [PortRule], _ path: String) {
        for (index, rule) in ports.enumerated() {
            let field = "\(path).ports[\(index)]"
            if !rule.ipProtocol.hasPorts { add("\(field).protocol", "must be TCP, UDP or SCTP") }
            switch rule.ports {
            case .any: break
            case .number(let number):
                if !(1...65535).contains(number) { add("\(field).port", "\(number) is not in 1 to 65535") }
            case .range(let first, let last):
                if !(1...65535).contains(first) { add("\(field).port", "\(first) is not in 1 to 65535") }
                if last < first || last > 65535 {
                    add("\(field).endPort", "\(last) is not in \(first) to 65535")
                }
            case .name(let name):
                if name.isEmpty { add("\(field).port", "is empty") }
            }
        }
    }
}
