internal import Flows

/// Flows as a browser gets them, with the place to go on from.
struct FlowPage: Encodable {
    /// What to ask with next.
    var cursor: String
    /// The time of the agent, RFC 3339 in UTC: that of the browser may be another one.
    var time: String
    /// Whether flows begin anew, as the cursor is from before the agent's start.
    var restarted: Bool
    var flows: [Flow]
}

extension WebPage {
    /// Flows from the cursor on; without one, the last ones.
    ///
    /// A browser holds no place in a queue: it reads the store at its own pace, and what was overwritten before it came
    /// is a record of loss among the flows.
    func page(_ request: FlowRequest) async -> FlowPage {
        guard let cursor = request.cursor, cursor.started == started,
            cursor.position.sequence <= hub.nextSequence
        else { return await latest(request) }
        let deadline = ContinuousClock.now + min(request.wait, limits.wait)
        var next = cursor.position
        while true {
            let found = await read(from: &next, request)
            if !found.isEmpty || ContinuousClock.now >= deadline || Task.isCancelled { return page(found, next) }
            await wait(for: next.sequence, until: deadline)
        }
    }

    private func latest(_ request: FlowRequest) async -> FlowPage {
        // Read first: what comes in between is sent now or found from there on.
        let next = hub.end
        var (found, end): ([Flow], UInt64) = ([], next.sequence)
        while found.count < limits.flows {
            let batch = hub.before(end, limit: Self.batch)
            guard let first = batch.first else { break }
            found += batch.reversed().filter(request.matches)
            end = first.sequence
            // A search of the whole store must not hold up what else the agent does.
            await Task.yield()
        }
        var page = page(found.prefix(limits.flows).reversed(), next)
        page.restarted = request.cursor != nil
        return page
    }

    /// How many flows are taken from the store at once: it is locked meanwhile.
    private static let batch = 1024

    private func read(from next: inout FlowPosition, _ request: FlowRequest) async -> [Flow] {
        var found: [Flow] = []
        while found.count < limits.flows {
            let batch = hub.since(next, limit: Self.batch)
            guard !batch.isEmpty else { break }
            for flow in batch {
                next.pass(flow)
                if request.matches(flow) { found.append(flow) }
                if found.count >= limits.flows { break }
            }
            await Task.yield()
        }
        return found
    }

    private func wait(for sequence: UInt64, until deadline: ContinuousClock.Instant) async {
        await withTaskGroup { group in
            group.addTask { [hub] in _ = await hub.waits(for: sequence) }
            group.addTask { try? await Task.sleep(until: deadline, clock: .continuous) }
            await group.next()
            group.cancelAll()
        }
        // What comes close together goes into one answer, and traffic that does not match costs little.
        try? await Task.sleep(for: .milliseconds(100))
    }

    private func page(_ flows: [Flow], _ next: FlowPosition) -> FlowPage {
        FlowPage(
            cursor: FlowCursor(started: started, position: next).description,
            time: Timestamp.text(now()), restarted: false, flows: flows)
    }
}

/// A place among the flows of one agent's life.
struct FlowCursor: Equatable, LosslessStringConvertible {
    var started: UInt64
    var position: FlowPosition

    init(started: UInt64, position: FlowPosition) {
        self.started = started
        self.position = position
    }

    init?(_ text: String) {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let started = UInt64(parts[0]), let position = FlowPosition(String(parts[1])) else {
            return nil
        }
        self.init(started: started, position: position)
    }

    var description: String { "\(started)-\(position)" }
}
