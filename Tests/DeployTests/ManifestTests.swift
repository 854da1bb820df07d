import Foundation
import Kubernetes
import TestSupport
import Testing

/// The objects that put Apus into a cluster.
@Suite struct DeployManifests {
    @Test func theKustomizationNamesEveryManifestOnce() throws {
        let folder = Deploy.root.appendingPathComponent("deploy/manifests").path
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0 != "kustomization.yaml" }
        #expect(try Deploy.resources().sorted() == files.sorted())
        for name in try Deploy.resources() {
            let object = Tree(try Deploy.object("deploy/manifests/\(name)"))
            #expect(object["apiVersion"].text != nil && object["metadata"]["name"].text?.isEmpty == false, "\(name)")
            #expect(object["kind"].text?.lowercased() == String(name.dropLast(5)), "\(name)")
        }
    }

    /// A right more is one too many, and a kind less is never followed.
    @Test func theRoleAllowsToReadWhatIsFollowedAndToWriteWhatIsReported() throws {
        var read: Set<String> = []
        var written: Set<String> = []
        for rule in try Deploy.manifest("clusterrole")["rules"].list {
            let names = rule["resources"].strings.flatMap { resource in
                rule["apiGroups"].strings.map { "\($0)/\(resource)" }
            }
            let verbs = rule["verbs"].strings
            if verbs == ["list", "watch"] {
                read.formUnion(names)
            } else {
                written.formUnion(names.map { "\($0) \(verbs.joined(separator: ","))" })
            }
            #expect(rule.keys == ["apiGroups", "resources", "verbs"])
        }
        let followed = ObjectKind.allCases.map { kind in
            let parts = kind.apiVersion.split(separator: "/")
            return "\(parts.count == 2 ? parts[0] : "")/\(kind.plural)"
        }
        #expect(read == Set(followed))
        #expect(written == ["/events create,patch", "/nodes/status patch"])
    }

    @Test func theDocumentedRoleIsTheOneThatIsDeployed() throws {
        let page = try Deploy.text("docs/api-server.md")
        let block = try #require(page.components(separatedBy: "```yaml\n").dropFirst().first)
        let documented = Tree(try Deploy.parse(block.components(separatedBy: "```")[0]))
        #expect(documented["rules"].canonical == (try Deploy.manifest("clusterrole"))["rules"].canonical)
    }

    /// What nodes of other clusters than GKE's need to know NetworkLogging by.
    @Test func theDefinitionOfNetworkLoggingIsOfTheKindThatIsRead() throws {
        let definition = Tree(try Deploy.object("deploy/crds/networklogging.yaml"))
        let (spec, kind) = (definition["spec"], ObjectKind.networkLogging)
        #expect(definition["metadata"]["name"].text == "\(kind.plural).\(spec["group"].text ?? "")")
        #expect(spec["names"]["kind"].text == kind.rawValue && spec["names"]["plural"].text == kind.plural)
        #expect(spec["scope"].text == (kind.isNamespaced ? "Namespaced" : "Cluster"))
        #expect("\(spec["group"].text ?? "")/\(spec["versions"][0]["name"].text ?? "")" == kind.apiVersion)
        let schema = spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["cluster"]
        #expect(schema["properties"].keys == ["allow", "deny"])
        for choice in ["allow", "deny"] {
            #expect(schema["properties"][choice]["properties"].keys == ["delegate", "log"])
        }
    }

    @Test func theRoleIsGivenToTheAgentsAccountAndNobodyElse() throws {
        let binding = try Deploy.manifest("clusterrolebinding")
        let account = try Deploy.manifest("serviceaccount")["metadata"]
        #expect(binding["roleRef"]["name"].text == (try Deploy.manifest("clusterrole"))["metadata"]["name"].text)
        #expect(binding["subjects"].list.count == 1)
        let subject = binding["subjects"][0]
        #expect(subject["kind"].text == "ServiceAccount" && subject["name"].text == account["name"].text)
        #expect(subject["namespace"].text == account["namespace"].text)
        let pod = try Deploy.manifest("daemonset")["spec"]["template"]["spec"]
        #expect(pod["serviceAccountName"].text == account["name"].text)
    }

    @Test func everythingIsInTheNamespaceThatIsMade() throws {
        let namespace = try Deploy.manifest("namespace")["metadata"]
        #expect(namespace["labels"]["pod-security.kubernetes.io/enforce"].text == "privileged")
        for name in ["serviceaccount", "configmap", "daemonset"] {
            let place = try Deploy.manifest(name)["metadata"]["namespace"].text
            #expect(place == namespace["name"].text, "\(name)")
        }
    }

    /// The variables and flags that manifests set are those of the agent that is built here.
    @Test func whatIsSetIsWhatTheAgentKnows() async throws {
        let help = try await run([try BuiltProducts.path(of: "apusd"), "--help"], within: .seconds(300)).output
        let container = try Deploy.manifest("daemonset")["spec"]["template"]["spec"]["containers"][0]
        for argument in container["args"].strings {
            let flag = argument.prefix { $0 != "=" }
            #expect(help.contains("\(flag) <"), "\(flag)")
        }
        let variables = container["env"].list.compactMap { $0["name"].text }
        let settings = (try Deploy.manifest("configmap"))["data"].keys.filter { $0.hasPrefix("APUS_") }
        #expect(variables == ["APUS_NODE"] && settings.count == 13)
        for variable in variables + settings {
            #expect(help.contains("[\(variable)]") || help.contains("[\(variable);"), "\(variable)")
        }
        let others = (try Deploy.manifest("configmap"))["data"].keys.filter { !$0.hasPrefix("APUS_") }
        #expect(others == ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
    }
}
