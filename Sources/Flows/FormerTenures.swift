internal import Addressing

/// Which pods had addresses before, as far back as there is room: the oldest are forgotten first, and then nobody is named.
struct FormerTenures: Sendable {
    /// The time in which a pod had an address.
    struct Tenure: Sendable {
        var peer: Peer
        /// Nanoseconds of a clock that does not jump; the end is not part of it.
        var since: UInt64
        var until: UInt64
    }

    /// How many are remembered.
    static let limit = 4096

    private var ofAddress: [IPAddress: [Tenure]] = [:]
    /// The addresses whose oldest tenure goes next.
    private var order: [IPAddress] = []
    private var next = 0

    var isEmpty: Bool { ofAddress.isEmpty }

    mutating func note(_ tenure: Tenure, of address: IPAddress) {
        ofAddress[address, default: []].append(tenure)
        if order.count < Self.limit { return order.append(address) }
        forgetOldest(of: order[next])
        order[next] = address
        next = (next + 1) % Self.limit
    }

    /// The pod that had the address at a time, the one that came last where two seem to have had it.
    func tenure(of address: IPAddress, at time: UInt64) -> Tenure? {
        ofAddress[address]?.filter { $0.since <= time && time < $0.until }.max { $0.since < $1.since }
    }

    /// When the last of them ended; 0 where there was none.
    func lastEnd(of address: IPAddress) -> UInt64 { ofAddress[address]?.map(\.until).max() ?? 0 }

    private mutating func forgetOldest(of address: IPAddress) {
        guard var tenures = ofAddress[address], !tenures.isEmpty else { return }
        tenures.removeFirst()
        ofAddress[address] = tenures.isEmpty ? nil : tenures
    }
}

/// The pods of this node by the data path's numbers. A number is never given to another pod, so that the last ones stay
/// known when their pods are gone.
struct LocalPods: Sendable {
    private struct Pod: Sendable {
        let owner: PeerOwner
        let uid: String
    }

    /// Far more than a node has pods.
    static let limit = 16_384

    private var pods: [UInt32: Pod] = [:]
    /// Apart from what is asked seldom: a look at one costs a reference.
    private var peers: [UInt32: Peer] = [:]
    private var numbers: [PeerOwner: [UInt32]] = [:]
    private var order: [UInt32] = []
    private var next = 0

    func peer(_ number: UInt32) -> Peer? { peers[number] }

    mutating func note(_ number: UInt32, of owner: PeerOwner, uid: String, _ peer: Peer) {
        guard pods[number] == nil else { return }
        pods[number] = Pod(owner: owner, uid: uid)
        peers[number] = peer
        numbers[owner, default: []].append(number)
        if order.count < Self.limit { return order.append(number) }
        forget(order[next])
        order[next] = number
        next = (next + 1) % Self.limit
    }

    /// The pod's object says more of it, or something else.
    mutating func update(_ owner: PeerOwner, uid: String, _ peer: Peer) {
        for number in numbers[owner] ?? [] where pods[number]?.uid == uid { peers[number] = peer }
    }

    private mutating func forget(_ number: UInt32) {
        peers[number] = nil
        guard let owner = pods.removeValue(forKey: number)?.owner else { return }
        numbers[owner]?.removeAll { $0 == number }
        if numbers[owner]?.isEmpty == true { numbers[owner] = nil }
    }
}
