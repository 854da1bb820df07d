internal import BPF
internal import Foundation
internal import Glibc
internal import LinuxKernel
internal import NodeRouting

/// Looks at this machine.
package struct HostProbe: NodeProbe {
    package init() {}

    package func facts(directory: String, uplinks: [String]) -> NodeFacts {
        let links = (try? Self.interfaces()) ?? []
        let uplinks = uplinks.isEmpty ? Self.defaultUplinks(links) : uplinks
        let tables = FirewallTables.read()
        var facts = NodeFacts(
            isRoot: geteuid() == 0, kernelRelease: (try? KernelVersion.runningRelease()) ?? "unknown",
            features: FeatureProbe.all(), cgroup2Path: (try? MountTable.current())?.cgroup2Path,
            directory: directory, pinDirectory: Self.pinDirectory(directory), compilesPrograms: Self.compilesPrograms(),
            uplinks: uplinks, foreignPrograms: ForeignPrograms.find(links, uplinks, directory),
            traces: Self.traces(links, tables), gaps: tables.gaps)
        facts.forwards = (Self.setting("ipv4/ip_forward") != 0, Self.setting("ipv6/conf/all/forwarding") != 0)
        facts.overlays = links.filter { $0.vxlan != nil && $0.alias == OverlayDevice.mark }.map(\.name)
        facts.strictInterfaces = Self.strictInterfaces(uplinks + facts.overlays)
        return facts
    }

    /// Of each interface and of all, the larger value counts (Documentation/networking/ip-sysctl.rst).
    private static func strictInterfaces(_ names: [String]) -> [String] {
        let all = setting("ipv4/conf/all/rp_filter") ?? 0
        return names.filter { max(all, setting("ipv4/conf/\($0)/rp_filter") ?? 0) == 1 }
    }

    /// A number below /proc/sys/net; nil where there is none.
    private static func setting(_ path: String) -> Int? {
        let text = try? String(contentsOfFile: "/proc/sys/net/\(path)", encoding: .utf8)
        return text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    private static func interfaces() throws(KernelError) -> [NetworkInterface] {
        var netlink = try Netlink()
        return try netlink.interfaces()
    }

    private static func routes() throws(KernelError) -> [Route] {
        var netlink = try Netlink()
        return try netlink.routes()
    }

    private static func defaultUplinks(_ links: [NetworkInterface]) -> [String] {
        let routes = (try? Self.routes()) ?? []
        let indexes = routes.filter { $0.isDefault && $0.kind == .unicast }.compactMap(\.interfaceIndex)
        return links.filter { indexes.contains($0.index) }.map(\.name)
    }

    /// A directory that does not exist yet counts as what the one above it is.
    static func pinDirectory(_ directory: String) -> NodeFacts.PinDirectory {
        var path = directory
        while true {
            do throws(KernelError) {
                guard try BPFFileSystem.holds(path) else { return .notOnBPFFileSystem }
                return path == directory ? .ready : .canBeMade
            } catch {
                guard error.errno == .noEntry, path.count > 1, let slash = path.lastIndex(of: "/") else {
                    return .unknown("\(error)")
                }
                path = slash == path.startIndex ? "/" : String(path[..<slash])
            }
        }
    }

    private static func compilesPrograms() -> Bool? {
        let setting = try? String(contentsOfFile: "/proc/sys/net/core/bpf_jit_enable", encoding: .utf8)
        return setting.map { !$0.hasPrefix("0") }
    }

    private static func traces(_ links: [NetworkInterface], _ tables: FirewallTables) -> [NodeFacts.Trace] {
        let paths = OtherSoftware.all.flatMap { software in
            software.paths.filter { FileManager.default.fileExists(atPath: $0) }.map {
                NodeFacts.Trace(owner: software.name, place: $0)
            }
        }
        return OtherSoftware.traces(ofProcesses: processes()) + OtherSoftware.traces(ofChains: tables.chains)
            + OtherSoftware.traces(ofTables: tables.tables) + OtherSoftware.traces(ofInterfaces: links.map(\.name))
            + paths
    }

    /// The names of all processes that this one can see.
    private static func processes() -> [String] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.filter { $0.first?.isNumber == true }.compactMap { number in
            let name = try? String(contentsOfFile: "/proc/\(number)/comm", encoding: .utf8)
            return name?.trimmingCharacters(in: .newlines)
        }
    }
}

/// Programs on the uplinks that Apus did not attach.
private enum ForeignPrograms {
    static func find(
        _ links: [NetworkInterface], _ uplinks: [String], _ directory: String
    ) -> [NodeFacts.ForeignProgram] {
        let ours = ownPrograms(directory)
        return links.filter { uplinks.contains($0.name) }.flatMap { link in
            TrafficSide.allCases.flatMap { tcx(link, $0, ours) } + classifiers(link) + xdp(link, ours)
        }
    }

    /// The programs of the links that are pinned under our directory.
    private static func ownPrograms(_ directory: String) -> Set<UInt32> {
        let pins = (try? FileManager.default.contentsOfDirectory(atPath: directory + "/links")) ?? []
        return Set(
            pins.compactMap { pin in
                try? BPFLink.open(pinned: "\(directory)/links/\(pin)").info().programID
            })
    }

    private static func tcx(
        _ link: NetworkInterface, _ side: TrafficSide, _ ours: Set<UInt32>
    ) -> [NodeFacts.ForeignProgram] {
        let all = (try? BPFProgram.attached(toInterface: link.index, side)) ?? []
        return all.filter { !ours.contains($0) }.map { number in
            let name = (try? BPFProgram.open(id: number).info().name) ?? ""
            return NodeFacts.ForeignProgram(
                interface: link.name, side: side, kind: "tcx", name: name.isEmpty ? "program \(number)" : name)
        }
    }

    /// Where somebody else's is, there is no room for ours.
    private static func xdp(_ link: NetworkInterface, _ ours: Set<UInt32>) -> [NodeFacts.ForeignProgram] {
        guard let program = link.xdp, !ours.contains(program.id) else { return [] }
        let name = (try? BPFProgram.open(id: program.id).info().name) ?? ""
        return [
            NodeFacts.ForeignProgram(
                interface: link.name, side: .ingress, kind: "xdp",
                name: name.isEmpty ? "program \(program.id)" : name)
        ]
    }

    private static func classifiers(_ link: NetworkInterface) -> [NodeFacts.ForeignProgram] {
        let filters = (try? TrafficFilter.list(onInterface: link.index)) ?? []
        return filters.map {
            NodeFacts.ForeignProgram(
                interface: link.name, side: $0.isIngress ? .ingress : .egress, kind: "tc", name: $0.name ?? $0.kind)
        }
    }
}
