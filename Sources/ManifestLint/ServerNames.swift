internal import Kubernetes

/// Names and labels that an API server refuses, and a directory of manifests does not.
///
/// The rules are those of Kubernetes for every object: RFC 1123 labels and subdomains, and qualified names for labels.
struct ServerNames {
    /// What is wrong with a field.
    struct Remark: Hashable {
        var field: String
        var message: String
    }

    /// What a server would refuse of an object.
    static func remarks(_ object: KubernetesObject) -> [Remark] {
        let meta = object.meta
        let name = object.kind.isNamedByLabel ? label(meta.name) : subdomain(meta.name)
        let own = [
            name.map { Remark(field: "metadata.name", message: $0) },
            meta.namespace.isEmpty
                ? nil : label(meta.namespace).map { Remark(field: "metadata.namespace", message: $0) },
        ]
        return own.compactMap { $0 } + labels(meta.labels, "metadata.labels") + selectors(object)
    }

    // MARK: Selectors

    /// Of kinds that a server knows by itself: what a CRD takes is no label to it.
    private static func selectors(_ object: KubernetesObject) -> [Remark] {
        guard case .networkPolicy(let policy) = object else { return [] }
        return selector(policy.podSelector, "spec.podSelector")
            + peers(policy.ingress ?? [], "spec.ingress", "from") + peers(policy.egress ?? [], "spec.egress", "to")
    }

    private static func peers(_ rules: [NetworkPolicyRule], _ list: String, _ way: String) -> [Remark] {
        rules.enumerated().flatMap { number, rule in
            (rule.peers ?? []).enumerated().flatMap { index, peer -> [Remark] in
                guard case .selectors(let pods, let namespaces) = peer else { return [] }
                let path = "\(list)[\(number)].\(way)[\(index)]"
                return (pods.map { selector($0, "\(path).podSelector") } ?? [])
                    + (namespaces.map { selector($0, "\(path).namespaceSelector") } ?? [])
            }
        }
    }

    private static func selector(_ selector: LabelSelector, _ path: String) -> [Remark] {
        let expressions = selector.matchExpressions.enumerated().flatMap { index, requirement -> [Remark] in
            let path = "\(path).matchExpressions[\(index)]"
            let values = requirement.values.enumerated().compactMap { place, text in
                value(text).map { Remark(field: "\(path).values[\(place)]", message: $0) }
            }
            return (key(requirement.key).map { [Remark(field: "\(path).key", message: $0)] } ?? []) + values
        }
        return labels(selector.matchLabels, "\(path).matchLabels") + expressions
    }

    private static func labels(_ labels: [String: String], _ path: String) -> [Remark] {
        labels.sorted { $0.key < $1.key }.flatMap { name, text -> [Remark] in
            let field = "\(path)[\"\(name)\"]"
            return [key(name), value(text)].compactMap { $0 }.map { Remark(field: field, message: $0) }
        }
    }

    // MARK: Forms

    private static func subdomain(_ text: String) -> String? {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        if text.utf8.count <= 253, labels.allSatisfy({ isLabel($0) }) { return nil }
        return refusal(
            text, "at most 253 lower-case letters, digits, '-' and '.', each part with a letter or digit at both ends")
    }

    private static func label(_ text: String) -> String? {
        if text.utf8.count <= 63, isLabel(text[...]) { return nil }
        return refusal(text, "at most 63 lower-case letters, digits and '-', a letter or digit at both ends")
    }

    private static func key(_ text: String) -> String? {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let isPrefixed = parts.count == 1 || subdomain(String(parts[0])) == nil
        if isPrefixed, let name = parts.last, !name.isEmpty, isLabelText(name) { return nil }
        return refusal(
            text,
            "a label's key: at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends, after a "
                + "domain name and '/' or none")
    }

    private static func value(_ text: String) -> String? {
        if isLabelText(text[...]) { return nil }
        return refusal(
            text, "a label's value: at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends")
    }

    private static func refusal(_ text: String, _ expected: String) -> String {
        let shown = text.count > 80 ? text.prefix(80) + "…" : text[...]
        return "expected \(expected), got \"\(shown)\": an API server refuses the object"
    }

    private static func isLabel(_ text: Substring) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last, isLower(first), isLower(last) else { return false }
        return bytes.allSatisfy { isLower($0) || $0 == UInt8(ascii: "-") }
    }

    private static func isLabelText(_ text: Substring) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last else { return true }
        let inner = Set("-_.".utf8)
        return bytes.count <= 63 && isAlphanumeric(first) && isAlphanumeric(last)
            && bytes.allSatisfy { isAlphanumeric($0) || inner.contains($0) }
    }

    private static func isLower(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isLower(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }
}

extension ObjectKind {
    /// Whether its names are labels; those of the others may have dots.
    fileprivate var isNamedByLabel: Bool {
        switch self {
        case .namespace, .service: true
        case .node, .endpointSlice, .pod, .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy, .networkLogging:
            false
        }
    }
}
