import Addressing
import Synchronization
import Testing

/// A protocol and a family that a row is shown in.
struct ServiceVariant: Hashable, Sendable, CustomStringConvertible {
    let ipProtocol: IPProtocol
    let isIPv4: Bool

    static let tcp = of(.tcp)
    static let udp = of(.udp)
    static let sctp = of(.sctp)
    /// What a row is shown in that says nothing else.
    static let all = tcp + udp
    /// The columns of the table, in their order: those that some row is shown in.
    static let columns = (all + of(.sctp)).filter { variant in
        ServiceRow.allCases.contains { $0.variants.contains(variant) }
    }

    private static func of(_ ipProtocol: IPProtocol) -> [ServiceVariant] {
        [true, false].map { ServiceVariant(ipProtocol: ipProtocol, isIPv4: $0) }
    }

    var description: String { "\(ipProtocol) v\(isIPv4 ? 4 : 6)" }
}

/// What a test has seen of the rows that it declares.
final class ServiceSightings: Sendable {
    @TaskLocal static var current: ServiceSightings?

    let rows: [ServiceRow]
    private let state = Mutex(State())

    private struct State {
        var seen: [ServiceRow: Set<ServiceVariant>] = [:]
        var hasFailed = false
    }

    init(_ rows: [ServiceRow]) { self.rows = rows }

    func see(_ row: ServiceRow, _ variant: ServiceVariant) {
        state.withLock { _ = $0.seen[row, default: []].insert(variant) }
    }

    func fail() { state.withLock { $0.hasFailed = true } }

    var hasFailed: Bool { state.withLock { $0.hasFailed } }

    func seen(of row: ServiceRow) -> Set<ServiceVariant> { state.withLock { $0.seen[row] ?? [] } }
}

extension ServiceRow {
    /// Says that the test has made the row's exchange, once it has looked at how it went. A test that doesn't declare
    /// the row fails.
    func seen(_ ipProtocol: IPProtocol, isIPv4: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
        guard let current = ServiceSightings.current, current.rows.contains(self) else {
            Issue.record("'\(rawValue)' is seen, but not declared by .shows(.\(self))", sourceLocation: sourceLocation)
            return
        }
        current.see(self, ServiceVariant(ipProtocol: ipProtocol, isIPv4: isIPv4))
    }

    /// The same, of the family of the address that was asked.
    func seen(_ ipProtocol: IPProtocol, at address: IPAddress, sourceLocation: SourceLocation = #_sourceLocation) {
        seen(ipProtocol, isIPv4: address.isIPv4, sourceLocation: sourceLocation)
    }

    func seen(_ path: EchoPath, sourceLocation: SourceLocation = #_sourceLocation) {
        seen(path.ipProtocol, isIPv4: path.family == 0, sourceLocation: sourceLocation)
    }

    func seen(_ question: OutsideQuestion, sourceLocation: SourceLocation = #_sourceLocation) {
        seen(question.ipProtocol, isIPv4: question.isIPv4, sourceLocation: sourceLocation)
    }
}

/// Rows of the table of Services that a test shows, in all their variants: one that it does not show fails it.
struct ServiceRowsTrait: TestTrait, TestScoping {
    let rows: [ServiceRow]

    /// One scope for all arguments of a test, which together show the variants.
    func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? { testCase == nil ? self : nil }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let sightings = ServiceSightings(rows)
        defer { ServiceRowTable.shared.add(sightings) }
        let listening = IssueHandlingTrait.compactMapIssues { issue in
            sightings.fail()
            return issue
        }
        try await ServiceSightings.$current.withValue(sightings) {
            try await listening.provideScope(for: test, testCase: testCase, performing: function)
        }
        guard !sightings.hasFailed else { return }
        for row in rows {
            let missing = row.variants.filter { !sightings.seen(of: row).contains($0) }
            guard !missing.isEmpty else { continue }
            sightings.fail()
            Issue.record("'\(row.rawValue)' was not exercised by \(missing)", sourceLocation: test.sourceLocation)
        }
    }
}

extension Trait where Self == ServiceRowsTrait {
    /// The test shows these rows, each in all of its variants.
    static func shows(_ rows: ServiceRow...) -> Self { ServiceRowsTrait(rows: rows) }
}
