package import Flows

/// What of a record one flow of Hubble's tells.
///
/// Cilium tells of a new connection what each policy said to it, and then what became of the packet. A record of Apus
/// has all of this in one, so that it becomes several flows to those who expect them.
package enum FlowPart: UInt64, Sendable, CaseIterable {
    /// What became of packets, of a connection or of a question.
    case event
    /// What the policies of the source said.
    case egressVerdict
    /// What the policies of the destination said.
    case ingressVerdict

    /// The parts of a record, in the order in which they came to pass; the event is always the last.
    package static func parts(of flow: Flow) -> [FlowPart] {
        guard flow.kind == .opened || flow.kind == .denied else { return events }
        switch (egressVerdict.isPart(of: flow), ingressVerdict.isPart(of: flow)) {
        case (false, false): return events
        case (true, false): return [.egressVerdict, .event]
        case (false, true): return [.ingressVerdict, .event]
        case (true, true): return [.egressVerdict, .ingressVerdict, .event]
        }
    }

    private static let events: [FlowPart] = [.event]

    /// nil of the event.
    var direction: Flow.Direction? {
        switch self {
        case .event: nil
        case .egressVerdict: .egress
        case .ingressVerdict: .ingress
        }
    }

    /// Whether policies said anything: where none isolates and none has a rule that matches, they did not.
    private func isPart(of flow: Flow) -> Bool { direction.map { flow.rule($0) != nil || flow.isDenied($0) } ?? true }
}

extension Flow {
    /// What decided in a direction.
    func rule(_ direction: Direction) -> RuleReference? { direction == .egress ? egressRule : ingressRule }

    /// Whether policies denied it there.
    func isDenied(_ direction: Direction) -> Bool {
        kind == .denied && self.direction == direction && dropReason.map(DropReasons.policies.contains) ?? false
    }
}
