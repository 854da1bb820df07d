internal import Addressing
internal import DomainNames
import Testing

@Suite("Learned names")
struct LearnedNamesTests {
    private static let second: UInt64 = 1_000_000_000
    private let first = IPAddress(v4: 0x0a00_0001)
    private let second = IPAddress(v4: 0x0a00_0002)
    private let third = IPAddress(v4: 0x0a00_0003)

    private func table(capacity: Int = 100) -> LearnedNames { LearnedNames(.init(capacity: capacity)) }

    struct Lifetime: Sendable, CustomTestStringConvertible {
        let seconds: UInt32
        let counted: UInt64

        var testDescription: String { "\(seconds) s" }
    }

    @Test(
        "An answer counts for its lifetime or the floor, and the grace, to the nanosecond",
        arguments: [
            Lifetime(seconds: 0, counted: 10), Lifetime(seconds: 4, counted: 10), Lifetime(seconds: 6, counted: 11),
            Lifetime(seconds: 300, counted: 305), Lifetime(seconds: .max, counted: UInt64(UInt32.max) + 5),
        ])
    func lifetimes(row: Lifetime) {
        var names = table()
        let now: UInt64 = 77
        #expect(names.learn("a.com", first, lifetime: row.seconds, at: now) == .added)
        let end = now + row.counted * Self.second
        #expect(names.names(of: first, at: end - 1) == ["a.com"])
        #expect(names.names(of: first, at: end) == [])
    }

    @Test("Times near the end of the clock do not wrap around")
    func lateTimes() {
        var names = table()
        _ = names.learn("a.com", first, lifetime: .max, at: .max - 10)
        #expect(names.names(of: first, at: .max - 1) == ["a.com"])
    }

    @Test("An address has the names of all its answers, each for its own lifetime")
    func severalNames() {
        var names = table()
        _ = names.learn("b.com", first, lifetime: 10, at: 0)
        _ = names.learn("a.com", first, lifetime: 100, at: 0)
        _ = names.learn("a.com", second, lifetime: 100, at: 0)
        #expect(names.names(of: first, at: 1) == ["a.com", "b.com"])
        #expect(names.names(of: first, at: 20 * Self.second) == ["a.com"])
        #expect(names.heldNames(of: first) == ["a.com", "b.com"])
        #expect(names.names(of: third, at: 1) == [])
    }

    @Test("A shorter answer does not end a longer one")
    func renewal() {
        var names = table()
        _ = names.learn("a.com", first, lifetime: 100, at: 0)
        #expect(names.learn("a.com", first, lifetime: 5, at: Self.second) == .renewed)
        #expect(names.names(of: first, at: 104 * Self.second) == ["a.com"])
        #expect(names.learn("a.com", first, lifetime: 100, at: 104 * Self.second) == .renewed)
        #expect(names.names(of: first, at: 208 * Self.second) == ["a.com"])
        #expect(names.count == 1)
    }

    @Test("Full, what has ended goes first, then what was not used for the longest time")
    func eviction() {
        var names = table(capacity: 3)
        _ = names.learn("a.com", first, lifetime: 1_000, at: 0)
        _ = names.learn("b.com", second, lifetime: 5, at: 0)
        _ = names.learn("c.com", third, lifetime: 1_000, at: 0)
        let later = 60 * Self.second
        #expect(names.learn("d.com", second, lifetime: 1_000, at: later) == .added)
        #expect(names.losses == losses(expired: 1))
        #expect(names.heldNames(of: second) == ["d.com"])
        #expect(names.use(first, at: later) == ["a.com"])
        #expect(names.learn("e.com", second, lifetime: 1_000, at: later) == .added)
        #expect(names.heldNames(of: third) == [])
        #expect(names.heldNames(of: first) == ["a.com"])
        #expect(names.losses == losses(expired: 1, unused: 1))
    }

    @Test("What is live is never removed, ended or not, and a table of it takes no more")
    func live() {
        var names = table(capacity: 2)
        _ = names.learn("a.com", first, lifetime: 1, at: 0)
        names.setLive(first, true)
        let later = 60 * Self.second
        #expect(names.removeExpired(at: later) == 0)
        #expect(names.names(of: first, at: later) == [])
        #expect(names.heldNames(of: first) == ["a.com"])
        // A name that is learned for a live address is as safe.
        _ = names.learn("b.com", first, lifetime: 1, at: later)
        #expect(names.learn("c.com", second, lifetime: 1, at: later * 2) == .full)
        #expect(names.losses == losses(refused: 1))
        names.setLive(first, false)
        #expect(names.learn("c.com", second, lifetime: 1, at: later * 2) == .added)
        #expect(names.losses == losses(expired: 2, refused: 1))
        #expect(names.heldNames(of: first) == [])
    }

    @Test("An address that nothing is held for cannot be live")
    func unknownIsNotLive() {
        var names = table(capacity: 1)
        names.setLive(first, true)
        _ = names.learn("a.com", first, lifetime: 1_000, at: 0)
        #expect(names.learn("b.com", second, lifetime: 1_000, at: 0) == .added)
    }

    @Test("A full table in which pairs end all the time takes the ended ones first, and counts both")
    func churn() {
        let capacity = 2_000
        var names = table(capacity: capacity)
        let step = 30 * Self.second / UInt64(capacity)
        for number in 0..<40_000 {
            let lifetime = UInt32(number * 7_919 % 60)
            _ = names.learn("a", IPAddress(v4: UInt32(number)), lifetime: lifetime, at: UInt64(number) * step)
        }
        #expect(names.losses.expired > 10_000 && names.losses.unused > 100, "\(names.losses)")
    }

    @Test("A table of no capacity refuses everything")
    func noCapacity() {
        var names = table(capacity: 0)
        #expect(names.learn("a.com", first, lifetime: 1, at: 0) == .full)
    }

    private func losses(expired: Int = 0, unused: Int = 0, refused: Int = 0) -> [Int] { [expired, unused, refused] }
}

private func == (left: LearnedNames.Losses, right: [Int]) -> Bool {
    [left.expired, left.unused, left.refused] == right
}
