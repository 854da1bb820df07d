internal import Kubernetes
internal import NetworkPolicy
internal import PolicyTranslation

/// A file of manifests.
public struct LintFile: Sendable, Hashable {
    public var name: String
    /// The text, or why it can't be read.
    public var content: Content

    /// What is in a file.
    public enum Content: Sendable, Hashable {
        case text([UInt8])
        case unreadable(String)
    }

    public init(name: String, content: Content) {
        self.name = name
        self.content = content
    }
}

/// Looks for mistakes in the policies of some manifests: what the manifests alone tell, without a cluster or a kernel.
public struct ManifestLint {
    private var objects: [ObjectKey: KubernetesObject] = [:]
    private var places: [ObjectKey: LintPlace] = [:]
    private var findings: [LintFinding] = []
    private var notes: [String] = []

    /// Checks the files together: what one names, another may have.
    public static func check(_ files: [LintFile]) -> LintReport {
        var lint = ManifestLint()
        for file in files { lint.read(file) }
        lint.checkPolicies()
        return LintReport(findings: lint.findings.sorted(by: LintFinding.precedes), notes: lint.notes)
    }

    private mutating func read(_ file: LintFile) {
        guard case .text(let bytes) = file.content else {
            if case .unreadable(let reason) = file.content {
                findings.append(LintFinding(.invalid, file: file.name, message: reason))
            }
            return
        }
        let manifest = Manifest(source: file.name, bytes: bytes)
        findings += manifest.diagnostics.compactMap { LintFinding($0) }
        for object in manifest.objects {
            let place = LintPlace(file: file.name, document: manifest.document(of: object.key))
            findings += ServerNames.remarks(object).map {
                place.finding(.refusedName, object.key, field: $0.field, message: $0.message)
            }
            if let first = places[object.key] {
                findings.append(
                    place.finding(
                        .duplicateObject, object.key,
                        message: "is ignored: \(first.text) has it already; delete one of them"))
            } else {
                places[object.key] = place
                objects[object.key] = object
            }
        }
    }

    private mutating func checkPolicies() {
        let ordered = objects.sorted { $0.key < $1.key }.map(\.value)
        var translation = PolicyInputs()
        let inputs = translation.apply(ordered.map(ObjectChange.upsert))
        let world = LintWorld(ordered, inputs)
        var compiler = PolicyCompiler(node: "")
        _ = compiler.apply(inputs)
        for problem in compiler.problems { add(.notEnforced, problem.object, problem.field, problem.message) }
        for object in ordered {
            if case .namespace(let namespace) = object, namespace.meta.isPolicyAudited {
                let message = "what policies would deny for its pods passes and is reported"
                add(.auditMode, object.key, LintedPolicy.auditField, message)
            }
            guard let policy = LintedPolicy(object) else { continue }
            for remark in policy.shapeRemarks + policy.matchRemarks(world) {
                add(remark.code, object.key, remark.field, remark.message)
            }
        }
        for remark in IdleRules(inputs.filter(isProvable)).remarks {
            add(remark.code, remark.policy, remark.field, remark.message)
        }
        notes = world.notes(
            hasPolicies: ordered.contains { LintedPolicy($0) != nil }, hasFindings: !findings.isEmpty)
    }

    /// Of a namespace that has pods and no object only the name is known: what is proved must hold with any labels.
    private func isProvable(_ input: PolicyInput) -> Bool {
        guard case .namespace(let name, _, _) = input else { return true }
        return objects[ObjectKey(.namespace, namespace: "", name: name)] != nil
    }

    private mutating func add(_ code: LintCode, _ policy: PolicyName, _ field: String, _ message: String) {
        guard let kind = ObjectKind(rawValue: policy.kind.rawValue) else { return }
        add(code, ObjectKey(kind, namespace: policy.namespace, name: policy.name), field, message)
    }

    private mutating func add(_ code: LintCode, _ key: ObjectKey, _ field: String, _ message: String) {
        guard let place = places[key] else { return }
        findings.append(place.finding(code, key, field: field, message: message))
    }
}

/// Where an object stands.
struct LintPlace {
    let file: String
    let document: Int?

    var text: String { file + (document.map { ", document \($0)" } ?? "") }

    func finding(_ code: LintCode, _ key: ObjectKey, field: String? = nil, message: String) -> LintFinding {
        LintFinding(
            code, file: file, document: document, object: key.description, field: field, message: message)
    }
}

/// Policies of other projects, and kinds that ClusterNetworkPolicy took the place of.
private enum OtherPolicies {
    private static let groups = [
        "policy.networking.k8s.io", "cilium.io", "projectcalico.org", "crd.projectcalico.org", "crd.antrea.io",
    ]

    /// - Parameter subject: `CiliumNetworkPolicy (cilium.io/v2)`.
    static func contain(_ subject: String) -> Bool {
        let words = subject.split(separator: " ")
        guard words.count == 2, words[0].hasSuffix("NetworkPolicy") else { return false }
        return groups.contains { words[1].hasPrefix("(\($0)/") }
    }
}

extension LintFinding {
    /// What is wrong with a document; nil for kinds that are not read and no policies.
    init?(_ diagnostic: SourceDiagnostic) {
        let code: LintCode
        switch diagnostic.problem {
        case .ignoredKind:
            guard let subject = diagnostic.subject, OtherPolicies.contain(subject) else { return nil }
            self.init(
                .kindNotRead, file: diagnostic.source, document: diagnostic.document, object: subject,
                message: "is not read by Apus: nothing of it is in force")
            return
        case .ignoredField: code = .unknownField
        case .duplicate: code = .duplicateObject
        case .unreadable, .syntax, .invalidObject, .unknownField, .closedPart: code = .invalid
        }
        self.init(
            code, file: diagnostic.source,
            document: diagnostic.document, object: diagnostic.key?.description ?? diagnostic.subject,
            field: diagnostic.fieldPath, message: diagnostic.message)
    }

    static func precedes(_ left: LintFinding, _ right: LintFinding) -> Bool {
        func key(_ finding: LintFinding) -> (String, Int, String, String, String) {
            (
                finding.file, finding.document ?? 0, finding.object ?? "", finding.field ?? "",
                finding.code.rawValue + finding.message
            )
        }
        return key(left) < key(right)
    }
}
