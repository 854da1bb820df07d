internal import Datapath
internal import LinuxKernel
internal import Logging

/// The interfaces that lead out of the node, as far as they are there.
struct UplinkState: Sendable {
    /// How long to wait before what failed is tried again, in nanoseconds.
    private static let retryDelay: UInt64 = 1_000_000_000

    /// The indexes of the interfaces that programs are on.
    var attached: Set<UInt32> = []
    /// Why programs are not where they should be, by what a person calls the uplink.
    private(set) var problems: [String: String] = [:]
    private var lastTry: UInt64 = 0

    /// Takes in the outcome of a try. Returns the names of uplinks with a problem that is news.
    mutating func note(_ found: [String: String], at now: UInt64) -> [String] {
        defer {
            problems = found
            lastTry = now
        }
        return found.filter { problems[$0.key] != $0.value }.keys.sorted()
    }

    /// Whether what failed should be tried again.
    func isDue(at now: UInt64) -> Bool { !problems.isEmpty && now - lastTry >= Self.retryDelay }
}

/// The controller's part about interfaces that lead out of the node.
extension NodeController {
    /// Whether an uplink that was named is there anew.
    func isNews(ofUplink interface: NetworkInterface) -> Bool {
        configuration.uplinks.contains(interface.name) && !uplinks.attached.contains(interface.index)
    }

    /// Looks up the uplinks and puts programs on each, whatever becomes of the others; before the first sync they are
    /// only looked up, as no pod can be behind them.
    func attachUplinks() {
        var problems: [String: String] = [:]
        let wanted = lookUpUplinks(&problems)
        for (name, index) in wanted where isSynced {
            do {
                try kernel.attachUplink(index)
                uplinks.attached.insert(index)
            } catch {
                problems[name] = "programs could not be attached: \(error)"
            }
        }
        for name in uplinks.note(problems, at: KernelClock.monotonic()) {
            log.error(
                "An uplink is not attached", metadata: ["uplink": "\(name)", "problem": "\(problems[name] ?? "")"])
        }
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
            rules.uplinks = defaults.union(named.map(\.index))
            return configuration.uplinks.isEmpty ? defaults.sorted().map { ("interface \($0)", $0) } : named
        } catch {
            problems["uplinks"] = "the routes out of this node can't be listed: \(error)"
            return []
        }
    }
}
