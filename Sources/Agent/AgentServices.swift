internal import AgentAPI
internal import Datapath
internal import Flows
internal import HubbleServer
internal import Kubernetes
internal import KubernetesAPI
internal import LinuxKernel
internal import Logging
internal import ServiceLifecycle

/// Runs a service's work until the agent is told to stop; work that ends because of that has not failed.
func untilShutdown(_ work: @Sendable @escaping () async throws -> Void) async throws {
    do {
        try await cancelWhenGracefulShutdown(work)
    } catch {
        guard Task.isShuttingDownGracefully else { throw error }
    }
}

/// Follows a source of objects and tells the controller.
struct SourceFollower<Source: ObjectSource & Sendable>: ServiceLifecycle.Service {
    let source: Source
    let controller: NodeController

    func run() async throws {
        try await untilShutdown {
            for await event in source { await controller.handle(event) }
            try Task.checkCancellation()
            throw AgentFailure("the source of objects has ended")
        }
    }
}

/// Follows an API server and tells the controller.
struct APIFollower: ServiceLifecycle.Service {
    let source: APISource
    let controller: NodeController

    func run() async throws {
        try await untilShutdown {
            try await source.run { event in await controller.handle(event) }
        }
    }
}

/// Follows the node's interfaces, addresses and routes and tells the controller.
struct LinkFollower: ServiceLifecycle.Service {
    let events: NetlinkEvents
    let controller: NodeController

    func run() async throws {
        try await untilShutdown {
            await controller.lookUpEverything()
            for try await event in events { await controller.handle(event) }
        }
    }
}

/// Has the controller do what is due.
struct Maintenance: ServiceLifecycle.Service {
    static let interval: Duration = .milliseconds(100)
    let controller: NodeController

    func run() async throws {
        try await untilShutdown {
            while !Task.isCancelled {
                await controller.maintain()
                try await Task.sleep(for: Self.interval)
            }
        }
    }
}

/// Answers the CLI.
struct APIService: ServiceLifecycle.Service {
    let path: String
    let handler: APIHandler
    let log: Logger

    func run() async throws {
        let server = AgentServer(path: path, handler: handler)
        try await untilShutdown {
            try await server.run { log.info("Listening", metadata: ["socket": "\(path)"]) }
        }
    }
}

/// Answers Hubble's clients.
struct HubbleService: ServiceLifecycle.Service {
    let server: HubbleServer
    let log: Logger

    func run() async throws {
        try await untilShutdown {
            do {
                try await server.run { log.info("Listening for Hubble's clients", metadata: ["address": "\($0)"]) }
            } catch  where !Task.isCancelled {
                log.error("Hubble's clients are not served any more", metadata: ["error": "\(error)"])
            }
            // With nobody to serve there is nothing to do, and a service that ends would end the agent.
            while !Task.isCancelled { try await Task.sleep(for: .seconds(3600)) }
        }
    }
}

/// What the CLI may ask.
struct APIHandler: AgentHandler {
    let hello: AgentHello
    let controller: NodeController
    let hub: FlowHub

    func status() async throws -> AgentStatus {
        var status = await controller.status()
        let statistics = hub.statistics
        status.evidence.records = statistics.appended
        status.evidence.stored = statistics.stored
        status.evidence.followers = statistics.followers
        status.evidence.lostInKernel = statistics.lostInKernel
        status.evidence.lostInAgent = statistics.lostInCollector
        status.evidence.lostByFollowers = statistics.lostByFollowers
        return status
    }

    func verify() async throws -> VerifyReport { try await controller.verify() }

    func explain(_ question: PolicyQuestion) async throws -> [PolicyPath] { try await controller.explain(question) }

    func policies(_ selection: PolicySelection) async throws -> PolicyDetails { await controller.policies(selection) }

    func trace(_ question: ServiceQuestion) async throws -> ServiceTrace { try await controller.trace(question) }

    func attach(_ attachment: PodAttachment) async throws { try await controller.attach(attachment) }

    func check(_ attachment: PodAttachment) async throws { try await controller.check(attachment) }

    func detach(_ key: AttachmentKey) async throws { await controller.detach(key) }

    func collect(_ collection: AttachmentCollection) async throws { await controller.collect(collection) }

    func ready() async throws { try await controller.ready() }

    func flows(_ query: FlowQuery, send: (Flow) async throws -> Void) async throws {
        if query.follow {
            for await flow in hub.follow(query.filter, last: query.last) { try await send(flow) }
        } else {
            try await past(query, send)
        }
    }

    /// The last flows that match, from the store in parts: it is locked for each only.
    private func past(_ query: FlowQuery, _ send: (Flow) async throws -> Void) async throws {
        let (begin, end) = (hub.start, hub.end)
        var position = end
        var missing = query.last
        while missing > 0 {
            let flows = hub.before(position.sequence, limit: Self.part)
            if flows.isEmpty {
                // All that was there was looked at. What of it is gone by now is told as lost.
                position = begin
                break
            }
            for flow in flows.reversed() where missing > 0 {
                position.goBack(before: flow)
                if flow.kind != .lost && query.filter.matches(flow) { missing -= 1 }
            }
            await Task.yield()
        }
        while case let flows = hub.since(position, before: end, limit: Self.part), !flows.isEmpty {
            for flow in flows {
                position.pass(flow)
                if query.filter.matches(flow) { try await send(flow) }
            }
        }
    }

    /// How many flows are taken from the store at once.
    private static let part = 512
}
