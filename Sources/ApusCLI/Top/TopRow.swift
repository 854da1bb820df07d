internal import Foundation

/// What `apus flow top` tells at one time.
struct TopAnswer: Encodable, Sendable {
    enum CodingKeys: String, CodingKey {
        case by, rows, total
        case windowSeconds = "window_seconds"
        case spanNanoseconds = "span_ns"
        case lostRecords = "lost_records"
    }

    let by: TallyKey
    /// nil: all stored flows.
    let windowSeconds: Double?
    /// The time that the sums are of: from the first flow on, the window at most.
    let spanNanoseconds: UInt64
    let lostRecords: UInt64
    /// How many there are, those that are not shown included.
    let total: Int
    let rows: [TopRow]

    /// As one line of JSON.
    var line: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }
}

/// The sums of one pod, Service, name or reason.
struct TopRow: Encodable, Sendable {
    enum CodingKeys: String, CodingKey {
        case name, connections, denials, audits
        case sentBytes = "sent_bytes"
        case receivedBytes = "received_bytes"
    }

    let name: String
    let connections: UInt64
    let denials: UInt64
    let audits: UInt64
    let sentBytes: UInt64
    let receivedBytes: UInt64

    init(_ name: String, _ sums: FlowTally.Sums) {
        self.name = name
        (connections, denials, audits) = (sums.connections, sums.denials, sums.audits)
        (sentBytes, receivedBytes) = (sums.sent, sums.received)
    }
}
