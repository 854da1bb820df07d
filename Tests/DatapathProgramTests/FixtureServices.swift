internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport

/// A Service with one frontend.
struct Service {
    let id: UInt32
    let frontend: SocketAddress
    let ipProtocol: IPProtocol
    /// The indexes of its backends.
    let backends: Range<UInt32>

    var key: apus_service_key {
        var key = apus_service_key()
        key.address = apus_address(frontend.address)
        key.port = frontend.port.bigEndian
        key.protocol = ipProtocol.rawValue
        return key
    }
}

extension DatapathFixture {
    /// Adds a Service in slots of its own; ids start at 1.
    ///
    /// - Parameter affinity: The id of the Service on all of whose ports a client keeps its backend; 0: it keeps none.
    @discardableResult
    func addService(
        _ frontend: SocketAddress, _ ipProtocol: IPProtocol = .tcp, to backends: [SocketAddress],
        flags: apus_service_flag? = nil,
        affinity: UInt32 = 0, seconds: UInt32 = 600
    ) throws -> Service {
        let first = UInt32(serviceSlots + 1)
        serviceSlots += backends.count
        for (offset, end) in backends.enumerated() {
            let index = first + UInt32(offset)
            let backend = apus_backend(
                address: apus_address(end.address), port: end.port.bigEndian, protocol: ipProtocol.rawValue, padding: 0,
                in_use: 1)
            try maps.backends.update(index, backend)
            try maps.slots.update(index, index)
        }
        let service = Service(
            id: first, frontend: frontend, ipProtocol: ipProtocol, backends: first..<first + UInt32(backends.count))
        let value = apus_service(
            first_slot: first, slot_count: UInt32(backends.count), service: first, kind: 0,
            flags: UInt8(flags?.rawValue ?? 0), padding: (0, 0), affinity: affinity, affinity_seconds: seconds)
        try maps.services.update(service.key, value)
        return service
    }

    func remove(_ service: Service) throws { try maps.services.delete(service.key) }
}
