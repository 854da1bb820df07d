internal import Addressing

extension EndpointSlice {
    init(_ fields: Fields, meta: ObjectMeta) throws(FieldError) {
        let addressType: AddressType = try fields.required("addressType", Read.name)
        self.init(
            meta: meta, addressType: addressType,
            endpoints: try fields.list("endpoints") { (value) throws(FieldError) in
                try Endpoint(value, addressType: addressType)
            },
            ports: try fields.list("ports", EndpointPort.init))
    }
}

extension Endpoint {
    fileprivate init(_ value: ManifestValue, addressType: EndpointSlice.AddressType) throws(FieldError) {
        let fields = try Fields(value)
        self.init(
            addresses: try Self.addresses(fields, addressType),
            conditions: try fields.within("conditions", EndpointConditions.init),
            nodeName: try fields.optional("nodeName", Read.string),
            zone: try fields.optional("zone", Read.string),
            target: try fields.optional("targetRef", TargetReference.init))
        try fields.within("hints") { (hints) throws(FieldError) in
            zoneHints = try hints.list("forZones", Self.hint)
            nodeHints = try hints.list("forNodes", Self.hint)
        }
    }

    private static func addresses(
        _ fields: Fields, _ type: EndpointSlice.AddressType
    ) throws(FieldError) -> [IPAddress] {
        let addresses: [IPAddress?]
        switch type {
        case .ipv4: addresses = try fields.list("addresses", Read.address(of: .ipv4))
        case .ipv6: addresses = try fields.list("addresses", Read.address(of: .ipv6))
        case .fqdn: addresses = try fields.list("addresses", Self.hostName)
        }
        if addresses.isEmpty { throw FieldError("required").inside(.field("addresses")) }
        return addresses.compactMap { $0 }
    }

    /// A host name is checked to be text, and not kept.
    private static func hostName(_ value: ManifestValue) throws(FieldError) -> IPAddress? {
        _ = try Read.nonEmptyString(value)
        return nil
    }

    private static func hint(_ value: ManifestValue) throws(FieldError) -> String {
        try Fields(value).required("name", Read.nonEmptyString)
    }
}

extension EndpointConditions {
    fileprivate init(_ fields: Fields) throws(FieldError) {
        self.init(
            ready: try fields.optional("ready", Read.boolean),
            serving: try fields.optional("serving", Read.boolean),
            terminating: try fields.optional("terminating", Read.boolean))
    }
}

extension EndpointPort {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        self.init(
            name: try fields.optional("name", Read.string) ?? "",
            protocol: try fields.optional("protocol", Read.transport) ?? .tcp,
            port: try fields.optional("port", Read.port))
    }
}

extension TargetReference {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        self.init(
            kind: try fields.optional("kind", Read.string) ?? "",
            namespace: try fields.optional("namespace", Read.string) ?? "",
            name: try fields.optional("name", Read.string) ?? "",
            uid: try fields.optional("uid", Read.string) ?? "")
    }
}
