/// What a finding is about; the raw value is its code, which stays as it is.
public enum LintCode: String, Sendable, Codable, CaseIterable {
    /// A file, document or object can't be read.
    case invalid
    /// A policy has a domain name that can't be read, which would match nothing, or more rules than can be in force.
    case notEnforced = "not-enforced"
    /// A name or label that an API server refuses; from a directory it is in force.
    case refusedName = "refused-name"
    /// An object is there twice: the first one counts.
    case duplicateObject = "duplicate-object"
    /// A field that is none of the object's kind: it is ignored.
    case unknownField = "unknown-field"
    /// A policy of another kind than Apus reads.
    case kindNotRead = "kind-not-read"
    /// A rule is never asked, as an earlier one decides all that it matches.
    case unreachableRule = "unreachable-rule"
    /// None of a policy's rules is ever asked, as others of a higher tier, or of the same one by priority, decide all
    /// that they match.
    case shadowedPolicy = "shadowed-policy"
    /// A rule stands in the policy twice.
    case duplicateRule = "duplicate-rule"
    /// A rule of a NetworkPolicy allows nothing that another rule of the policy does not allow.
    case redundantRule = "redundant-rule"
    /// A policy selects no pod of the manifests.
    case selectsNoPod = "selects-no-pod"
    /// A peer is no pod, namespace or node of the manifests.
    case matchesNoPeer = "matches-no-peer"
    /// No pod that a rule is about has a port of that name.
    case unknownNamedPort = "unknown-named-port"
    /// An empty list of peers or ports, which admits every one.
    case emptyList = "empty-list"
    /// A rule without peers and ports, which admits everything.
    case admitsEverything = "admits-everything"
    /// Rules of a direction that `policyTypes` leaves out.
    case ignoredRules = "ignored-rules"
    /// A ClusterNetworkPolicy without rules.
    case noRules = "no-rules"
    /// An object is in audit mode: what it would deny passes.
    case auditMode = "audit-mode"
    /// Audit mode of a policy that denies nothing.
    case idleAudit = "idle-audit"

    /// Whether the manifests do something else than they say, or nothing at all.
    public var severity: LintSeverity {
        switch self {
        case .invalid, .notEnforced, .refusedName: .error
        default: .warning
        }
    }
}

/// How bad a finding is.
public enum LintSeverity: String, Sendable, Codable, CaseIterable {
    /// What is written is not what would be in force.
    case error
    /// What is written is in force, and may not be what was meant.
    case warning
}

/// Something that somebody should look at.
public struct LintFinding: Sendable, Hashable, Codable {
    public var severity: LintSeverity
    public var code: LintCode
    public var file: String
    /// The document in the file, counted from 1; nil when the whole file is meant.
    public var document: Int?
    /// `NetworkPolicy shop/web`; nil when there is no telling.
    public var object: String?
    /// The way to the field, `spec.ingress[0].from[1]`.
    public var field: String?
    /// What is wrong and what to do about it.
    public var message: String

    public init(
        _ code: LintCode, file: String, document: Int? = nil, object: String? = nil, field: String? = nil,
        message: String
    ) {
        severity = code.severity
        self.code = code
        self.file = file
        self.document = document
        self.object = object
        self.field = field
        self.message = message
    }
}

/// What a lint of some files came to.
public struct LintReport: Sendable, Hashable {
    /// The findings by file, document and field.
    public var findings: [LintFinding]
    /// What could not be checked, and why.
    public var notes: [String]

    public var errors: Int { findings.count { $0.severity == .error } }
    public var warnings: Int { findings.count { $0.severity == .warning } }
}
