internal import Addressing
internal import AgentAPI
internal import Datapath
internal import LinuxKernel
internal import Logging
internal import NetworkPolicy

/// The controller's part about interfaces that CNI plugins hand over.
extension NodeController {
    /// How often it is looked whether a policy is in force that somebody waits for.
    private static let attachInterval: Duration = .milliseconds(10)
    /// Nobody waits longer, whatever is asked for.
    private static let longestWait = 120_000

    /// Covers a pod's interface and waits until its policy is in force.
    ///
    /// The programs are on the interface before anything else, and drop all packets until the pod's endpoint is there:
    /// nothing that fails or takes long leaves the pod open.
    func attach(_ request: PodAttachment) async throws {
        let held = try hold(request)
        let wait = Duration.milliseconds(min(max(0, request.waitMilliseconds), Self.longestWait))
        let deadline = ContinuousClock.now.advanced(by: wait)
        while let shortfall = shortfall(of: held) {
            guard attachments.held[held.key] == held else {
                throw AgentError(.refused, "\(held.interface.name), the interface of Pod \(held.podKey), went away")
            }
            guard ContinuousClock.now < deadline else {
                log.warning("A pod's policy was not in force in time", metadata: ["pod": "\(held.podKey)"])
                throw AgentError(
                    .unavailable, "the policy of Pod \(held.podKey) is not in force, so it is closed: \(shortfall)")
            }
            try await Task.sleep(for: Self.attachInterval)
        }
    }

    /// Whether an interface is as `attach` left it.
    func check(_ request: PodAttachment) throws {
        guard let held = attachments.held[request.key] else {
            throw AgentError(
                .notFound, "no interface \(request.key.interface) of container \(request.key.container) is attached")
        }
        let (given, known) = (Set(request.addresses), Set(held.attachment.addresses))
        guard given == known else {
            let texts = [given, known].map { $0.map(\.description).sorted().joined(separator: ", ") }
            throw AgentError(.refused, "Pod \(held.podKey) has the addresses \(texts[1]), not \(texts[0])")
        }
        let lacking = kernel.checkLinks(pods: [held.interface.index], uplinks: attachedUplinks).missing
            .filter { $0.hasPrefix("pod-") }
        guard lacking.isEmpty else {
            attachPods()
            throw AgentError(.refused, "programs were missing on \(held.interface.name) of Pod \(held.podKey)")
        }
        if let shortfall = shortfall(of: held) {
            throw AgentError(.refused, "the policy of Pod \(held.podKey) is not in force: \(shortfall)")
        }
    }

    /// Forgets an interface. Its programs stay as long as it is there, and drop all packets.
    func detach(_ key: AttachmentKey) {
        guard let held = attachments.held[key] else { return }
        take(attachments.remove(key))
        if key.isUsable { attachmentStore.remove(key) }
        locate([held.podKey])
        if isSynced { program() }
    }

    /// Forgets the interfaces that have ended.
    func collect(_ collection: AttachmentCollection) {
        for key in attachments.held.keys where collection.hasEnded(key) { detach(key) }
    }

    /// Forgets the attachments behind an interface that is gone.
    func detach(behind index: UInt32) {
        for held in attachments.held.values where held.interface.index == index { detach(held.key) }
    }

    /// Forgets the attachments whose interfaces went while nobody looked.
    func detachLost() {
        for held in attachments.held.values where finder.isGone(held.interface.index) { detach(held.key) }
    }

    /// Throws while attaching would have to wait for the agent itself.
    func ready() throws {
        if let reason = ownShortfall { throw AgentError(.unavailable, reason) }
    }

    // MARK: Taking over

    /// Puts the programs on an interface, and remembers whose it is.
    private func hold(_ request: PodAttachment) throws -> HeldAttachment {
        guard let pod = request.pod, request.key.isUsable, !request.addresses.isEmpty else {
            throw AgentError(.badRequest, "an attachment needs a pod, addresses, and names without spaces and slashes")
        }
        let key = PodKey(namespace: pod.namespace, name: pod.name)
        if let other = attachments[key], other.key.container == request.key.container, other.key != request.key {
            throw AgentError(
                .refused,
                "Pod \(key) is attached by \(other.key.interface) of network \(other.key.network) already: one "
                    + "interface of a pod is covered, so chain apus-cni to one network only")
        }
        let interface = try hostInterface(of: request, key)
        let held = HeldAttachment(attachment: request, pod: pod, interface: interface)
        do { try kernel.attachPod(interface.index) } catch {
            throw AgentError(.failed, "programs could not be attached to \(interface.name) of Pod \(key): \(error)")
        }
        do { try attachmentStore.write(held) } catch {
            throw AgentError(.failed, "Pod \(key) could not be noted in \(attachmentStore.directory): \(error)")
        }
        for old in attachments.replaced(by: held) where old.key != held.key { attachmentStore.remove(old.key) }
        take(attachments.add(held))
        locate([key])
        if isSynced { program() }
        return held
    }

    private func hostInterface(of request: PodAttachment, _ pod: PodKey) throws -> HeldAttachment.Interface {
        do throws(PodInterfaceProblem) {
            let local = LocalPod(key: pod, uid: "", addresses: request.addresses)
            let found = try finder.interface(named: request.hostInterfaces, for: local, rules)
            return HeldAttachment.Interface(
                index: found.index, name: found.name, address: "\(found.hostAddress)")
        } catch {
            throw AgentError(.refused, "Pod \(pod) can't be covered: \(error)")
        }
    }

    // MARK: What is missing

    /// Why no pod could be attached now.
    private var ownShortfall: String? {
        if !isSynced { return "apusd has not read all objects yet" + (health.problem.map { " (\($0))" } ?? "") }
        return isActive ? nil : "the programs of apusd do not run yet"
    }

    /// Why the policy of an attached pod is not in force; nil when it is.
    private func shortfall(of held: HeldAttachment) -> String? {
        let pod = held.podKey
        if let reason = ownShortfall { return reason }
        guard attachments.knowsPod(of: held) else {
            let uid = held.pod.uid.map { " with UID \($0)" } ?? ""
            return "there is no object of it\(uid) on node \(configuration.node) yet"
        }
        if let hidden = diagnostics.hidingPolicies(ofPod: pod.name, in: pod.namespace) {
            return "what may be a policy of it can't be read: \(hidden)"
        }
        guard state.localPods[pod] != nil else { return "it has ended" }
        if let problem = unlocated[pod] { return problem.description }
        guard interfaces[pod]?.index == held.interface.index else {
            return "it is behind another interface than \(held.interface.name)"
        }
        let problem = programming.problems.first { $0.object == "endpoint \(pod)" }
        if let problem { return problem.reason.description }
        guard tables.isProgrammed(pod) else {
            return programming.problems.first?.description ?? "it is not written yet"
        }
        if let problem = podProblems.problems["\(pod)"] { return problem }
        return kernel.attachedPods.contains(held.interface.index) ? nil : "programs are not attached yet"
    }
}
