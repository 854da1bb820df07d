internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport

extension DatapathFixture {
    /// Adds a pod: 10.244.1.N and fd00::N for the Nth, unless other addresses are given.
    ///
    /// - Parameter policies: What judges its traffic; 0 is no policy.
    @discardableResult
    func addPod(_ addresses: [String]? = nil, ingress: UInt32 = 0, egress: UInt32 = 0) throws -> Pod {
        let slot = UInt32(pods.count + 1)
        let texts = addresses ?? ["10.244.1.\(slot)", "fd00::\(String(slot, radix: 16))"]
        return try addPod(texts.map { ip($0) }, ingress: ingress, egress: egress)
    }

    @discardableResult
    func addPod(_ addresses: [IPAddress], ingress: UInt32 = 0, egress: UInt32 = 0) throws -> Pod {
        let slot = UInt32(pods.count + 1)
        let pod = Pod(
            slot: slot, addresses: addresses, mac: MACAddress(bits: 0x0a58_0af4_0100 + UInt64(slot)),
            hostMAC: MACAddress(bits: 0xeeee_eeee_0000 + UInt64(slot)))
        try setEndpoint(of: pod) {
            $0.ingress_policy = ingress
            $0.egress_policy = egress
        }
        for address in addresses { try maps.endpointAddresses.update(apus_address(address), slot) }
        pods.append(pod)
        return pod
    }

    /// Changes the endpoint of a pod.
    func setEndpoint(of pod: Pod, _ change: (inout apus_endpoint) -> Void) throws {
        var endpoint = try maps.endpoints.lookup(pod.slot, as: apus_endpoint.self) ?? apus_endpoint()
        if endpoint.ifindex == 0 { endpoint = Self.endpoint(of: pod) }
        change(&endpoint)
        try maps.endpoints.update(pod.slot, endpoint)
    }

    /// Lets the pod's live connections be judged again.
    func bumpGeneration(of pod: Pod) throws { try setEndpoint(of: pod) { $0.generation += 1 } }

    /// Frees the pod's slot and forgets its addresses.
    func remove(_ pod: Pod) throws {
        for address in pod.addresses { try maps.endpointAddresses.delete(apus_address(address)) }
        try maps.endpoints.update(pod.slot, apus_endpoint())
    }

    private static func endpoint(of pod: Pod) -> apus_endpoint {
        var endpoint = apus_endpoint()
        endpoint.addresses.0 = pod.addresses.first.map { apus_address($0) } ?? .none
        endpoint.addresses.1 = pod.addresses.count > 1 ? apus_address(pod.addresses[1]) : .none
        endpoint.ifindex = 1
        endpoint.identity = 1000 + pod.slot
        endpoint.generation = 1
        endpoint.flags = APUS_ENDPOINT_CHECK_MAC.rawValue | APUS_ENDPOINT_REDIRECT.rawValue
        withUnsafeMutableBytes(of: &endpoint.mac) { $0.copyBytes(from: pod.mac.bytes) }
        withUnsafeMutableBytes(of: &endpoint.host_mac) { $0.copyBytes(from: pod.hostMAC.bytes) }
        return endpoint
    }
}

// MARK: - Connections

/// A connection and the map that it is in.
struct FoundConnection {
    let isInHalfOpenMap: Bool
    let entry: apus_connection

    var isHalfOpen: Bool { entry.has(APUS_CONNECTION_UNANSWERED) }
}

extension DatapathFixture {
    /// The connection that a packet belongs to.
    func connection(of packet: Packet) throws -> FoundConnection? {
        guard let tuple = PacketView(packet.bytes)?.connectionTuple else { return nil }
        let key = apus_connection_key(tuple)
        if let entry = try maps.connections.lookup(key, as: apus_connection.self) {
            return FoundConnection(isInHalfOpenMap: false, entry: entry)
        }
        return try maps.halfOpen.lookup(key, as: apus_connection.self).map {
            FoundConnection(isInHalfOpenMap: true, entry: $0)
        }
    }

    /// Lets the last packet of an answered connection lie further back.
    func age(_ packet: Packet, seconds: UInt64) throws {
        guard let tuple = PacketView(packet.bytes)?.connectionTuple else { return }
        let key = apus_connection_key(tuple)
        guard var entry = try maps.connections.lookup(key, as: apus_connection.self) else { return }
        entry.last_seen_ns -= seconds * Self.second
        try maps.connections.update(key, entry)
    }

    /// The number of connections, answered or not.
    func connectionCount() throws -> Int {
        try maps.connections.keys(as: apus_connection_key.self).count
            + maps.halfOpen.keys(as: apus_connection_key.self).count
    }

    func forgetConnections() throws {
        try maps.connections.clear(apus_connection_key.self)
        try maps.halfOpen.clear(apus_connection_key.self)
    }
}

extension PacketView {
    /// The tuple under which the data path keeps the packet's connection: an echo's identifier stands for the port of the
    /// end that asks.
    var connectionTuple: FlowTuple? {
        guard var tuple = tuple else { return nil }
        if let icmpType, let icmpRest {
            if icmpType == 8 || icmpType == 128 { tuple.source.port = Port(icmpRest >> 16) }
            if icmpType == 0 || icmpType == 129 { tuple.destination.port = Port(icmpRest >> 16) }
        }
        return tuple
    }
}
