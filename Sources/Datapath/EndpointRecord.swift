internal import Addressing
internal import DatapathABI
internal import NetworkPolicy

/// One endpoint slot that is in use: what is wanted and what the kernel holds.
struct EndpointRecord: Sendable {
    /// Who it is; nil for a slot found without a readable name.
    var name: EndpointIdentityName?
    /// What is wanted, except the generation.
    var wanted: apus_endpoint
    /// What the kernel holds; nil while nothing was written.
    var actual: apus_endpoint?
    /// The generation must change once the policies are in place.
    var needsGeneration = false
    /// Whether the policies were assigned by an edit; adopted ones were not.
    var hasPolicies = false
    /// Whether an edit asked for it since the start.
    var isClaimed = true

    /// The record to write before the generation changes.
    var next: apus_endpoint {
        var next = wanted
        next.generation = actual?.generation ?? 1
        return next
    }

    /// Whether the kernel holds something else, leaving the generation aside.
    var isDirty: Bool { actual.map { Bytes(of: $0) != Bytes(of: next) } ?? true }

    var isJudged: Bool { wanted.ingress_policy != 0 || wanted.egress_policy != 0 }

    var addresses: [IPAddress] { wanted.addressList }
}

extension apus_endpoint {
    /// The addresses that are there.
    var addressList: [IPAddress] {
        [addresses.0, addresses.1].filter { !$0.isAbsent }.map(\.address)
    }

    var policies: EndpointPolicies {
        get { EndpointPolicies(ingress: PolicyID(rawValue: ingress_policy), egress: PolicyID(rawValue: egress_policy)) }
        set {
            ingress_policy = newValue.ingress.rawValue
            egress_policy = newValue.egress.rawValue
        }
    }

    /// Takes the link and the addresses from a specification; identity and policies stay.
    mutating func take(_ spec: EndpointSpec) {
        let present = spec.addresses.prefix(Int(APUS_ENDPOINT_ADDRESSES)).map { apus_address($0) }
        addresses = (present.first ?? apus_address(), present.dropFirst().first ?? apus_address())
        ifindex = spec.interface
        flags = 0
        if spec.mac != nil { flags |= UInt32(APUS_ENDPOINT_CHECK_MAC.rawValue) }
        if spec.canRedirect { flags |= UInt32(APUS_ENDPOINT_REDIRECT.rawValue) }
        mac = (spec.mac ?? MACAddress(bits: 0)).octets
        host_mac = spec.hostMAC.octets
    }
}
