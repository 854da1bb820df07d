/// What a runtime says in the plugin's environment.
package struct CNIEnvironment: Sendable, Hashable {
    package let command: CNICommand
    /// Empty where the command needs none.
    package let container: String
    package let interface: String
    /// The pod that the container is the sandbox of; nil where the runtime names none.
    package let pod: CNIPod?

    /// Reads the variables, of which the command says which have to be there.
    package init(_ variable: (String) -> String?) throws(CNIError) {
        let given = variable("CNI_COMMAND") ?? ""
        guard let command = CNICommand(rawValue: given) else {
            let known = CNICommand.allCases.map(\.rawValue).joined(separator: ", ")
            throw CNIError(.invalidEnvironment, "CNI_COMMAND is '\(given)': it has to be one of \(known)")
        }
        let missing = Self.required(by: command).filter { (variable($0) ?? "").isEmpty }
        guard missing.isEmpty else {
            throw CNIError(.invalidEnvironment, "\(missing.joined(separator: ", ")) missing: \(given) needs it")
        }
        self.command = command
        container = variable("CNI_CONTAINERID") ?? ""
        interface = variable("CNI_IFNAME") ?? ""
        if !container.isEmpty, !Self.isName(container) {
            throw CNIError(.invalidEnvironment, "CNI_CONTAINERID '\(container)' is not an id")
        }
        if !interface.isEmpty, !Self.isInterface(interface) {
            throw CNIError(.invalidEnvironment, "CNI_IFNAME '\(interface)' is not the name of an interface")
        }
        // What takes things away asks for no pod, and does not fail for what is said of one.
        let asksForPod = command == .add || command == .check
        pod = asksForPod ? try CNIPod(arguments: variable("CNI_ARGS") ?? "") : nil
        if command == .add, pod == nil {
            throw CNIError(
                .invalidEnvironment, "K8S_POD_NAME missing in CNI_ARGS: Apus connects pods only")
        }
    }

    private static func required(by command: CNICommand) -> [String] {
        switch command {
        case .add, .check: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]
        case .del: ["CNI_CONTAINERID", "CNI_IFNAME"]
        case .garbageCollect, .status, .version: []
        }
    }

    /// Whether a text may be the id of a container or the name of a network: a letter or digit, then also `_.-`.
    static func isName(_ text: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        guard let first = text.utf8.first, isAlphanumeric(first) else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || "_.-".utf8.contains($0) }
    }

    private static func isInterface(_ text: String) -> Bool {
        text.utf8.count < 16 && text != "." && text != ".."
            && text.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
    }
}

/// A pod as a runtime names it.
package struct CNIPod: Sendable, Hashable {
    package let namespace: String
    package let name: String
    /// Older runtimes leave it out.
    package let uid: String?

    package init(namespace: String, name: String, uid: String? = nil) {
        self.namespace = namespace
        self.name = name
        self.uid = uid
    }

    /// The pod in `CNI_ARGS`, `KEY=VALUE;KEY=VALUE`; other keys are not for us.
    init?(arguments: String) throws(CNIError) {
        var found: [Substring: String] = [:]
        for argument in arguments.split(separator: ";") {
            guard let sign = argument.firstIndex(of: "=") else {
                throw CNIError(.invalidEnvironment, "CNI_ARGS: '\(argument)' is not KEY=VALUE")
            }
            found[argument[..<sign]] = String(argument[argument.index(after: sign)...])
        }
        guard let name = found["K8S_POD_NAME"], !name.isEmpty else { return nil }
        let (namespace, uid) = (found["K8S_POD_NAMESPACE"] ?? "", found["K8S_POD_UID"] ?? "")
        // Podman knows no namespaces.
        self.init(namespace: namespace.isEmpty ? "default" : namespace, name: name, uid: uid.isEmpty ? nil : uid)
    }
}
