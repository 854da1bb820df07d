internal import Addressing
internal import Flows
internal import HubbleAPI

/// A flow as filters look at it, in the terms of Hubble: what one asks for is made when it asks, and nothing else. Most
/// flows are not what is asked for, and a whole message is dear.
struct FlowSight {
    let flow: Flow
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

    var uuid: String { encoder.uuid(flow) }
    var verdict: HubbleVerdict { FlowEncoder.verdict(flow.verdict) }
    var trafficDirection: HubbleTrafficDirection { flow.direction == .ingress ? .ingress : .egress }
    var ipVersion: HubbleIPVersion { tuple.source.address.isIPv4 ? .ipv4 : .ipv6 }
    /// Whether a connection was seen entering a pod of this node.
    var isIntoPod: Bool {
        let receiver = flow.kind == .packet ? destination : flow.destination
        return receiver.kind == .pod && receiver.node == encoder.node
    }

    /// The reason of a drop; that of anything else is unknown.
    var dropReason: HubbleDropReason { flow.kind == .denied ? DropReasons.number(flow.dropReason) : .unknown }

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
        switch flow.kind {
        case .opened, .closed, .active, .packet: CiliumEvent.trace(isIntoPod ? .toEndpoint : .toNetwork)
        case .denied: CiliumEvent.drop(dropReason)
        case .audited: CiliumEvent.policyVerdict
        case .dns: CiliumEvent.accessLog
        case .lost: nil
        }
    }
}
