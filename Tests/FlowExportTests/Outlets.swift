import APIServerSupport
import FlowExport
import Flows
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import HubbleAPI
import HubbleServer
import JSONText
import OTLPClient
import SwiftProtobuf
import Synchronization
import TestSupport

/// The ways in which flows leave the agent.
enum Outlet: String, CaseIterable, CustomStringConvertible {
    case policyLog, file, otlp, hubble

    var description: String { rawValue }

    /// Those that are an exporter over a sink: its deliveries fail and are counted.
    static let exporters: [Outlet] = [.policyLog, .file, .otlp]
    static let files: [Outlet] = [.policyLog, .file]
    /// Those that tell in the stream what is missing in it.
    var tellsLosses: Bool { self != .policyLog }
    /// How many flows more than the store holds make its reader lose some, whatever buffers lie on the way.
    var flood: Int { self == .hubble ? 20_000 : 200 }

    /// Lends the way, with a receiver at its end, for one test.
    func open(_ body: (any Way) async throws -> Void) async throws {
        switch self {
        case .policyLog: try await FileWay.with(FileWay.policyLog, read: FileWay.readPolicyLog, body)
        case .file: try await FileWay.with(FileWay.hubble, read: FileWay.readHubble, body)
        case .otlp: try await CollectorWay.with(body)
        case .hubble: try await body(ClientWay())
        }
    }
}

/// What arrived of a flow, or of a loss.
struct Arrival: Equatable {
    var port = 0
    var source = ""
    var destination = ""
    var policy = ""
    /// The policy log has neither.
    var service = ""
    var name = ""
    var lost: UInt64?
}

/// A way out with its receiver.
protocol Way: Sendable {
    /// Takes flows from the hub until that has finished or the task is cancelled.
    func run(_ hub: FlowHub) async
    /// All that has arrived, in order.
    var arrived: [Arrival] { get throws }
    var counts: ExportCounters.Counts { get }
    /// Whether it can't deliver what there is, as far as it has noticed.
    var isStuck: Bool { get }
    /// The receiver takes nothing for now.
    func block() throws
    func unblock() throws
}

extension Way {
    var isStuck: Bool { counts.isFailing }
    func ports() throws -> [Int] { try arrived.filter { $0.lost == nil }.map(\.port) }
    func lost() throws -> UInt64 { try arrived.reduce(0) { $0 + ($1.lost ?? 0) } }
}

/// How the tests have exporters work: like the agent, but in a hurry.
func hurriedSettings() -> ExportSettings {
    var settings = ExportSettings { DispatchTime.now().uptimeNanoseconds }
    (settings.firstRetry, settings.longestRetry, settings.pause) = (
        .milliseconds(1), .milliseconds(20), .milliseconds(1)
    )
    return settings
}

/// An exporter into a file. It is in the way of a directory while the way is blocked.
struct FileWay: Way {
    typealias Reader = @Sendable (JSONText) -> Arrival
    typealias Runner = @Sendable (FlowHub, FileSink, ExportCounters) async -> Void

    let directory: String
    private let runner: Runner
    private let read: Reader
    private let counters = ExportCounters(losses: [.overwritten, .refused], operations: FileSink.operations)

    init(directory: String, _ runner: @escaping Runner, read: @escaping Reader) {
        (self.directory, self.runner, self.read) = (directory, runner, read)
    }

    static func with(_ runner: @escaping Runner, read: @escaping Reader, _ body: (FileWay) async throws -> Void)
        async throws
    {
        let directory = "\(FileManager.default.temporaryDirectory.path)/apus-way-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await body(FileWay(directory: directory, runner, read: read))
    }

    private var place: String { "\(directory)/logs" }
    var path: String { "\(place)/flows" }
    var counts: ExportCounters.Counts { counters.current }

    func run(_ hub: FlowHub) async { await runner(hub, FileSink(path: path, size: 20_000, kept: 100), counters) }

    var arrived: [Arrival] {
        get throws {
            guard FileManager.default.fileExists(atPath: path) else { return [] }
            let older = (1...100).reversed().map { "\(path).\($0)" }.filter(FileManager.default.fileExists)
            return try (older + [path]).flatMap { file in
                try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
                    .map { read(try JSONText($0.utf8)) }
            }
        }
    }

    func block() throws {
        if FileManager.default.fileExists(atPath: place) {
            try FileManager.default.moveItem(atPath: place, toPath: "\(place)-aside")
        }
        try "".write(toFile: place, atomically: true, encoding: .utf8)
    }

    func unblock() throws {
        try FileManager.default.removeItem(atPath: place)
        if FileManager.default.fileExists(atPath: "\(place)-aside") {
            try FileManager.default.moveItem(atPath: "\(place)-aside", toPath: place)
        }
    }

    /// Puts a disk of 64 KiB under the file, which is full but for 8 KiB of a file that can be removed.
    func withSmallDisk(_ body: (_ filler: String) async throws -> Void) async throws {
        let mounted = try await TestSupport.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "apus-way", directory], within: .seconds(60))
        guard mounted.succeeded else { throw LabError("mount a small disk", mounted.errors) }
        let result: Result<Void, any Error>
        do {
            let filler = "\(directory)/filler"
            try Data(repeating: 0, count: 56 << 10).write(to: URL(fileURLWithPath: filler))
            result = .success(try await body(filler))
        } catch { result = .failure(error) }
        _ = try await TestSupport.run(["umount", "-l", directory], within: .seconds(60))
        try result.get()
    }

    static let policyLog: Runner = { hub, sink, counters in
        var limits = PolicyLogFormat.Limits()
        limits.rate = 1_000_000
        let format = PolicyLogFormat(limits) {
            var choice = PolicyLogChoice()
            choice.allow = .all
            return choice
        }
        await FlowExporter(hub, format: format, sink: sink, counters: counters, settings: hurriedSettings()).run()
    }

    static let readPolicyLog: Reader = { record in
        func pod(_ end: JSONText?) -> String {
            "\(end?["pod_namespace"]?.string ?? "")/\(end?["pod_name"]?.string ?? "")"
        }
        return Arrival(
            port: record["connection"]?["dest_port"]?.integer ?? 0, source: pod(record["src"]),
            destination: pod(record["dest"]), policy: record["policies"]?.elements.first?["name"]?.string ?? "")
    }

    static let hubble: Runner = { hub, sink, counters in
        let format = HubbleFormat(FlowChoice(), node: "node-a", version: "1.2.3", started: 0)
        await FlowExporter(hub, format: format, sink: sink, counters: counters, settings: hurriedSettings()).run()
    }

    static let readHubble: Reader = { record in
        if let loss = record["lost_events"] {
            return Arrival(lost: loss["num_events_lost"]?.string.flatMap { UInt64($0) })
        }
        let flow = record["flow"]
        func text(_ part: JSONText?, _ name: String) -> String {
            "\(part?["namespace"]?.string ?? "")/\(part?[name]?.string ?? "")"
        }
        return Arrival(
            port: flow?["l4"]?["TCP"]?["destination_port"]?.integer ?? 0, source: text(flow?["source"], "pod_name"),
            destination: text(flow?["destination"], "pod_name"),
            policy: flow?["egress_allowed_by"]?.elements.first?["name"]?.string ?? "",
            service: text(flow?["destination_service"], "name"),
            name: flow?["destination_names"]?.elements.first?.string ?? "")
    }
}

/// An exporter of OTLP with a collector that sends all away while the way is blocked.
final class CollectorWay: Way {
    private struct State {
        var bodies: [[UInt8]] = []
        var isBlocked = false
    }

    private let state = Mutex(State())
    private let endpoint: OTLPEndpoint
    private let counters = ExportCounters(losses: [.overwritten, .refused], operations: OTLPSink.operations)

    private init(_ endpoint: OTLPEndpoint) { self.endpoint = endpoint }

    static func with(_ body: (CollectorWay) async throws -> Void) async throws {
        let ready = Mutex<CollectorWay?>(nil)
        try await HTTPServer.run(handler: { request, writer in
            let isTaken = ready.withLock { $0 }?.take(request) ?? false
            try await writer.answer(isTaken ? 200 : 503, isTaken ? "{}" : "not now")
        }) { port in
            let way = CollectorWay(try OTLPEndpoint("http://127.0.0.1:\(port)"))
            ready.withLock { $0 = way }
            try await body(way)
        }
    }

    private func take(_ request: HTTPRequest) -> Bool {
        state.withLock { state in
            if state.isBlocked { return false }
            state.bodies.append(request.body)
            return true
        }
    }

    var counts: ExportCounters.Counts { counters.current }

    func run(_ hub: FlowHub) async {
        let resource = OTLPResource(node: "node-a", version: "1.2.3")
        let sink = OTLPSink(endpoint, .logs, limit: .patience, grace: .patience) { resource.logs($0) }
        let format = OTLPLogFormat(FlowChoice(), node: "node-a", version: "1.2.3", started: 0)
        await FlowExporter(hub, format: format, sink: sink, counters: counters, settings: hurriedSettings()).run()
        await sink.close()
    }

    var arrived: [Arrival] {
        get throws { try state.withLock(\.bodies).flatMap { try Self.records($0).map(Self.arrival) } }
    }

    static func records(_ body: [UInt8]) throws -> [JSONText] {
        let scope = try JSONText(body)["resourceLogs"]?.elements.first?["scopeLogs"]?.elements.first
        return scope?["logRecords"]?.elements ?? []
    }

    private static func arrival(_ record: JSONText) -> Arrival {
        var values: [String: String] = [:]
        for attribute in record["attributes"]?.elements ?? [] {
            let value = attribute["value"]
            let list = value?["arrayValue"]?["values"]?.elements.first
            values[attribute["key"]?.string ?? ""] = (list ?? value)?.members.first?.value.string
        }
        func pair(_ namespace: String, _ name: String) -> String { "\(values[namespace] ?? "")/\(values[name] ?? "")" }
        let rule = values["apus.egress.rule"] ?? ""
        if let lost = values["apus.lost.records"] { return Arrival(lost: UInt64(lost)) }
        return Arrival(
            port: values["destination.port"].flatMap { Int($0) } ?? 0,
            source: pair("k8s.src.namespace", "k8s.src.name"),
            destination: pair("k8s.dst.namespace", "k8s.dst.name"),
            policy: rule.hasPrefix("NetworkPolicy shop/out ") ? "out" : rule,
            service: pair("apus.service.namespace", "apus.service.name"),
            name: values["apus.destination.names"] ?? "")
    }

    func block() { state.withLock { $0.isBlocked = true } }

    func unblock() { state.withLock { $0.isBlocked = false } }
}

/// Hubble's server with a client that reads nothing while the way is blocked.
final class ClientWay: Way {
    private struct State {
        var arrived: [Arrival] = []
        var isBlocked = false
        var isWaiting = false
    }

    private let state = Mutex(State())

    var arrived: [Arrival] { state.withLock(\.arrived) }
    /// Hubble's losses are told to the client alone.
    var counts: ExportCounters.Counts { ExportCounters(losses: [.overwritten], operations: []).current }
    var isStuck: Bool { state.withLock(\.isWaiting) }

    /// Ends with the server, whatever the client does.
    func run(_ hub: FlowHub) async {
        let path = "\(FileManager.default.temporaryDirectory.path)/way-\(UUID().uuidString.prefix(8)).sock"
        do {
            let server = try HubbleServer(
                .init(socket: path), node: "node-a", version: "1.2.3", hub: hub, peers: HubblePeers(),
                counters: HubbleCounters())
            let serving = Task { try await server.run { _ in } }
            let reading = Task {
                // Once the server is stopped the stream ends with an error.
                do { try await read(path) } catch  where serving.isCancelled {}
                serving.cancel()
            }
            await withTaskCancellationHandler {
                _ = await serving.result
            } onCancel: {
                serving.cancel()
            }
            reading.cancel()
            try await reading.value
        } catch {
            state.withLock { $0.arrived.append(Arrival(source: "\(error)")) }
        }
    }

    private func read(_ path: String) async throws {
        let transport = try HTTP2ClientTransport.Posix(
            target: .unixDomainSocket(path: path), transportSecurity: .plaintext)
        try await withGRPCClient(transport: transport) { client in
            // From the first one that is held on.
            let request = HubbleGetFlowsRequest.with {
                $0.follow = true
                $0.since.seconds = 0
                // What policies said of the same records.
                $0.blacklist = [.with { $0.eventType = [.with { $0.type = 5 }] }]
            }
            try await HubbleObserver.Client(wrapping: client).getFlows(request) { response in
                for try await message in response.messages {
                    while self.isToWait() { try await Task.sleep(for: .milliseconds(5)) }
                    self.take(message)
                }
            }
        }
    }

    private func isToWait() -> Bool {
        state.withLock { state in
            state.isWaiting = state.isBlocked
            return state.isBlocked
        }
    }

    private func take(_ message: HubbleGetFlowsResponse) {
        state.withLock { state in
            if case .lostEvents(let loss) = message.responseTypes {
                state.arrived.append(Arrival(lost: loss.numEventsLost))
            } else {
                let flow = message.flow
                state.arrived.append(
                    Arrival(
                        port: Int(flow.l4.tcp.destinationPort),
                        source: "\(flow.source.namespace)/\(flow.source.podName)",
                        destination: "\(flow.destination.namespace)/\(flow.destination.podName)",
                        policy: flow.egressAllowedBy.first?.name ?? "",
                        service: "\(flow.destinationService.namespace)/\(flow.destinationService.name)",
                        name: flow.destinationNames.first ?? ""))
            }
        }
    }

    func block() { state.withLock { $0.isBlocked = true } }

    func unblock() { state.withLock { $0.isBlocked = false } }
}
