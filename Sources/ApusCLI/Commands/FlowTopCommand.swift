internal import AgentAPI
internal import ArgumentParser
internal import Flows
internal import Synchronization

extension FlowCommand {
    /// `apus flow top`.
    struct Top: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows who talks and who is denied most: by pod, Service, name or drop reason.",
            discussion: """
                On a terminal the table is renewed until Ctrl-C, with --once it is printed once, over the flows that \
                are stored. Bytes are those of connections that ended, and of those that live as far as they have been \
                reported. Rates are means over the time that is summed up. -o json prints one object each time.

                Examples:
                  apus flow top
                  apus flow top --by service --namespace shop
                  apus flow top --by reason --once
                  apus flow top --once -o json | jq '.rows[] | select(.denials > 0)'
                """)

        /// How many stored flows the live table begins with: more would take long to send.
        private static let past = 10_000

        @Option(
            help: "Sum up by pod, service, name (domain names of destinations) or reason (why packets are dropped).")
        var by: TallyKey = .pod

        @Flag(help: "Print the table of the stored flows once.")
        var once = false

        @Option(help: "Seconds that a flow counts. (default: 60, with --once all that are stored)")
        var window: Double?

        @Option(help: "Seconds between two tables.")
        var interval = 2.0

        @Option(help: "Rows to show, the largest first.")
        var rows = 20

        @OptionGroup(title: "Filters") var filter: FlowFilterOptions
        @OptionGroup var options: GlobalOptions

        func validate() throws {
            if let window, !(1...86_400).contains(window) { throw ValidationError("--window is 1 to 86400 seconds") }
            guard (0.1...3600).contains(interval) else { throw ValidationError("--interval is 0.1 to 3600 seconds") }
            guard rows >= 1 else { throw ValidationError("--rows must be positive") }
        }

        func run() async throws {
            let seconds = window ?? (once ? nil : 60)
            let tally = SharedTally(FlowTally(by: by, window: seconds.map { UInt64($0 * 1_000_000_000) }))
            let view = TopView(by: by, window: seconds, rows: rows, options: options)
            guard once else { return try await follow(tally, view) }
            let query = FlowQuery(last: .max, filter: filter.filter)
            let meter = FlowMeter(options.console, isQuiet: false)
            do {
                defer { _ = meter.finish() }
                try await options.agent.flows(query) { flow in
                    tally.add(flow)
                    meter.count(flow)
                }
            } catch let error as AgentError where !tally.hasAny && query.filter.labels.isEmpty {
                let flows = try options.datapath().flows(last: .max, query.filter)
                options.console.note("apus: \(error); these flows are from the kernel's ring buffer")
                for flow in flows { tally.add(flow) }
            }
            try view.show(tally, isRenewed: false)
        }

        /// Shows the table again and again until the flows end or the person types Ctrl-C.
        private func follow(_ tally: SharedTally, _ view: TopView) async throws {
            await options.noteIfSilent()
            let query = FlowQuery(last: Self.past, follow: true, filter: filter.filter)
            let (agent, pause) = (options.agent, Duration.seconds(interval))
            try await untilInterrupted {
                try await withThrowingTaskGroup { group in
                    group.addTask { try await agent.flows(query) { tally.add($0) } }
                    group.addTask {
                        while true {
                            try await Task.sleep(for: pause)
                            try view.show(tally, isRenewed: true)
                        }
                    }
                    defer { group.cancelAll() }
                    try await group.next()
                }
                try view.show(tally, isRenewed: true)
            }
        }
    }
}

extension TallyKey: ExpressibleByArgument {}

/// Sums that one task adds to and another one shows.
private final class SharedTally: Sendable {
    private let tally: Mutex<FlowTally>
    private let any = Atomic<Bool>(false)

    init(_ tally: FlowTally) { self.tally = Mutex(tally) }

    var hasAny: Bool { any.load(ordering: .relaxed) }

    func add(_ flow: Flow) {
        any.store(true, ordering: .relaxed)
        tally.withLock { $0.add(flow) }
    }

    func rows(now: UInt64?) -> (rows: [(name: String, sums: FlowTally.Sums)], span: UInt64, lost: UInt64) {
        tally.withLock { ($0.rows(now: now), $0.span(now: now), $0.lost) }
    }
}

/// How sums are shown.
private struct TopView: Sendable {
    let by: TallyKey
    let window: Double?
    let rows: Int
    let options: GlobalOptions

    /// Shows the sums; on a terminal in the place of those before.
    func show(_ tally: SharedTally, isRenewed: Bool) throws {
        let now = window.map { _ in CommandContext.current.now() }
        let (all, span, lost) = tally.rows(now: now)
        let answer = TopAnswer(
            by: by, windowSeconds: window, spanNanoseconds: span, lostRecords: lost, total: all.count,
            rows: all.prefix(rows).map { TopRow($0.name, $0.sums) })
        let console = options.console
        switch options.output {
        case .json where isRenewed: try console.line(answer.line)
        case .yaml where isRenewed: try console.write("---\n" + options.output.text(answer))
        case .json, .yaml: try console.write(options.output.text(answer))
        case .table: try console.write((isRenewed ? clearing : "") + text(answer))
        }
    }

    /// To the first place, and everything away (ECMA-48 CUP, ED); between tables that go elsewhere an empty line.
    private var clearing: String { options.console.usesColour ? "\u{1b}[H\u{1b}[2J" : "\n" }

    private func text(_ answer: TopAnswer) -> String {
        let span = window.map { "the last \(Int($0)) s" } ?? "all stored flows"
        let hidden = answer.total > answer.rows.count ? ", \(answer.rows.count) of \(answer.total) shown" : ""
        let missing = answer.lostRecords > 0 ? ", \(answer.lostRecords) records lost" : ""
        let head = "By \(by.rawValue), \(span)\(hidden)\(missing)\n"
        return head
            + (answer.rows.isEmpty ? "nothing to show\n" : Table.text(answer.rows, columns(answer.spanNanoseconds)))
    }

    private func columns(_ span: UInt64) -> [Column<TopRow>] {
        typealias Number = any KeyPath<TopRow, UInt64> & Sendable
        func number(_ heading: String, _ value: Number) -> [Column<TopRow>] {
            [
                Column(heading, number: true) { "\($0[keyPath: value])" },
                Column("A SECOND", number: true) { Quantity.rate($0[keyPath: value], nanoseconds: span) },
            ]
        }
        func size(_ heading: String, _ value: Number) -> [Column<TopRow>] {
            [
                Column(heading, number: true) { Quantity.size($0[keyPath: value]) },
                Column("A SECOND", number: true) { Quantity.speed($0[keyPath: value], nanoseconds: span) },
            ]
        }
        let name = [Column<TopRow>(by.rawValue.uppercased()) { $0.name }]
        let denials = number("DENIED", \.denials) + [Column("AUDITED", number: true) { "\($0.audits)" }]
        if by == .reason { return name + denials }
        return name + number("CONNECTIONS", \.connections) + size("SENT", \.sentBytes)
            + size("RECEIVED", \.receivedBytes) + denials
    }
}
