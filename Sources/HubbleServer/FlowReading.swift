internal import Flows
internal import HubbleAPI
internal import HubbleFlows
internal import SwiftProtobuf

/// What a GetFlows request asks for, understood.
struct FlowReading: Sendable {
    /// How many records are taken from the store at once: it is locked meanwhile.
    private static let batch = 128

    let hub: FlowHub
    let encoder: FlowEncoder
    private let matcher: FlowMatcher
    private let choice: FieldChoice
    private let number: Int
    private let first: Bool
    private let follow: Bool
    /// Nanoseconds since 1970.
    private let since: UInt64
    private let until: UInt64
    private let hasSince: Bool
    /// The place of the next flow when the request came: who doesn't follow gets what was there, and who does what comes
    /// from then on.
    private let end: FlowPosition
    /// The place of the oldest flow that was held then: what is gone by the time that it is looked for is a loss.
    private let begin: FlowPosition

    init(_ request: HubbleGetFlowsRequest, _ hub: FlowHub, _ encoder: FlowEncoder) throws {
        self.hub = hub
        self.encoder = encoder
        matcher = try FlowMatcher(whitelist: request.whitelist, blacklist: request.blacklist)
        let mask = request.hasFieldMask ? request.fieldMask : request.experimental.fieldMask
        choice = FieldChoice(mask.paths, showsVerdicts: true)
        number = Int(clamping: request.number)
        first = request.first
        follow = request.follow
        begin = hub.start
        end = hub.end
        hasSince = request.hasSince
        since = request.hasSince ? try Self.nanoseconds(request.since, "since") : 0
        until = request.hasUntil ? try Self.nanoseconds(request.until, "until") : .max
        if first && follow { throw RequestError("first", "excludes follow: there is no end to wait for") }
        if until < since { throw RequestError("until", "is before since") }
    }

    static func nanoseconds(_ time: Google_Protobuf_Timestamp, _ field: String) throws -> UInt64 {
        guard (0...9_000_000_000).contains(time.seconds), (0..<1_000_000_000).contains(time.nanos) else {
            throw RequestError(field, "\(time.seconds) s \(time.nanos) ns is no time from 1970 on")
        }
        return UInt64(time.seconds) * 1_000_000_000 + UInt64(time.nanos)
    }

    /// Sends what is asked for, in order; records of loss in between are sent whatever the filters say.
    func run(_ send: (HubbleGetFlowsResponse) async throws -> Void) async throws {
        let start = try await start()
        var position = start.position
        var missing = number > 0 && !follow ? number : Int.max
        while true {
            let flows =
                follow
                ? hub.since(position, limit: Self.batch) : hub.since(position, before: end, limit: Self.batch)
            for flow in flows {
                position.pass(flow)
                if flow.kind != .lost {
                    guard flow.time <= until.addingClamped(Self.disorder) else { return }
                    guard flow.time <= until else { continue }
                }
                for part in start.parts(of: flow) {
                    guard missing > 0 else { return }
                    guard isWanted(flow, part) else { continue }
                    try await send(response(flow, part))
                    if flow.kind != .lost { missing -= 1 }
                }
            }
            try await Self.pause()
            if !flows.isEmpty { continue }
            guard follow, await hub.waits(for: position.sequence) else { return }
        }
    }

    /// Nanoseconds by which a record may come behind a later one: what the agent reads or finds itself is told when it does.
    private static let disorder: UInt64 = 10_000_000_000

    /// Where to begin.
    private struct Start {
        var position: FlowPosition
        /// How many of this record's parts come before.
        var skipped = 0

        /// What is asked for of a record from there on. Where the first one is gone, its loss is in its place.
        func parts(of flow: Flow) -> ArraySlice<FlowPart> {
            let parts = FlowPart.parts(of: flow)
            return flow.sequence == position.sequence && flow.kind != .lost ? parts.dropFirst(skipped) : parts[...]
        }
    }

    private func start() async throws -> Start {
        if follow && number == 0 && !hasSince { return Start(position: end) }
        if first || number == 0 { return Start(position: begin) }
        var position = end
        var found = 0
        while true {
            let flows = hub.before(position.sequence, limit: Self.batch)
            guard !flows.isEmpty else { return Start(position: begin) }
            for flow in flows.reversed() {
                if flow.time.addingClamped(Self.disorder) < since { return Start(position: position) }
                position.goBack(before: flow)
                guard flow.kind != .lost, flow.time >= since, flow.time <= until else { continue }
                for (index, part) in FlowPart.parts(of: flow).enumerated().reversed() where isWanted(flow, part) {
                    found += 1
                    if found == number { return Start(position: position, skipped: index) }
                }
            }
            try await Self.pause()
        }
    }

    /// A look at all that is held takes long: others have their turn, and a client that is gone ends it.
    private static func pause() async throws {
        try Task.checkCancellation()
        await Task.yield()
    }

    private func isWanted(_ flow: Flow, _ part: FlowPart) -> Bool {
        flow.time >= since && (flow.kind == .lost || matcher.matches(flow, encoder, part: part))
    }

    /// What is sent of a record.
    private func response(_ flow: Flow, _ part: FlowPart) -> HubbleGetFlowsResponse {
        var response = encoder.response(flow, part)
        if flow.kind != .lost { choice.apply(to: &response.flow) }
        return response
    }
}

extension UInt64 {
    /// The sum, or the largest number where there is none.
    fileprivate func addingClamped(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
