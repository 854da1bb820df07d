internal import Addressing
internal import Datapath
internal import LinuxKernel
internal import Logging
internal import NetworkPolicy

/// The controller's part about interfaces: where pods and uplinks are, and programs on them.
extension NodeController {
    /// Takes in a change of the node's interfaces, addresses or routes.
    func handle(_ event: NetlinkEvent) {
        if routes.note(event) { route() }
        switch event {
        case .interfaceRemoved(let interface): lose(interface.index)
        case .interfaceChanged(let interface):
            if isNews(ofUplink: interface) { attachUplinks() } else { refreshShortcuts(interface) }
            relocate(interfaces.filter { $0.value.index == interface.index }.map(\.key) + unlocated.keys)
        case .routeAdded(let route), .routeRemoved(let route):
            if route.isDefault {
                attachUplinks()
            } else if limitsUplinks(route), refreshUplinkAddresses(), isSynced {
                program()
            }
            relocate(
                state.localPods.values.filter { $0.addresses.contains(where: route.destination.contains) }.map(\.key))
        case .addressAdded, .addressRemoved: refreshLocalAddresses()
        case .neighbourChanged, .neighbourRemoved: break
        case .overrun:
            log.warning("Changes of interfaces were missed; everything is looked up again")
            lookUpEverything()
        }
    }

    /// Looks up all that events would have told.
    func lookUpEverything() {
        refreshLocalAddresses()
        detachLost()
        attachUplinks()
        for pod in state.localPods.keys.sorted() { locate(pod) }
        if isSynced {
            program()
            attachEverything()
        }
    }

    /// Looks again where pods are whose interface or route changed.
    private func relocate(_ pods: [PodKey]) {
        let before = interfaces
        for pod in pods { locate(pod) }
        if interfaces != before, isSynced { program() }
    }

    /// Takes in which pods were changed. Those that are gone make room first, for others that follow them.
    func locate(_ pods: some Sequence<PodKey>) {
        let ordered = pods.sorted()
        for pod in ordered where state.localPods[pod] == nil { locate(pod) }
        for pod in ordered where state.localPods[pod] != nil { locate(pod) }
        for (pod, problem) in unlocated { if case .taken = problem { locate(pod) } }
    }

    /// Looks up the node's own addresses.
    func refreshLocalAddresses() {
        do {
            tables.apply(state.setLocalAddresses(try finder.localAddresses()))
            _ = refreshUplinkAddresses()
            if isSynced { program() }
        } catch {
            log.error("The node's addresses could not be listed", metadata: ["error": "\(error)"])
        }
    }

    /// Finds the interface of a pod and makes or changes its endpoint; a pod that is gone loses it.
    func locate(_ key: PodKey) {
        guard let pod = state.localPods[key] else { return remove(key) }
        do throws(PodInterfaceProblem) {
            let found =
                if let held = attachments[key] {
                    try finder.interface(held.interface.index, for: key, rules)
                } else {
                    try finder.interface(for: pod, rules)
                }
            if let old = interfaces[key], old.index != found.index { release(old.index, of: key) }
            if found.podAddress == nil, interfaces[key] != found {
                log.warning(
                    "The source of a pod's frames is not checked: its end of the link is not known",
                    metadata: ["pod": "\(key)", "interface": "\(found.name)"])
            }
            interfaces[key] = found
            rules.holders[found.index] = key
            unlocated[key] = nil
            let spec = EndpointSpec(
                pod: key, uid: pod.uid, addresses: pod.addresses, interface: found.index, bridge: found.bridge,
                mac: found.podAddress, hostMAC: found.hostAddress, canRedirect: found.isVeth && found.podAddress != nil)
            tell(.upsert(spec))
        } catch {
            if unlocated.updateValue(error, forKey: key) != error {
                log.info("A pod's interface is not known yet", metadata: ["pod": "\(key)", "reason": "\(error)"])
            }
            giveUpInterface(of: key, because: error)
        }
    }

    /// Tells the tables of an endpoint, unless they know it: an edit counts as not in force until it is written.
    private func tell(_ edit: EndpointEdit) {
        switch edit {
        case .upsert(let spec):
            if endpoints.updateValue(spec, forKey: spec.pod) == spec { return }
        case .remove(let pod): endpoints[pod] = nil
        }
        tables.apply([.endpoint(edit)])
    }

    /// A pod whose interface can't be looked up now keeps its programs and its policy while the interface it had is
    /// there: without them its packets would pass unjudged.
    private func giveUpInterface(of key: PodKey, because problem: PodInterfaceProblem) {
        guard let old = interfaces[key], problem.isRefusal || finder.isGone(old.index) else { return }
        interfaces[key] = nil
        release(old.index, of: key)
        detach(old.index)
        tell(.remove(key))
    }

    /// The interface is no pod's any more. Its programs stay: processes of a pod whose object was deleted may live on,
    /// and without an endpoint all that they send is dropped. They go with the interface, or serve its next pod.
    private func release(_ index: UInt32, of key: PodKey) {
        if rules.holders[index] == key { rules.holders[index] = nil }
    }

    private func remove(_ key: PodKey) {
        unlocated[key] = nil
        if let old = interfaces.removeValue(forKey: key) { release(old.index, of: key) }
        tell(.remove(key))
    }

    /// An interface is gone, and its number may be another one's soon: nothing may lead to it any more.
    private func lose(_ index: UInt32) {
        let wasUplink = attachedUplinks.remove(index) != nil
        detach(behind: index)
        rules.holders[index] = nil
        kernel.forgetInterface(index)
        if wasUplink { attachUplinks() }
        let pods = interfaces.filter { $0.value.index == index }.map(\.key)
        guard !pods.isEmpty else { return }
        for pod in pods {
            interfaces[pod] = nil
            unlocated[pod] = .noRoute(state.localPods[pod]?.addresses ?? [])
            tell(.remove(pod))
        }
        if isSynced { program() }
    }

    /// Takes the programs off an interface that may not have them.
    func detach(_ index: UInt32) {
        do { try kernel.detachPod(index) } catch {
            log.warning("Programs could not be detached", metadata: ["ifindex": "\(index)", "error": "\(error)"])
        }
    }

    // MARK: Attaching

    /// Lets the programs of this build take over, puts them on every interface that should have them, and takes them off
    /// those that must not have them. What fails is tried again by `maintain`.
    func attachEverything() {
        var problems: [String: String] = [:]
        if !isActive {
            do {
                try kernel.activate()
                isActive = true
            } catch { problems["programs"] = "those that run could not be replaced: \(error)" }
        }
        attachPods()
        attachUplinks()
        do {
            try kernel.attachSockets(cgroup: try cgroupPath())
        } catch { problems["sockets"] = "Services are not translated at sockets: \(error)" }
        do { try kernel.attachTracepoints() } catch {
            log.warning("What TCP sends again is not counted", metadata: ["error": "\(error)"])
        }
        for name in nodeProblems.note(problems, at: KernelClock.monotonic()) {
            log.error("The node is not covered", metadata: ["what": "\(name)", "problem": "\(problems[name] ?? "")"])
        }
        guard keeping == nil else { return }
        kernel.detachOthers(uplinks: attachedUplinks)
    }

    /// Whether everything is attached that should be.
    func checkLinks() -> (count: Int, missing: [String]) {
        let handedOver = attachments.held.values.map(\.interface.index)
        return kernel.checkLinks(pods: Set(interfaces.values.map(\.index) + handedOver), uplinks: attachedUplinks)
    }

    private func cgroupPath() throws -> String {
        if let given = configuration.cgroup { return given }
        guard let mount = try MountTable.current().cgroup2Path else {
            throw AgentFailure("no cgroup v2 is mounted: mount one, or name a cgroup with --cgroup")
        }
        return mount
    }

    /// Puts programs on the interfaces of all pods, also on those that CNI plugins handed over before the pods' objects
    /// are known: without an endpoint they are closed. Call it after a pass: what that could not write has no endpoint
    /// or no policy in the maps, and the programs drop its packets, which would pass unjudged without them.
    func attachPods() {
        var problems: [String: String] = [:]
        for (pod, interface) in interfaces {
            do { try kernel.attachPod(interface.index) } catch {
                problems["\(pod)"] = "programs could not be attached to \(interface.name): \(error)"
            }
        }
        for held in attachments.strangers {
            do { try kernel.attachPod(held.interface.index) } catch {
                problems["\(held.podKey)"] = "programs could not be attached to \(held.interface.name): \(error)"
            }
        }
        for pod in podProblems.note(problems, at: KernelClock.monotonic()) {
            log.error("A pod is not covered", metadata: ["pod": "\(pod)", "problem": "\(problems[pod] ?? "")"])
        }
    }
}
