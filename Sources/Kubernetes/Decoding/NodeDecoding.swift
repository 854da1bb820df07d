internal import Addressing

extension Node {
    init(_ fields: Fields, meta: ObjectMeta) throws(FieldError) {
        self.init(
            meta: meta,
            addresses: try fields.within("status") { (status) throws(FieldError) in
                try status.list("addresses", NodeAddress.read).compactMap { $0 }
            },
            podCIDRs: try fields.within("spec", Self.podCIDRs),
            taints: try fields.within("spec") { (spec) throws(FieldError) in
                try spec.list("taints") { (value) throws(FieldError) in
                    try Fields(value).required("key", Read.nonEmptyString)
                }
            })
        networkIsUnavailable = try fields.within("status") { (status) throws(FieldError) in
            try status.list("conditions", Self.networkCondition).lazy.compactMap { $0 }.first
        }
    }

    /// Whether a condition says that there is no network; nil for others, and when it says that nobody knows.
    private static func networkCondition(_ value: ManifestValue) throws(FieldError) -> Bool? {
        let fields = try Fields(value)
        guard try fields.required("type", Read.string) == "NetworkUnavailable" else { return nil }
        switch try fields.required("status", Read.string) {
        case "True": return true
        case "False": return false
        default: return nil
        }
    }

    private static func podCIDRs(_ spec: Fields) throws(FieldError) -> [CIDR] {
        let ranges = try spec.list("podCIDRs", Read.cidr)
        if !ranges.isEmpty { return ranges }
        return try spec.optional("podCIDR", Read.cidr).map { [$0] } ?? []
    }
}

extension NodeAddress {
    /// The address, nil for host and DNS names.
    fileprivate static func read(_ value: ManifestValue) throws(FieldError) -> NodeAddress? {
        let fields = try Fields(value)
        let type = try fields.required("type", Read.string)
        guard let kind = Kind(rawValue: type) else { return nil }
        return NodeAddress(kind, try fields.required("address", Read.address))
    }
}
