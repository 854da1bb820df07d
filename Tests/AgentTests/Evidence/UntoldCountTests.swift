import Datapath
import Testing

@testable import Agent

@Suite struct UntoldCounts {
    /// What was due before a look and told after it, what waited, and what counts as untold then.
    static let looks: [(what: String, looks: [(due: UInt64, told: UInt64, waiting: UInt64)], total: UInt64)] = [
        ("nothing is missing", [(10, 4, 6), (20, 20, 0)], 0),
        ("one look alone may have missed what moved", [(10, 4, 5), (20, 20, 0)], 0),
        ("two looks agree", [(10, 4, 5), (20, 19, 0)], 1),
        ("the lesser of two counts", [(10, 0, 5), (20, 18, 0), (20, 11, 0)], 2),
        ("it never falls", [(10, 0, 0), (10, 0, 0), (10, 10, 0), (10, 10, 0)], 10),
        ("more is told than is known to be due", [(10, 15, 5), (10, 15, 5), (20, 25, 0)], 0),
    ]

    @Test(arguments: looks.indices)
    func whatIsDueAndNeitherToldNorWaitsIsUntold(row: Int) {
        var count = UntoldCount()
        for look in Self.looks[row].looks {
            let taken = look.told / 3
            count.note(
                before: .init(due: look.due, told: 0, taken: 0),
                after: .init(due: look.due + 100, told: look.told - taken, taken: taken), waiting: look.waiting)
        }
        #expect(count.total == Self.looks[row].total, "\(Self.looks[row].what)")
    }
}
