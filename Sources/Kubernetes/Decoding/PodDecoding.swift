internal import Addressing

extension Pod {
    init(_ fields: Fields, meta: ObjectMeta) throws(FieldError) {
        self.init(meta: meta)
        try fields.within("spec") { (spec) throws(FieldError) in
            let node = try spec.optional("nodeName", Read.string) ?? ""
            nodeName = node.isEmpty ? nil : node
            usesHostNetwork = try spec.optional("hostNetwork", Read.boolean) ?? false
            let containers = try spec.list("containers", Container.init)
            let sidecars = try spec.list("initContainers", Container.init).filter(\.restartsAlways)
            ports = (containers + sidecars).flatMap(\.ports)
        }
        try fields.within("status") { (status) throws(FieldError) in
            phase = try status.optional("phase", Read.name) ?? .pending
            addresses = try Self.addresses(status)
            isReady = try status.list("conditions", Condition.init).contains { $0.type == "Ready" && $0.isTrue }
        }
    }

    private static func addresses(_ status: Fields) throws(FieldError) -> [IPAddress] {
        let all = try status.list("podIPs") { (value) throws(FieldError) in
            try Fields(value).required("ip", Read.address)
        }
        if !all.isEmpty { return all }
        return try status.optional("podIP", Read.address).map { [$0] } ?? []
    }
}

private struct Container {
    let restartsAlways: Bool
    let ports: [ContainerPort]

    init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        restartsAlways = try fields.optional("restartPolicy", Read.string) == "Always"
        ports = try fields.list("ports", ContainerPort.init)
    }
}

extension ContainerPort {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        self.init(
            name: try fields.optional("name", Read.string) ?? "",
            protocol: try fields.optional("protocol", Read.transport) ?? .tcp,
            port: try fields.required("containerPort", Read.port))
    }
}

private struct Condition {
    let type: String
    let isTrue: Bool

    init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        type = try fields.required("type", Read.string)
        isTrue = try fields.required("status", Read.string) == "True"
    }
}
