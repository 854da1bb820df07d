import Addressing
@testable import Datapath
import DatapathABI

/// Maps that hold a small node: two endpoints, three frontends, one policy.
final class ReaderWorld {
    let maps: ReaderMaps
    let connection = Raw.connection(opened: 1_000, seen: 4_000)

    init() throws {
        maps = try ReaderMaps()
        try writeEndpoints()
        try writeServices()
        try writePolicy()
    }

    func reader() throws -> DatapathReader { try DatapathReader(bpffs: maps.bpffs) }

    private func writeEndpoints() throws {
        var first = apus_endpoint()
        first.addresses = (Raw.address("10.1.0.1"), Raw.address("fd00::1"))
        (first.ifindex, first.identity, first.generation, first.ingress_policy) = (7, 17, 2, 0xc0ffee)
        first.flags = UInt32(APUS_ENDPOINT_CHECK_MAC.rawValue | APUS_ENDPOINT_REDIRECT.rawValue)
        (first.mac, first.host_mac) = ((10, 0, 0, 0, 0, 1), (10, 0, 0, 0, 0, 2))
        var second = apus_endpoint()
        second.addresses.0 = Raw.address("10.1.0.5")
        (second.ifindex, second.identity, second.generation, second.egress_policy) = (9, 18, 1, 0xc0ffee)
        var free = apus_endpoint()
        free.generation = 5
        try maps.write(.endpoints, UInt32(3), first)
        try maps.write(.endpoints, UInt32(5), second)
        try maps.write(.endpoints, UInt32(6), free)
        try maps.name(.endpoint(3), "shop/cart-1/uid-1")
        try maps.name(.endpoint(5), "no endpoint's name")
    }

    private func writeServices() throws {
        // Two backends in three slots, an index that is free, one that never was, and one of another protocol.
        for (slot, index) in [1, 2, 1, 3, 60_000, 4].enumerated() {
            try maps.write(.slots, UInt32(8 + slot), UInt32(index))
        }
        func backend(_ text: String, _ ipProtocol: UInt8, inUse: UInt32) -> apus_backend {
            apus_backend(
                address: Raw.address(text), port: UInt16(8080).bigEndian, protocol: ipProtocol, flags: 0,
                in_use: inUse)
        }
        try maps.write(.backends, UInt32(1), backend("10.1.0.2", 6, inUse: 1))
        try maps.write(.backends, UInt32(2), backend("10.1.0.3", 6, inUse: 1))
        try maps.write(.backends, UInt32(3), backend("10.1.0.4", 6, inUse: 0))
        try maps.write(.backends, UInt32(4), backend("10.1.0.4", 17, inUse: 1))
        try maps.write(.services, key("10.96.0.10"), service(first: 8, count: 6, id: 4, affinity: 5))
        try maps.write(.services, key("10.96.0.11"), apus_service())
        // More slots than there are: as a write in progress or a broken one leaves it.
        let broken = service(first: .max, count: .max, id: 9)
        try maps.write(.services, key("10.96.0.12"), broken)
        try maps.name(.service(4), "shop/cart/http")
        try maps.name(.service(9), "")
    }

    private func service(first: UInt32, count: UInt32, id: UInt32, affinity: UInt32 = 0) -> apus_service {
        apus_service(
            first_slot: first, slot_count: count, outside_first_slot: 0, outside_slot_count: 0, service: id, kind: 0,
            flags: 0, table_size: 0, affinity: affinity, affinity_seconds: affinity == 0 ? 0 : 600, source_ranges: 0)
    }

    private func key(_ text: String) -> apus_service_key {
        apus_service_key(
            address: Raw.address(text), port: UInt16(80).bigEndian, protocol: 6, padding: (0, 0, 0, 0, 0))
    }

    private func writePolicy() throws {
        let bits = { (word: UInt64) in apus_rule_bits(words: (word, 0, 0, 0)) }
        var first = apus_policy_page()
        (first.admin, first.network_policy, first.deny, first.pass) = (bits(3), bits(4), bits(1), bits(2))
        (first.page_count, first.flags) = (2, UInt32(APUS_POLICY_ISOLATES.rawValue))
        var second = apus_policy_page()
        second.baseline = bits(1)
        (second.page_count, second.flags) = (first.page_count, first.flags)
        try maps.write(.policyPages, apus_policy_page_key(policy: 0xc0ffee, page: 1), second)
        try maps.write(.policyPages, apus_policy_page_key(policy: 0xc0ffee, page: 0), first)
        // Beyond the last page that a policy can have: numbers of its rules would overflow.
        try maps.write(.policyPages, apus_policy_page_key(policy: 0xc0ffee, page: .max), first)
        try maps.name(.rule(policy: 0xc0ffee, 2), "NetworkPolicy/shop/web/ingress/0")
        try maps.name(.rule(policy: 0xc0ffee, APUS_RULE_ISOLATION), "NetworkPolicy/shop/web/ingress/isolation")
    }
}
