import Addressing
import Flows
import GRPCCore
import HubbleAPI
import HubbleFlows
import SwiftProtobuf
import TestSupport
import Testing

@testable import HubbleServer

/// What a reader gets while the store goes on without it.
@Suite struct FlowReadingTests {
    private static func opened(_ ports: ClosedRange<Int>) -> [Flow] {
        ports.map { Sample.flow(.opened, Sample.front, Sample.cart, port: Port($0)) }
    }

    /// The ports of what was told, and a negative number for as many that were lost. Before the answer of a number more
    /// flows come.
    private func told(
        _ hub: FlowHub, _ request: HubbleGetFlowsRequest, before number: Int, _ more: [Flow]
    ) async throws -> [Int] {
        var told: [Int] = []
        try await FlowReading(request, hub, Sample.encoder).run { response in
            if told.count + 1 == number { hub.append(more) }
            if case .lostEvents(let loss)? = response.responseTypes {
                told.append(-Int(loss.numEventsLost))
            } else {
                told.append(Int(response.flow.l4.tcp.destinationPort))
            }
        }
        return told
    }

    @Test func withoutFollowingWhatWasOverwrittenIsToldAndWhatCameLaterIsNot() async throws {
        // A reading takes 128 at once.
        let hub = FlowHub(capacity: 200)
        hub.append(Self.opened(1...200))
        let some = try await told(hub, HubbleGetFlowsRequest(), before: 128, Self.opened(201...350))
        #expect(some == Array(1...128) + [-22] + Array(151...200))
        let all = try await told(hub, HubbleGetFlowsRequest(), before: 128, Self.opened(351...600))
        #expect(all == Array(151...278) + [-72])
    }

    @Test func aLossThatWasOverwrittenStandsForAllThatItCounted() async throws {
        let hub = FlowHub(capacity: 200)
        hub.append(Self.opened(1...150) + [.lost(1000, by: .kernelRing, time: Sample.time, node: "node-a")])
        let found = try await told(hub, HubbleGetFlowsRequest(), before: 1, Self.opened(200...500))
        #expect(found == Array(1...128) + [-1022])
    }

    @Test func whatIsOverwrittenWhileTheLastAreLookedForIsTold() async throws {
        let hub = FlowHub(capacity: 200)
        hub.append(Self.opened(1...200))
        let request = HubbleGetFlowsRequest.with { $0.number = 150 }
        let reading = try FlowReading(request, hub, Sample.encoder)
        hub.append(Self.opened(201...260))
        var (flows, lost) = ([Int](), 0)
        try await reading.run { response in
            lost += Int(response.lostEvents.numEventsLost)
            if case .flow? = response.responseTypes { flows.append(Int(response.flow.l4.tcp.destinationPort)) }
        }
        #expect(flows == Array(61...200) && lost == 60)
    }

    @Test func oneStreamTooManyIsRefusedAndTheOthersGoOn() async throws {
        let limit = StreamLimit(2)
        try await limit.serve {
            try await limit.serve {
                await #expect(throws: RPCError.self) { try await limit.serve {} }
            }
            var isServed = false
            try await limit.serve { isServed = true }
            #expect(isServed)
        }
    }

    @Test func theServerHasAPlaceFor64Streams() async throws {
        try await Served.run { served in
            try await served.withClient { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<64 {
                        group.addTask { _ = try await flows(client, .with { $0.follow = true }) }
                    }
                    try await eventually("64 streams") { served.counters.current.streams == 64 }
                    await #expect(throws: RPCError.self) { try await flows(client, HubbleGetFlowsRequest()) }
                    group.cancelAll()
                }
                try await eventually("a place") { try await !flows(client, HubbleGetFlowsRequest()).isEmpty }
            }
        }
    }
}
