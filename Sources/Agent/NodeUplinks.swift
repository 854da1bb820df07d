internal import Addressing
internal import Datapath
internal import LinuxKernel
internal import Logging

/// The controller's part about interfaces that lead out of the node.
extension NodeController {
    /// Whether an uplink that was named is there anew.
    func isNews(ofUplink interface: NetworkInterface) -> Bool {
        configuration.uplinks.contains(interface.name) && !attachedUplinks.contains(interface.index)
    }

    /// Looks up the uplinks and puts programs on each, whatever becomes of the others; before the first sync they are
    /// only looked up, as no pod can be behind them.
    func attachUplinks() {
        var problems: [String: String] = [:]
        let wanted = lookUpUplinks(&problems)
        servedUplinks = Set(wanted.map(\.index))
        if isSynced { freeUplinks() }
        for (name, index) in wanted where isSynced {
            do {
                guard try finder.hasEthernetHeader(index) else {
                    problems[name] =
                        "it is no Ethernet interface: what comes in by it is judged at the pods, by way of the stack"
                    continue
                }
                try kernel.attachUplink(index)
                attachedUplinks.insert(index)
            } catch {
                problems[name] = "programs could not be attached: \(error)"
                servedUplinks.remove(index)
            }
        }
        for name in uplinkProblems.note(problems, at: KernelClock.monotonic()) {
            log.error(
                "An uplink is not attached", metadata: ["uplink": "\(name)", "problem": "\(problems[name] ?? "")"])
        }
        if refreshUplinkAddresses(), isSynced { program() }
        if isSynced { settleShortcuts() }
    }

    /// Puts the programs for what leaves on the uplinks. Those of this build serve clients outside as soon as they take
    /// over from others, of an earlier version maybe, which had none for their answers.
    func prepareUplinks() {
        for index in servedUplinks {
            do {
                if try finder.hasEthernetHeader(index) { try kernel.attachUplinkEgress(index) }
            } catch {
                // Told of when the rest is attached.
                servedUplinks.remove(index)
            }
        }
    }

    /// Whether what leaves by an uplink may be shorter for the route than for others.
    func limitsUplinks(_ route: Route) -> Bool {
        route.mtu != nil && route.destination.address.isIPv4 && !route.interfaces.isDisjoint(with: servedUplinks)
    }

    /// Looks up what the node sends from by its uplinks; true when that is news.
    func refreshUplinkAddresses() -> Bool {
        do {
            virtualAddresses = state.localVirtualAddresses
            let addresses = try finder.uplinkAddresses(servedUplinks, besides: virtualAddresses)
            let sources = Set(addresses.values.flatMap { [$0.v4, $0.v6] }.compactMap { $0 })
            let edits = state.setSourceAddresses(sources)
            tables.apply(edits)
            // By others nothing is translated, as they have no programs.
            let ethernet = try finder.ethernetInterfaces()
            let withPrograms = addresses.filter { ethernet.contains($0.key) }
            return tables.setUplinks(withPrograms, masquerading: masqueradingUplinks) || !edits.isEmpty
        } catch {
            log.error("The addresses of uplinks could not be listed", metadata: ["error": "\(error)"])
            return false
        }
    }

    /// Takes pods' programs off interfaces that lead out of the node: one may have been a pod's before.
    private func freeUplinks() {
        let held = Set(interfaces.values.map(\.index))
        for index in rules.uplinks.subtracting(held) { detach(index) }
    }

    /// The uplinks that programs go on.
    private func lookUpUplinks(_ problems: inout [String: String]) -> [(name: String, index: UInt32)] {
        do throws(KernelError) {
            let defaults = try finder.defaultUplinks()
            var named: [(name: String, index: UInt32)] = []
            for name in configuration.uplinks {
                if let index = try finder.index(ofInterface: name) {
                    named.append((name, index))
                } else {
                    problems[name] =
                        "there is no such interface (--uplink \(name)); programs are attached when it comes"
                }
            }
            let others = routes.uplinks
            rules.uplinks = defaults.union(named.map(\.index)).union(others)
            let unnamed = (configuration.uplinks.isEmpty ? defaults.union(others) : others).subtracting(
                named.map(\.index))
            return named + unnamed.sorted().map { ("interface \($0)", $0) }
        } catch {
            problems["uplinks"] = "the routes out of this node can't be listed: \(error)"
            return []
        }
    }
}
