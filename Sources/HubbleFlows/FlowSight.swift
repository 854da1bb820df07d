internal import Addressing
internal import Flows
internal import HubbleAPI

/// A flow as filters look at it, in the terms of Hubble: what one asks for is made when it asks, and nothing else. Most
/// flows are not what is asked for, and a whole message is dear.
struct FlowSight {
    let flow: Flow
    let part: FlowPart
    let encoder: FlowEncoder

    /// Of an answer to a question the resolver is the source, of a packet whoever sent it.
    var isAnswer: Bool {
        flow.kind == .packet ? flow.counters?.reverse.packets ?? 0 > 0 : flow.dns?.isAnswered ?? false
    }
    var source: Peer { isAnswer ? flow.destination : flow.source }
    var destination: Peer { isAnswer ? flow.source : flow.destination }
    var tuple: FlowTuple { isAnswer ? flow.tuple.reversed : flow.tuple }
    var sourceNames: [String] { isAnswer ? flow.destinationNames : [] }
    var destinationNames: [String] { isAnswer ? [] : flow.destinationNames }
    var sourceService: FlowService? { isAnswer ? flow.service : nil }
    var destinationService: FlowService? { isAnswer ? nil : flow.service }

    var uuid: String { encoder.uuid(flow, part) }

    /// Of a policy's verdict, whether it denied: what another one let through may still have been dropped.
    var verdict: HubbleVerdict {
        guard let direction = part.direction else { return FlowEncoder.verdict(flow.verdict) }
        return flow.isDenied(direction) ? .dropped : .forwarded
    }

    var trafficDirection: HubbleTrafficDirection {
        (part.direction ?? flow.direction) == .ingress ? .ingress : .egress
    }

    var ipVersion: HubbleIPVersion { tuple.source.address.isIPv4 ? .ipv4 : .ipv6 }

    /// Where a connection was seen: entering a pod of this node, the node itself, or leaving. A packet by its own way.
    var trace: CiliumEvent.Trace {
        let receiver = flow.kind == .packet ? destination : flow.destination
        return switch receiver.kind {
        case .pod where receiver.node == encoder.node: .toEndpoint
        case .node where receiver.name == encoder.node: .toStack
        case .pod, .node, .service, .world: .toNetwork
        }
    }

    /// The reason of a drop; that of anything else is unknown.
    var dropReason: HubbleDropReason { verdict == .dropped ? DropReasons.number(flow.dropReason) : .unknown }

    /// What the rule that decided asks for; only of verdicts of policies.
    var policyMatch: PolicyMatch {
        let direction = part.direction ?? (flow.kind == .audited ? flow.direction : nil)
        return direction.flatMap(flow.rule).map(encoder.match) ?? .none
    }

    /// nil: of both ways, so that it can't be said.
    var isReply: Bool? {
        switch flow.kind {
        case .opened, .denied, .audited: false
        case .dns, .packet: isAnswer
        case .closed, .active, .lost: nil
        }
    }

    /// nil of what is no event to Hubble.
    var eventType: HubbleCiliumEventType? {
        if part != .event { return CiliumEvent.policyVerdict }
        return switch flow.kind {
        case .opened, .closed, .active, .packet: CiliumEvent.trace(trace)
        case .denied: CiliumEvent.drop(dropReason)
        case .audited: CiliumEvent.policyVerdict
        case .dns: CiliumEvent.accessLog
        case .lost: nil
        }
    }
}
