internal import DatapathABI
internal import Wire

extension DatapathAnswer {
    /// An answer that the agent read, over a connection that the pod opened.
    init(_ response: DNSResponse, over record: ConnectionRecord, askedAt: UInt64, at time: UInt64) {
        self.init(
            time: time, latency: time > askedAt ? time - askedAt : 0, tuple: record.tuple, name: response.name,
            type: response.type.rawValue, code: response.code.rawValue)
        frontend = record.frontend
        client = record.source.endpoint
        egress = record.source.decision
        isTruncated = response.isTruncated
        let told = response.addresses.prefix(Self.addressLimit)
        addresses = told.map(\.address)
        addressCount = response.addresses.count
        lifetime = told.map(\.lifetime).min() ?? 0
    }
}

extension ConnectionRecord {
    /// The answered connection of a key; nil when it is not there any more.
    init?(_ key: apus_connection_key, _ value: apus_connection?) {
        guard let value, let record = try? ConnectionRecord(key, value, isHalfOpen: false) else { return nil }
        self = record
    }
}
