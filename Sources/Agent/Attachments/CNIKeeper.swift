internal import Addressing
internal import CNIInstallation
internal import Kubernetes
internal import LinuxKernel
internal import Logging
internal import ServiceLifecycle

/// Keeps the plugin and its configuration up to date, from the moment on in which pods can be attached.
struct CNIKeeper: ServiceLifecycle.Service {
    /// How often it is looked when nobody says that something changed: the Node's ranges, a directory that comes back.
    private static let interval: Duration = .seconds(5)
    /// How long a file that is new may take to be written.
    private static let writingTime: Duration = .milliseconds(100)

    let settings: CNIInstallationSettings
    let controller: NodeController
    let log: Logger

    func run() async throws {
        try await untilShutdown {
            while await !controller.isReady { try await Task.sleep(for: .milliseconds(100)) }
            let (wakes, waker) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await Self.tick(waker) }
                group.addTask { try? await watch(waker) }
                var known: InstalledProgram?
                for await _ in wakes { await pass(&known) }
                group.cancelAll()
            }
        }
    }

    private static func tick(_ waker: AsyncStream<Void>.Continuation) async throws {
        while true {
            waker.yield()
            try await Task.sleep(for: interval)
        }
    }

    private func watch(_ waker: AsyncStream<Void>.Continuation) async throws {
        while true {
            if let events = try? InotifyDirectory(settings.configurationDirectory) {
                waker.yield()
                var iterator = events.makeAsyncIterator()
                // One that breaks is made anew.
                while let event = try? await iterator.next() {
                    if case .created = event { try await Task.sleep(for: Self.writingTime) }
                    waker.yield()
                }
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    private func pass(_ known: inout InstalledProgram?) async {
        let (ranges, mtu) = await controller.podNetwork()
        var problem: String?
        do {
            let outcome = try CNIInstaller(settings).install(ranges: ranges, mtu: mtu, known: &known)
            problem = outcome.obstacle ?? outcome.warning
            for path in outcome.changed {
                log.info(
                    "The CNI configuration was brought up to date",
                    metadata: ["file": "\(path)", "behind": "\(outcome.chainedTo ?? "no other plugin")"])
            }
        } catch { problem = error.description }
        await controller.note(cniProblem: problem)
    }
}

/// The controller's part about what new pods get.
extension NodeController {
    /// Whether pods can be attached.
    var isReady: Bool { isSynced && isActive }

    /// Where pods of this node get their addresses, and the largest packet that all ways out of the node take.
    func podNetwork() -> (ranges: [CIDR], mtu: UInt32?) { (state.ownNode?.podCIDRs ?? [], podMTU) }

    /// Takes in what keeps the CNI configuration from being as it should.
    func note(cniProblem problem: String?) {
        if let problem, problem != cniProblem {
            log.error("The CNI configuration is not as it should be", metadata: ["problem": "\(problem)"])
        }
        cniProblem = problem
    }
}
