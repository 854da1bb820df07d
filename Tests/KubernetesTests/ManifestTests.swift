import Kubernetes
import Testing

@Suite("Documents and lists")
struct ManifestTests {
    static func pod(_ name: String) -> String { "{apiVersion: v1, kind: Pod, metadata: {name: \(name)}}" }

    static func names(_ manifest: Manifest) -> [String] { manifest.objects.map(\.key.name) }

    @Test("a broken document costs only itself, and the error has the line of the file")
    func brokenDocument() {
        let manifest = manifest(
            """
            # Two Pods and something broken
            apiVersion: v1
            kind: Pod
            metadata:
              name: a
            ---
            apiVersion: v1
            kind: Pod
            metadata:
              name: b
             labels: {}
            ---
            apiVersion: v1
            kind: Pod
            metadata:
              name: c
            """)
        #expect(Self.names(manifest) == ["a", "c"])
        #expect(manifest.diagnostics.map(\.problem) == [.syntax])
        #expect(
            manifest.diagnostics.map(\.description) == [
                "shop.yaml: document 2: line 11: while parsing a block mapping: did not find expected key"
            ])
    }

    @Test(
        "documents are counted as YAML counts them",
        arguments: [
            ("---\n\(pod("a"))\n---\n- x\n", 2), ("\(pod("a"))\n---\n# nothing\n---\n- x", 3),
            ("# head\n---\n- x", 1), ("\u{feff}---\r\n\(pod("a"))\r\n--- # next\r\n- x\r\n", 2),
            ("%YAML 1.2\n---\n- x\n...\n", 1), ("\(pod("a"))\n...\n- x", 2),
        ])
    func documentNumbers(text: String, number: Int) {
        let manifest = manifest(text)
        #expect(
            manifest.diagnostics.map(\.description) == ["shop.yaml: document \(number): expected an object, got a list"]
        )
    }

    @Test(
        "a text without documents has no objects and no errors",
        arguments: ["", "\n\n", "# only\n", "---\n---\n", "null", "~"])
    func empty(text: String) {
        let manifest = manifest(text)
        #expect(manifest.objects.isEmpty && manifest.diagnostics.isEmpty)
    }

    @Test("dashes inside a value do not end the document")
    func dashes() throws {
        let object = try onlyObject(
            """
            apiVersion: v1
            kind: Pod
            metadata:
              name: a
              annotations:
                x: |
                  ---
                  text
                y: '----'
            """
        )
        #expect(object.meta.annotations == ["x": "---\ntext\n", "y": "----"])
    }

    @Test("a List opens up, and an item's error does not cost the others")
    func list() {
        let manifest = manifest(
            """
            apiVersion: v1
            kind: List
            metadata: {resourceVersion: ""}
            items:
            - {apiVersion: v1, kind: Pod, metadata: {name: a}}
            - {apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {hostNetwork: 3}}
            - {apiVersion: v1, kind: Pod}
            - {apiVersion: v1, metadata: {name: c}}
            - nothing
            - {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Node, metadata: {name: node-a}}]}
            """)
        #expect(Self.names(manifest) == ["a", "node-a"])
        #expect(
            manifest.diagnostics.map(\.description) == [
                "shop.yaml: document 1: Pod default/b: spec.hostNetwork: expected true or false, got 3",
                "shop.yaml: document 1: Pod: items[2].metadata.name: required",
                "shop.yaml: document 1: items[3].kind: required",
                #"shop.yaml: document 1: items[4]: expected an object, got "nothing""#,
            ])
    }

    @Test(
        "a typed list gives its items their kind",
        arguments: [
            ("PodList", "v1", "Pod default/a"), ("NodeList", "v1", "Node a"),
            ("ServiceList", "v1", "Service default/a"),
            ("NamespaceList", "v1", "Namespace a"),
            ("NetworkPolicyList", "networking.k8s.io/v1", "NetworkPolicy default/a"),
        ])
    func typedList(kind: String, version: String, key: String) {
        let manifest = manifest("{kind: \(kind), apiVersion: \(version), items: [{metadata: {name: a}}]}")
        #expect(manifest.objects.map(\.key.description) == [key])
        #expect(manifest.diagnostics.isEmpty)
    }

    @Test("a list without items is empty", arguments: ["items: []", "items: null", "metadata: {}"])
    func emptyList(items: String) {
        let manifest = manifest("{apiVersion: v1, kind: List, \(items)}")
        #expect(manifest.objects.isEmpty && manifest.diagnostics.isEmpty)
    }

    @Test("kinds that are not read are told with their group; a Service of another group is one of them")
    func ignoredKinds() {
        let manifest = manifest(
            "{apiVersion: apps/v1, kind: Deployment}\n---\n{apiVersion: serving.knative.dev/v1, kind: Service}\n")
        #expect(
            manifest.diagnostics.map(\.description) == [
                "shop.yaml: document 1: Deployment (apps/v1): ignored, Apus does not read this kind",
                "shop.yaml: document 2: Service (serving.knative.dev/v1): ignored, Apus does not read this kind",
            ])
        #expect(manifest.diagnostics.allSatisfy { $0.isNotice })
    }

    @Test(
        "a field that the kind does not have is told, and the object is in force without it",
        arguments: [
            ("Pod", "metadata: {name: a, lables: {}}", "metadata.lables"),
            ("Pod", "metadata: {name: a}\nspec: {containers: [{name: x}, {nmae: x}]}", "spec.containers[1].nmae"),
            ("Pod", "metadata: {name: a}\nstatus: {podIPs: [{IP: 10.0.0.1, ip: 10.0.0.2}]}", "status.podIPs[0].IP"),
            ("Service", "metadata: {name: a}\nspec: {sesionAffinity: ClientIP}", "spec.sesionAffinity"),
            ("Service", "metadata: {name: a}\nspec: {ports: [{port: 1, prot: UDP}]}", "spec.ports[0].prot"),
            ("Node", "metadata: {name: a}\nspec: {podCidr: 10.0.0.0/24}", "spec.podCidr"),
            ("Namespace", "metadata: {name: a}\nlabels: {}", "labels"),
        ])
    func unknownFields(kind: String, body: String, field: String) throws {
        let manifest = manifest("apiVersion: v1\nkind: \(kind)\n\(body)\n")
        let key = try #require(manifest.objects.first?.key)
        #expect(
            manifest.diagnostics.map(\.description) == [
                "shop.yaml: document 1: \(key): \(field): is not known, and ignored"
            ])
        #expect(manifest.diagnostics.allSatisfy { $0.isNotice })
    }

    @Test("a field of an EndpointSlice, too")
    func unknownSliceField() {
        let slice = """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: a}
            addressType: IPv4
            endpoints: [{addresses: [10.0.0.1], condition: {ready: false}, hints: {forZone: []}}]
            """
        #expect(
            manifest(slice).diagnostics.map(\.fieldPath) == ["endpoints[0].condition", "endpoints[0].hints.forZone"])
    }

    @Test(
        "a misspelt kind is an error, and what was there stays",
        arguments: [
            ("networking.k8s.io/v1", "NetworkPolcy", "NetworkPolicy"), ("v1", "Servce", "Service"),
            ("networking.k8s.io/v1", "networkpolicy", "NetworkPolicy"),
            ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicies", nil), ("v1", "Secret", nil),
            ("networking.k8s.io/v1", "Ingress", nil), ("v1", "ServiceAccount", nil),
        ])
    func misspeltKind(apiVersion: String, kind: String, meant: String?) {
        let manifest = manifest("{apiVersion: \(apiVersion), kind: \(kind), metadata: {name: a}}\n")
        #expect(manifest.diagnostics.map(\.problem) == [meant == nil ? .ignoredKind : .invalidObject])
        guard let meant else { return }
        #expect(manifest.diagnostics.first?.fieldPath == "kind")
        #expect(manifest.diagnostics.first?.message == "is no kind of \(apiVersion): \(meant) may be meant")
    }

    @Test("of an object that is there twice the first one counts")
    func duplicates() {
        let manifest = manifest(
            """
            \(Self.pod("a"))
            ---
            {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {x: z}}}
            ---
            \(Self.pod("a"))
            """
        )
        #expect(manifest.objects.map(\.meta.labels) == [[:]])
        #expect(
            manifest.diagnostics.map(\.description) == [
                "shop.yaml: document 2: Pod default/a: ignored, document 1 has it already",
                "shop.yaml: document 3: Pod default/a: ignored, document 1 has it already",
            ])
    }

    @Test("a key that is there twice is an error")
    func duplicateKeys() {
        let manifest = manifest("kind: Pod\nkind: Node\n")
        #expect(
            manifest.diagnostics.map(\.description) == ["shop.yaml: document 1: line 1: key \"kind\" is there twice"])
    }

    @Test("anchors, aliases and merge keys work")
    func anchors() throws {
        let object = try onlyObject(
            """
            apiVersion: v1
            kind: Pod
            metadata:
              name: a
              labels: &labels {app: web, tier: front}
              annotations:
                <<: *labels
                tier: back
            """)
        #expect(object.meta.annotations == ["app": "web", "tier": "back"])
    }

    @Test("aliases that unfold without bound are an error")
    func aliasBomb() {
        var text = "a0: &a0 [x]\n"
        for level in 1...30 { text += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
        let manifest = manifest(text)
        #expect(manifest.diagnostics.first?.message.hasSuffix("the aliases unfold to too many values") == true)
    }

    @Test("text that is not UTF-8 is an error")
    func encoding() {
        let manifest = Manifest(source: "shop.yaml", bytes: [0x61, 0xff, 0x0a])
        #expect(manifest.diagnostics.map(\.description) == ["shop.yaml: not valid UTF-8"])
    }

    @Test("JSON values may follow each other, and JSON documents may be among YAML ones")
    func json() {
        let one = #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#
        let two = #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b\u00e9\ud83d\ude00"}}"#
        #expect(Self.names(manifest(one + "\n" + two, file: "x.json")) == ["a", "b\u{e9}\u{1f600}"])
        #expect(Self.names(manifest("\(one)\n---\n\(Self.pod("c"))\n---\n\(two)")) == ["a", "c", "b\u{e9}\u{1f600}"])
    }

    @Test("JSON and YAML errors of one object are the same")
    func sameErrors() {
        let text = #"{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":"http"}]}}"#
        let error = #"Service default/a: spec.ports[0].port: expected an integer from 1 to 65535, got "http""#
        #expect(manifest(text, file: "a.json").diagnostics.map(\.description) == ["a.json: document 1: \(error)"])
        #expect(manifest("# x\n" + text).diagnostics.map(\.description) == ["shop.yaml: document 1: \(error)"])
    }

    @Test(
        "a text that ends too early is an error of its last line",
        arguments: [
            ("{ unfinished: [\n", 1), ("{ unfinished: [", 1), ("a: 1\nb: {c: [1,\n\n\n", 2),
            ("a: 1\n---\na: 1\nb: \"open\n---\nc: 1\n", 4),
            (String(repeating: "# long enough that nothing is added\n", count: 3) + "kind: {", 4),
        ])
    func endsEarly(text: String, line: Int) {
        let messages = manifest(text).diagnostics.map(\.message)
        #expect(
            messages.contains { $0.hasPrefix("line \(line): ") && $0.hasSuffix(" (the text ends here)") }, "\(messages)"
        )
    }

    @Test("an error of JSON has the line, and costs only what follows")
    func jsonError() {
        let manifest = manifest(
            "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}\n{\"kind\":\n  oops}",
            file: "a.json")
        #expect(Self.names(manifest) == ["a"])
        #expect(manifest.diagnostics.map(\.description) == ["a.json: document 2: line 3: expected a value"])
    }
}
