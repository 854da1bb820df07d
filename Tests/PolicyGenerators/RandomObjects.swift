internal import Addressing
internal import Kubernetes

/// Random objects of each kind but the policies.
extension RandomSource {
    mutating func namespace(_ name: String) -> Namespace {
        // The API server writes the label with the name; manifests written by hand may lack it.
        var labels = chance(50) ? ["kubernetes.io/metadata.name": name] : [:]
        for (label, values) in Pools.namespaceLabels where chance(60) { labels[label] = values.pick(&self) }
        return Namespace(meta: ObjectMeta(name: name, labels: labels))
    }

    mutating func node(_ number: Int) -> Node {
        var addresses = [NodeAddress(.internalIP, IPAddress(v4: 0xc0a8_0000 + UInt32(number)))]
        if chance(70) { addresses.append(NodeAddress(.internalIP, IPAddress(high: 0xfd01 << 48, low: UInt64(number)))) }
        if chance(30) { addresses.append(NodeAddress(.externalIP, IPAddress(v4: 0xcb00_7100 + UInt32(number)))) }
        var labels: [String: String] = [:]
        for (label, values) in Pools.nodeLabels where chance(60) { labels[label] = values.pick(&self) }
        return Node(meta: ObjectMeta(name: "n\(number)", labels: labels), addresses: addresses)
    }

    /// A pod; one that has ended may keep an address that is another's by now.
    mutating func pod(_ number: Int) -> Pod {
        let namespace = Pools.namespaces[number % Pools.namespaces.count]
        var pod = Pod(meta: ObjectMeta(name: "pod\(number)", namespace: namespace, uid: "\(roll(3))"))
        for (label, values) in Pools.podLabels where chance(70) { pod.meta.labels[label] = values.pick(&self) }
        pod.phase = [.running, .running, .running, .running, .pending, .succeeded, .failed, .unknown].pick(&self)
        pod.usesHostNetwork = chance(8)
        pod.nodeName = chance(75) ? ObjectGenerator.node : "n2"
        if chance(90) { pod.addresses = Pools.podAddresses(pod.isFinished ? roll(14) : number, families()) }
        if pod.phase == .pending, chance(30) { (pod.nodeName, pod.addresses) = (nil, []) }
        pod.ports = Pools.portNames.flatMap { name in chance(60) ? ports(named: name) : [] }
        if chance(20) { pod.ports.append(ContainerPort(port: 80)) }
        return pod
    }

    /// One port, or two: containers may give one name to several.
    private mutating func ports(named name: String) -> [ContainerPort] {
        (0...(chance(20) ? 1 : 0)).map { _ in
            ContainerPort(
                name: name, protocol: [.tcp, .tcp, .udp, .sctp].pick(&self), port: Pools.containerPorts.pick(&self))
        }
    }
}

/// Random selectors.
extension RandomSource {
    /// The pods that a policy is about.
    mutating func subjectSelector() -> LabelSelector { chance(35) ? LabelSelector() : podSelector() }

    mutating func podSelector() -> LabelSelector { chance(10) ? LabelSelector() : selector(Pools.podLabels) }

    mutating func namespaceSelector() -> LabelSelector {
        if chance(15) { return LabelSelector() }
        let name = (key: "kubernetes.io/metadata.name", values: Pools.namespaces)
        return selector(Pools.namespaceLabels + [name])
    }

    mutating func nodeSelector() -> LabelSelector { chance(20) ? LabelSelector() : selector(Pools.nodeLabels) }

    private mutating func selector(_ labels: [(key: String, values: [String])]) -> LabelSelector {
        var result = LabelSelector()
        for _ in 0...roll(2) {
            let (key, values) = labels.pick(&self)
            switch roll(8) {
            case 0: result.matchExpressions.append(LabelRequirement(key: key, operator: .in, values: some(of: values)))
            case 1:
                result.matchExpressions.append(LabelRequirement(key: key, operator: .notIn, values: some(of: values)))
            case 2: result.matchExpressions.append(LabelRequirement(key: key, operator: .exists))
            case 3: result.matchExpressions.append(LabelRequirement(key: key, operator: .doesNotExist))
            default: result.matchLabels[key] = values.pick(&self)
            }
        }
        return result
    }
}
