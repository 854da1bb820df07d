import Kubernetes
import Testing

@Suite("The state of a directory")
struct DirectoryStateTests {
    static func pod(_ name: String, _ version: Int = 1) -> String {
        "{apiVersion: v1, kind: Pod, metadata: {name: \(name), labels: {version: '\(version)'}}}\n---\n"
    }

    static func file(_ name: String, _ texts: String...) -> FileChange {
        .content(name: name, bytes: Array(texts.joined().utf8))
    }

    /// The events as short texts: `+a1` for Pod a in version 1, `-a`, and diagnostics in full.
    static func words(_ events: [SourceEvent]) -> [String] {
        events.flatMap { event in
            switch event {
            case .changes(let changes): changes.map(words)
            case .diagnostic(let diagnostic): [diagnostic.description]
            case .synced: ["synced"]
            case .forgiven(let source): ["forgiven \(source)"]
            case .resolved(let diagnostic): ["resolved \(diagnostic)"]
            case .standing(let kind, let standing): ["\(kind): \(standing)"]
            }
        }
    }

    static func words(_ change: ObjectChange) -> String {
        switch change {
        case .upsert(let object): "+\(object.meta.name)\(object.meta.labels["version"] ?? "")"
        case .delete(let key): "-\(key.name)"
        }
    }

    /// A state after some files, whose events do not matter.
    static func state(_ changes: FileChange...) -> DirectoryState {
        var state = DirectoryState()
        _ = state.apply(changes)
        return state
    }

    @Test("files come as one batch, sorted by kind and name")
    func firstRead() {
        var state = DirectoryState()
        let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n"
        let events = state.apply([
            Self.file("b.yaml", Self.pod("c"), Self.pod("a")), Self.file("a.yaml", Self.pod("b"), namespace),
        ])
        #expect(events.count == 1)
        #expect(Self.words(events) == ["+shop", "+a1", "+b1", "+c1"])
    }

    @Test("a namespace whose audit mode is wrong is there from the first read on, with its labels, and told")
    func closedNamespace() {
        func namespace(_ value: String) -> FileChange {
            let meta = "{name: shop, labels: {version: '1'}, annotations: {apus.dev/policy-audit: '\(value)'}}"
            return Self.file("a.yaml", "{apiVersion: v1, kind: Namespace, metadata: \(meta)}\n")
        }
        var state = DirectoryState()
        let words = Self.words(state.apply([namespace("yes")]))
        #expect(words.contains("+shop1") && words.count == 2)
        #expect(words.contains { $0.hasSuffix("what it denies is denied, not audited") }, "\(words)")
        // What was in audit mode is not any more: nobody can tell whether it was meant to be.
        _ = state.apply([namespace("true")])
        let closed = state.apply([namespace("on")])
        guard case .changes(let changes) = closed.first(where: { if case .changes = $0 { true } else { false } }) else {
            Issue.record("no change: \(closed)")
            return
        }
        guard case .upsert(let object) = changes.first else {
            Issue.record("no namespace: \(changes)")
            return
        }
        #expect(!object.meta.isPolicyAudited)
    }

    @Test("the same text is no event, and its errors are not told again")
    func sameText() {
        let file = Self.file("a.yaml", Self.pod("a"), "oops\n")
        var state = Self.state(file)
        #expect(state.apply([file]).isEmpty)
    }

    @Test("another text with the same objects is no event")
    func sameObjects() {
        var state = Self.state(Self.file("a.yaml", Self.pod("a"), Self.pod("b")))
        #expect(state.apply([Self.file("a.yaml", "# new order\n", Self.pod("b"), Self.pod("a"))]).isEmpty)
    }

    @Test("a new text tells only what differs, deletions first")
    func difference() {
        var state = Self.state(Self.file("a.yaml", Self.pod("a"), Self.pod("b"), Self.pod("d")))
        let events = state.apply([Self.file("a.yaml", Self.pod("a"), Self.pod("b", 2), Self.pod("c"))])
        #expect(Self.words(events) == ["-d", "+b2", "+c1"])
    }

    @Test("a file that goes takes its objects along")
    func removedFile() {
        var state = Self.state(Self.file("a.yaml", Self.pod("a"), Self.pod("b")), Self.file("b.yaml", Self.pod("c")))
        #expect(Self.words(state.apply([.removed(name: "a.yaml")])) == ["-a", "-b"])
        #expect(state.objects.keys.map(\.name) == ["c"])
        #expect(state.apply([.removed(name: "a.yaml")]).isEmpty)
    }

    @Test("an object that moves to another file is no event")
    func movedObject() {
        var state = Self.state(Self.file("a.yaml", Self.pod("a")))
        #expect(state.apply([.removed(name: "a.yaml"), Self.file("b.yaml", Self.pod("a"))]).isEmpty)
        #expect(state.apply([Self.file("a.yaml", Self.pod("a")), Self.file("b.yaml", "")]).isEmpty)
        #expect(Self.words(state.apply([Self.file("a.yaml"), Self.file("c.yaml", Self.pod("a", 2))])) == ["+a2"])
    }

    @Test("of two files with one object the first by name counts, and the other is told once")
    func duplicate() {
        var state = Self.state(Self.file("b.yaml", Self.pod("a", 2)))
        let told = "b.yaml: Pod default/a: ignored, a.yaml has it already"
        #expect(Self.words(state.apply([Self.file("a.yaml", Self.pod("a", 1))])) == ["+a1", told])
        #expect(state.apply([Self.file("b.yaml", Self.pod("a", 3))]).isEmpty)
        #expect(Self.words(state.apply([Self.file("a.yaml", Self.pod("a", 2))])) == ["+a2"])
        #expect(Self.words(state.apply([Self.file("a.yaml")])) == ["resolved \(told)", "+a3"])
        #expect(Self.words(state.apply([Self.file("a.yaml", Self.pod("a", 1))])) == ["+a1", told])
        #expect(Self.words(state.apply([.removed(name: "b.yaml")])) == ["resolved \(told)"])
    }

    @Test("what is there three times is told of the file that counts now")
    func threefold() {
        func told(_ file: String, _ first: String) -> String {
            "\(file).yaml: Pod default/a: ignored, \(first).yaml has it already"
        }
        var state = DirectoryState()
        let files = ["a", "b", "c"].map { Self.file("\($0).yaml", Self.pod("a")) }
        #expect(Self.words(state.apply(files)) == ["+a1", told("b", "a"), told("c", "a")])
        #expect(
            Self.words(state.apply([.removed(name: "a.yaml")])) == [
                "resolved \(told("b", "a"))", "resolved \(told("c", "a"))", told("c", "b"),
            ])
        #expect(Self.words(state.apply([.removed(name: "c.yaml")])) == ["resolved \(told("c", "b"))"])
    }

    @Test("an object that is twice in one file is told until the file has it once")
    func duplicateInOneFile() {
        var state = DirectoryState()
        let told = "a.yaml: document 2: Pod default/a: ignored, document 1 has it already"
        #expect(Self.words(state.apply([Self.file("a.yaml", Self.pod("a"), Self.pod("a", 2))])) == ["+a1", told])
        #expect(Self.words(state.apply([Self.file("a.yaml", Self.pod("a"))])) == ["forgiven a.yaml"])
    }

    @Test("a diagnostic names the objects whose last good version is kept")
    func kept() {
        func kept(_ events: [SourceEvent]) -> [[String]] {
            events.compactMap { event in
                guard case .diagnostic(let diagnostic) = event else { return nil }
                return diagnostic.keptKeys.map(\.name).sorted()
            }
        }
        let wrong = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: 1}}\n---\n"
        var state = Self.state(Self.file("a.yaml", Self.pod("a"), Self.pod("b"), Self.pod("c")))
        #expect(kept(state.apply([Self.file("a.yaml", wrong, "{oops\n---\n", Self.pod("c"))])) == [["a"], ["a", "b"]])
        #expect(kept(state.apply([.unreadable(name: "a.yaml", reason: "odd")])) == [["a", "b", "c"]])
        #expect(kept(state.apply([Self.file("a.yaml", wrong)])) == [["a"]])
        #expect(kept(state.apply([Self.file("z.yaml", wrong)])) == [[]], "nothing of this file was in force")
    }

    @Test("an object that has become wrong keeps its last good version; the others of the file go on")
    func wrongObject() {
        var state = Self.state(Self.file("a.yaml", Self.pod("a"), Self.pod("b"), Self.pod("c")))
        let wrong = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: 1}}\n---\n"
        let error = "Pod default/a: spec.nodeName: expected a string, got 1 (put it in quotes)"
        #expect(
            Self.words(state.apply([Self.file("a.yaml", wrong, Self.pod("b", 2))])) == [
                "-c", "+b2", "a.yaml: document 1: \(error) (the last good version stays in force)",
            ])
        #expect(Self.words(state.apply([Self.file("a.yaml", Self.pod("b", 2))])) == ["forgiven a.yaml", "-a"])
        #expect(Self.words(state.apply([Self.file("a.yaml", wrong)])) == ["-b", "a.yaml: document 1: \(error)"])
    }

    @Test("a document that can't be read keeps all that the file had; its good documents go on")
    func brokenDocument() {
        var state = Self.state(Self.file("a.yaml", Self.pod("a"), Self.pod("b")))
        let events = state.apply([Self.file("a.yaml", "{oops\n---\n", Self.pod("b", 2), Self.pod("c"))])
        let words = Self.words(events)
        #expect(words.prefix(2) == ["+b2", "+c1"])
        #expect(words.count == 3 && words[2].hasPrefix("a.yaml: document 1: line "))
        #expect(words[2].hasSuffix("(the last good version stays in force)"))
        #expect(Self.words(state.apply([Self.file("a.yaml", Self.pod("b", 2))])) == ["forgiven a.yaml", "-a", "-c"])
    }

    @Test("a file that can't be read keeps its objects, and is told once")
    func unreadable() {
        var state = Self.state(Self.file("a.yaml", Self.pod("a")))
        let change = FileChange.unreadable(name: "a.yaml", reason: "can't be read: Permission denied")
        #expect(
            Self.words(state.apply([change])) == [
                "a.yaml: can't be read: Permission denied (the last good version stays in force)"
            ])
        #expect(state.apply([change]).isEmpty)
        #expect(Self.words(state.apply([Self.file("a.yaml", Self.pod("a"))])) == ["forgiven a.yaml"])
        #expect(Self.words(state.apply([change])).count == 1)
    }

    @Test("a kind that is not read is told once for all files")
    func ignoredKind() {
        let deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}\n---\n"
        var state = DirectoryState()
        let events = state.apply([Self.file("a.yaml", deployment, deployment), Self.file("b.yaml", deployment)])
        #expect(
            Self.words(events) == ["a.yaml: document 1: Deployment (apps/v1): ignored, Apus does not read this kind"])
        #expect(state.apply([Self.file("c.yaml", deployment)]).isEmpty)
    }

    @Test("a field that is not known is told once for all objects of its kind")
    func ignoredField() {
        func service(_ name: String, _ port: Int) -> String {
            "{apiVersion: v1, kind: Service, metadata: {name: \(name)}, spec: {ports: [{port: \(port), prot: UDP}]}}\n"
        }
        var state = DirectoryState()
        let events = state.apply([Self.file("a.yaml", service("a", 1)), Self.file("b.yaml", service("b", 1))])
        #expect(
            Self.words(events).filter { $0.contains("not known") } == [
                "a.yaml: document 1: Service default/a: spec.ports[0].prot: is not known, and ignored"
            ])
        #expect(!Self.words(state.apply([Self.file("a.yaml", service("a", 2))])).contains { $0.contains("not known") })
    }

    @Test("after any history the state is that of a fresh read, and so is what the events add up to", arguments: 0..<60)
    func randomHistory(seed: Int) {
        var random = SplitMix(state: UInt64(seed))
        var state = DirectoryState()
        var files: [String: String] = [:]
        var listener: [ObjectKey: KubernetesObject] = [:]
        for step in 0..<40 {
            // Only good texts at the end: what a wrong one keeps in force depends on the history, and shall.
            let changes = Self.randomChanges(&files, isLast: step == 39, &random)
            for case .changes(let batch) in state.apply(changes) {
                #expect(Set(batch.map(\.key)).count == batch.count)
                for change in batch { Self.take(change, into: &listener) }
            }
            #expect(listener == state.objects)
        }
        var fresh = DirectoryState()
        _ = fresh.apply(files.map { .content(name: $0.key, bytes: Array($0.value.utf8)) })
        #expect(state.objects == fresh.objects)
    }

    private static func take(_ change: ObjectChange, into objects: inout [ObjectKey: KubernetesObject]) {
        switch change {
        case .upsert(let object):
            #expect(objects[object.key] != object, "an upsert must bring something new")
            objects[object.key] = object
        case .delete(let key):
            #expect(objects.removeValue(forKey: key) != nil, "only what exists can be deleted")
        }
    }

    private static func randomChanges(
        _ files: inout [String: String], isLast: Bool, _ random: inout SplitMix
    ) -> [FileChange] {
        ["a.yaml", "b.yaml", "c.yml", "d.json"].compactMap { name in
            let dice = Int.random(in: 0..<10, using: &random)
            if !isLast, dice < 4 { return nil }
            if !isLast, dice == 4 { return .unreadable(name: name, reason: "odd") }
            if dice == 5 {
                files[name] = nil
                return .removed(name: name)
            }
            var text = (0..<Int.random(in: 0..<5, using: &random)).map { _ in
                pod("pod-\(Int.random(in: 0..<6, using: &random))", Int.random(in: 0..<3, using: &random))
            }.joined()
            if !isLast, dice == 6 { text += "{apiVersion: v1, kind: Pod, metadata: {name: pod-1}, spec: 1}\n" }
            if !isLast, dice == 7 { text = "[oops\n---\n" + text }
            files[name] = text
            return .content(name: name, bytes: Array(text.utf8))
        }
    }
}

/// A small generator that gives the same numbers for the same seed (splitmix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
