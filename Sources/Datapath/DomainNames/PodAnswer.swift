internal import Addressing
internal import DatapathABI

/// An answer to a question of a pod, as far as it is to be learned. Which policies learn it, and under which patterns,
/// follows from those at the time when it is: they may be others by then.
struct PodAnswer: Sendable {
    struct Address: Hashable, Sendable {
        let address: IPAddress
        /// The first moment at which it does not count any more, in nanoseconds of the monotonic clock.
        let end: UInt64
    }

    /// What makes a later answer say all that an earlier one did, but for how long.
    struct Content: Hashable {
        let pod: EndpointReference
        let name: String
        let addresses: Set<IPAddress>
    }

    /// Who asked.
    let pod: EndpointReference
    /// Lower case, no trailing dot.
    let name: String
    /// When the answer came, in nanoseconds of the monotonic clock.
    let time: UInt64
    private(set) var addresses: [Address]

    var content: Content { Content(pod: pod, name: name, addresses: Set(addresses.map(\.address))) }

    /// Without the addresses that have ended; nil: all have.
    func lasting(at now: UInt64) -> PodAnswer? {
        var rest = self
        rest.addresses.removeAll { $0.end <= now }
        return rest.addresses.isEmpty ? nil : rest
    }

    /// The same, for as long as another one of the same content says where that is longer.
    func joined(with other: PodAnswer) -> PodAnswer {
        let ends = Dictionary(other.addresses.map { ($0.address, $0.end) }, uniquingKeysWith: max)
        var joined = self
        joined.addresses = addresses.map { Address(address: $0.address, end: max($0.end, ends[$0.address] ?? 0)) }
        return joined
    }

    /// What it teaches some policies at a time, in nanoseconds of the monotonic clock: by that the data path judges what
    /// else it holds has ended, which may be long after the answer came.
    func lesson(set: UInt32, policies: [UInt32], now: UInt64) -> NameLesson {
        let now = max(now, time)
        return NameLesson(
            name: name, set: set, time: now, policies: policies,
            addresses: addresses.map {
                apus_lesson_address(
                    address: apus_address($0.address), end_ns: $0.end, used_ns: now, judged: 0, padding: 0)
            })
    }
}
