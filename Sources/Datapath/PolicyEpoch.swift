internal import DatapathABI

/// Which of the values counts that pointers to policies and classes have in the kernel, one for each epoch.
///
/// A change is written for the next epoch, of which no packet reads anything, and then the number of the epoch: all of
/// it comes into force at once.
struct PolicyEpoch: Sendable {
    static let count = Int(APUS_EPOCHS)
    static let all = 0..<count

    /// The one that packets read from now on.
    private(set) var current = 0
    /// Former ones, which packets may still read that came before it was changed, each with the number of the wait for
    /// those packets; 0: none has begun.
    private(set) var inUse: [Int: UInt64] = [:]
    /// When all values are to be made equal, so that nothing of former epochs stays; nil: they are.
    private(set) var settleDue: UInt64?
    /// Whether somebody else has changed the number in the kernel.
    var isMisplaced = false

    /// The one that a change is written for.
    var next: Int { (current + 1) % Self.count }

    /// Whether packets may still read what is to be written.
    var mustWait: Bool { inUse[next] != nil }

    /// The wait after which no packet reads the next epoch or, with `all`, any former one; 0: one has to begin; nil:
    /// none is needed.
    func wait(all: Bool) -> UInt64? {
        let numbers = all ? Array(inUse.values) : inUse[next].map { [$0] } ?? []
        return numbers.contains(0) ? 0 : numbers.max()
    }

    /// Takes over what the kernel holds. Packets may be on their way in any epoch.
    mutating func adopt(_ number: UInt32) {
        current = Int(number) % Self.count
        inUse = Dictionary(uniqueKeysWithValues: Self.all.filter { $0 != current }.map { ($0, 0) })
        settleDue = 0
    }

    /// The next one is in force, and a wait for the packets of the former one has begun.
    mutating func advance(wait: UInt64, settleBy due: UInt64) {
        inUse[current] = wait
        current = next
        inUse[current] = nil
        settleDue = due
    }

    /// A wait has ended: no packet is on its way any more that came in an epoch which was over when it began.
    mutating func endWait(_ number: UInt64) { inUse = inUse.filter { $0.value > number } }

    /// A wait has failed: another one has to begin.
    mutating func failWait() { inUse = inUse.mapValues { _ in 0 } }

    /// Says when the values are to be made equal.
    mutating func settle(by due: UInt64) { settleDue = due }

    /// Every value is the one in force.
    mutating func becomeSettled() { settleDue = nil }

    /// The values to write: what is in force stays, what packets may still read, too, and all others are those wanted.
    func values<Value>(inForce: Value, wanted: Value, former: (Int) -> Value) -> [Value] {
        Self.all.map { $0 == current ? inForce : inUse[$0] != nil ? former($0) : wanted }
    }
}

extension apus_endpoint {
    /// What judges the endpoint's traffic in an epoch.
    subscript(epoch: Int) -> apus_endpoint_epoch {
        get {
            withUnsafeBytes(of: epochs) {
                $0.load(fromByteOffset: epoch * Self.epochSize, as: apus_endpoint_epoch.self)
            }
        }
        set {
            withUnsafeMutableBytes(of: &epochs) {
                $0.storeBytes(of: newValue, toByteOffset: epoch * Self.epochSize, as: apus_endpoint_epoch.self)
            }
        }
    }

    private static var epochSize: Int { MemoryLayout<apus_endpoint_epoch>.size }

    /// Has the same judge it in every epoch.
    mutating func setEpochs(_ value: apus_endpoint_epoch) {
        epochs = (value, value, value, value)
    }

    // Of an endpoint that is the same in every epoch.

    /// What its live connections were judged under; setting it sets it in every epoch.
    var generation: UInt32 {
        get { epochs.0.generation }
        set { for epoch in PolicyEpoch.all { self[epoch].generation = newValue } }
    }

    /// The policy for what enters; setting it sets it in every epoch.
    var ingress_policy: UInt32 {
        get { epochs.0.ingress_policy }
        set { for epoch in PolicyEpoch.all { self[epoch].ingress_policy = newValue } }
    }

    /// The policy for what leaves; setting it sets it in every epoch.
    var egress_policy: UInt32 {
        get { epochs.0.egress_policy }
        set { for epoch in PolicyEpoch.all { self[epoch].egress_policy = newValue } }
    }
}

extension apus_peer {
    /// The same in every epoch.
    init(_ value: apus_peer_epoch) { self.init(epochs: (value, value, value, value)) }

    /// What an address is in an epoch.
    subscript(epoch: Int) -> apus_peer_epoch {
        [epochs.0, epochs.1, epochs.2, epochs.3][epoch]
    }
}

extension apus_peer_epoch {
    /// Whether it is as if there were no entry.
    var isAbsent: Bool { flags & UInt32(APUS_PEER_ABSENT.rawValue) != 0 }
}

extension apus_prefix_peer {
    /// The same in every epoch.
    init(_ classID: UInt32) { self.init(classes: (classID, classID, classID, classID)) }

    /// The class in an epoch.
    subscript(epoch: Int) -> UInt32 { [classes.0, classes.1, classes.2, classes.3][epoch] }
}
