internal import Addressing
internal import LoadBalancing

/// What it takes to make the table of one Service.
public enum MaglevCost {
    /// The places of the tables that are made: the usual number.
    public static let size = MaglevTable.defaultSize

    /// The median time for a table of so many backends.
    public static func measure(backends count: Int) -> Duration {
        let backends = (0..<count).map { number in
            Backend(address: SocketAddress(IPAddress(v4: 0x0af4_0000 + UInt32(number)), 8080))
        }
        let clock = ContinuousClock()
        var filled = 0
        let times = (0..<101).map { _ in
            clock.measure { filled += MaglevTable(backends, size: size).places.count }
        }
        precondition(filled == 101 * size, "a table has all its places")
        return times.sorted()[50]
    }
}
