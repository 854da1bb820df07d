import Foundation

/// Changes that fall due a hundred times a second, for some seconds: how a soak changes a policy.
///
/// The long form, that of `APUS_SOAK_SECONDS`, is about the rate: it tries 130 a second, so that one that came
/// late is made up for, and `FlipCount.isOnTime` says whether 100 a second were made. The short form makes as many,
/// however long they take: a machine that does something else meanwhile is no failure.
public struct FlipSchedule: Sendable {
    public static let perSecond = 100
    /// No part of the 32 ms that the kernel rounds TCP's timers to: else a connection's retransmissions would all come
    /// while the policy denies, until it gives up.
    private static let pace = Duration.microseconds(7_700)

    public let seconds: Int
    /// Whether the rate is part of what is tested.
    public let isTimed: Bool

    /// - Parameter seconds: how long the short form is; `APUS_SOAK_SECONDS` asks for the long one.
    public init(seconds: Int) {
        let long = ProcessInfo.processInfo.environment["APUS_SOAK_SECONDS"].flatMap(Int.init)
        self.seconds = long ?? seconds
        isTimed = long != nil
    }

    /// How many changes fall due.
    public var due: Int { Self.perSecond * seconds }

    /// Makes changes until the seconds are over and all that fell due were made. Their number is even, so that a policy
    /// that goes back and forth ends as it began.
    ///
    /// - Parameter flip: makes a change, the first has the number 1, and returns when it is in force.
    public func run(
        isolation: isolated (any Actor)? = #isolation, _ flip: (Int) async throws -> Void
    ) async throws -> FlipCount {
        let clock = ContinuousClock()
        let start = clock.now
        let end = start + .seconds(seconds)
        var count = FlipCount(schedule: self)
        while count.made < due || clock.now < end || !count.made.isMultiple(of: 2) {
            try await flip(count.made + 1)
            count.made += 1
            if clock.now <= end { count.onTime += 1 }
            try await clock.sleep(until: start + Self.pace * count.made)
        }
        return count
    }
}

/// The changes that were in force.
public struct FlipCount: Sendable, CustomStringConvertible {
    public let schedule: FlipSchedule
    /// All of them, and those that were in force before the schedule's seconds were over.
    public fileprivate(set) var made = 0
    public fileprivate(set) var onTime = 0

    /// Whether as many as fell due were made in the schedule's seconds; the short form asks for no time.
    public var isOnTime: Bool { schedule.isTimed ? onTime >= schedule.due : made >= schedule.due }

    public var description: String {
        "\(onTime) changes in force within \(schedule.seconds) s, of \(schedule.due) that fell due, \(made) in all"
    }
}
