internal import Addressing
internal import Datapath
internal import LinuxKernel
internal import NetworkPolicy

/// Where a pod's traffic enters and leaves the node.
struct PodInterface: Sendable, Hashable {
    var index: UInt32
    var name: String
    /// The pod's end of the link; nil where it can't be known.
    var podAddress: MACAddress?
    var hostAddress: MACAddress
    /// The bridge that it is a port of.
    var bridge: UInt32?
    /// Whether it is a veth, so that packets can be handed to its peer.
    var isVeth: Bool
    /// Whether it is of a kind that leads to one network namespace or machine.
    var isMadeForOne: Bool

    /// The kinds that runtimes make for a pod.
    static let kindsForOne: Set<String> = ["veth", "netkit", "tun", "ipvtap", "macvtap"]
}

/// Why a pod's interface is not known.
enum PodInterfaceProblem: Error, Sendable, Hashable, CustomStringConvertible {
    case noRoute([IPAddress])
    case differentInterfaces([IPAddress])
    /// The interface leads out of the node.
    case uplink(String)
    /// The interface leads to a subnet, and is none that is made for a pod.
    case subnet(String, route: CIDR)
    /// The interface leads to more than one host.
    case shared(String, kind: String)
    /// Another pod is behind the interface.
    case taken(String, by: PodKey)
    /// Several are named, and any of them may be it.
    case ambiguous([String])
    case kernel(KernelError)

    var description: String {
        switch self {
        case .noRoute(let addresses):
            "no route of this node leads straight to \(Self.list(addresses)): its interface is not there yet"
        case .differentInterfaces(let addresses): "the routes to \(Self.list(addresses)) lead to different interfaces"
        case .uplink(let name):
            "its addresses are routed to \(name), which leads out of the node: a pod needs an interface of its own"
        case .subnet(let name, let route):
            "its addresses are routed to \(name) only as a part of \(route): a pod's interface is a veth, or has a route "
                + "of its own; if \(name) leads out of the node, name it with --uplink"
        case .shared(let name, let kind):
            "its addresses are routed to \(name), a \(kind) that others share: a pod needs an interface of its own"
        case .taken(let name, let other): "its addresses are routed to \(name), behind which pod \(other) is already"
        case .ambiguous(let names):
            "the plugins before apus-cni tell of \(names.joined(separator: " and ")): one veth has to lead to the pod"
        case .kernel(let error): "\(error)"
        }
    }

    /// Whether the interface may not have a pod's programs at all, rather than that none is known.
    var isRefusal: Bool {
        switch self {
        case .uplink, .subnet, .shared: true
        case .noRoute, .differentInterfaces, .taken, .ambiguous, .kernel: false
        }
    }

    private static func list(_ addresses: [IPAddress]) -> String {
        addresses.map(\.description).joined(separator: ", ")
    }
}

/// What an interface must not be for a pod to be behind it alone.
struct PodInterfaceRules: Sendable {
    /// The interfaces that lead out of the node.
    var uplinks: Set<UInt32> = []
    /// The pods behind interfaces so far.
    var holders: [UInt32: PodKey] = [:]

    /// Why programs for a pod may not go on an interface; nil when they may.
    func objection(to link: NetworkInterface, for pod: PodKey) -> PodInterfaceProblem? {
        if uplinks.contains(link.index) { return .uplink(link.name) }
        if link.isLoopback { return .shared(link.name, kind: "loopback") }
        if let kind = link.kind, kind == "bridge" { return .shared(link.name, kind: kind) }
        if let holder = holders[link.index], holder != pod { return .taken(link.name, by: holder) }
        return nil
    }
}

/// Finds the host-side interface of a pod by the route to its addresses, so that any CNI plugin that routes will do.
struct EndpointFinder: ~Copyable {
    private var netlink: Netlink

    init() throws(KernelError) { netlink = try Netlink() }

    /// The interface that all of a pod's addresses are routed to. An address without a route is passed over: it may
    /// come later, with an event.
    mutating func interface(
        for pod: LocalPod, _ rules: PodInterfaceRules
    ) throws(PodInterfaceProblem) -> PodInterface {
        var found: Set<UInt32> = []
        var routed: [IPAddress] = []
        for address in pod.addresses {
            guard let index = try interface(to: address) else { continue }
            found.insert(index)
            routed.append(address)
        }
        guard let index = found.first else { throw .noRoute(pod.addresses) }
        guard found.count == 1 else { throw .differentInterfaces(pod.addresses) }
        let interface = try interface(index, for: pod.key, rules)
        if !interface.isMadeForOne {
            for address in routed { try expectRouteOfItsOwn(address, by: interface.name) }
        }
        return interface
    }

    /// A network card that a subnet with the pod's address is on leads to other hosts, too: to all of them, where the
    /// pod's own interface is gone.
    private mutating func expectRouteOfItsOwn(
        _ address: IPAddress, by interface: String
    ) throws(PodInterfaceProblem) {
        let entry: Route?
        do throws(KernelError) { entry = try netlink.tableEntry(for: address) } catch { throw .kernel(error) }
        guard let entry, entry.destination.length < (address.isIPv4 ? 32 : 128) else { return }
        throw .subnet(interface, route: entry.destination)
    }

    /// The interface of a number, if a pod may be behind it.
    mutating func interface(
        _ index: UInt32, for pod: PodKey, _ rules: PodInterfaceRules
    ) throws(PodInterfaceProblem) -> PodInterface {
        let link = try interface(index)
        if let objection = rules.objection(to: link, for: pod) { throw objection }
        do throws(KernelError) {
            let peer = try netlink.peerAddress(ofInterface: index)
            guard let address = link.address else { throw KernelError.gone(index) }
            return PodInterface(
                index: index, name: link.name, podAddress: peer, hostAddress: address,
                bridge: try bridge(of: link), isVeth: link.kind == "veth",
                isMadeForOne: link.kind.map(PodInterface.kindsForOne.contains) ?? false)
        } catch {
            throw .kernel(error)
        }
    }

    private mutating func bridge(of link: NetworkInterface) throws(KernelError) -> UInt32? {
        guard let master = link.masterIndex, try netlink.interface(index: master)?.kind == "bridge" else { return nil }
        return master
    }

    /// The host's end of a pod's link: the one veth among the interfaces that are named, or where the routes lead to.
    ///
    /// A plugin that makes a bridge names that too, and others what they made for themselves; none of it is a veth.
    mutating func interface(
        named names: [String], for pod: LocalPod, _ rules: PodInterfaceRules
    ) throws(PodInterfaceProblem) -> PodInterface {
        var ends: [NetworkInterface] = []
        do throws(KernelError) {
            for name in names {
                if let link = try netlink.interface(named: name), link.kind == "veth" { ends.append(link) }
            }
        } catch {
            throw .kernel(error)
        }
        guard let end = ends.first else { return try interface(for: pod, rules) }
        guard ends.count == 1 else { throw .ambiguous(ends.map(\.name)) }
        return try interface(end.index, for: pod.key, rules)
    }

    private mutating func interface(_ index: UInt32) throws(PodInterfaceProblem) -> NetworkInterface {
        do throws(KernelError) {
            guard let link = try netlink.interface(index: index) else { throw KernelError.gone(index) }
            return link
        } catch {
            throw .kernel(error)
        }
    }

    /// Whether an interface is gone; false where the kernel does not say.
    mutating func isGone(_ index: UInt32) -> Bool {
        do { return try netlink.interface(index: index) == nil } catch { return false }
    }

    /// Whether an interface that was seen before is gone, or another one has its number; false where the kernel does not
    /// say.
    mutating func isAnother(_ seen: HeldAttachment.Interface) -> Bool {
        do {
            guard let link = try netlink.interface(index: seen.index) else { return true }
            return link.address.map { "\($0)" != seen.address } ?? true
        } catch {
            return false
        }
    }

    /// The interface behind which an address is directly; nil without a route to it.
    private mutating func interface(to address: IPAddress) throws(PodInterfaceProblem) -> UInt32? {
        do throws(KernelError) {
            guard let route = try netlink.route(to: address), route.kind == .unicast,
                let index = route.interfaceIndex, let link = try netlink.interface(index: index)
            else { return nil }
            // Through a gateway the pod is somewhere else; its own route has not been made yet.
            return route.gateway == nil && !link.isLoopback ? index : nil
        } catch {
            throw .kernel(error)
        }
    }

    /// The interface's number, for names given by a person; nil when there is none.
    mutating func index(ofInterface name: String) throws(KernelError) -> UInt32? {
        try netlink.interface(named: name)?.index
    }

    /// The interfaces that default routes lead out of.
    mutating func defaultUplinks() throws(KernelError) -> Set<UInt32> {
        Set(try netlink.routes().filter { $0.isDefault && $0.kind == .unicast }.compactMap(\.interfaceIndex))
    }

    /// The largest packet that every default route's interface takes; nil where there is none.
    mutating func uplinkMTU() -> UInt32? {
        guard let uplinks = try? defaultUplinks() else { return nil }
        return mtus(uplinks).min()
    }

    /// The largest packet that each of some interfaces takes.
    mutating func mtus(_ indexes: Set<UInt32>) -> [UInt32] {
        var sizes: [UInt32] = []
        for index in indexes { if let link = try? netlink.interface(index: index) { sizes.append(link.mtu) } }
        return sizes
    }

    /// All interfaces of the node.
    mutating func allInterfaces() throws(KernelError) -> [NetworkInterface] { try netlink.interfaces() }

    /// Those whose frames have Ethernet headers.
    mutating func ethernetInterfaces() throws(KernelError) -> Set<UInt32> {
        Set(try netlink.interfaces().filter { $0.address != nil }.map(\.index))
    }

    /// Whether the frames of an interface have Ethernet headers, which programs at uplinks read.
    mutating func hasEthernetHeader(_ index: UInt32) throws(KernelError) -> Bool {
        guard let interface = try netlink.interface(index: index) else { throw .gone(index) }
        return interface.address != nil
    }

    /// What the node sends from by each of these uplinks, of those besides Services' addresses.
    mutating func uplinkAddresses(
        _ uplinks: Set<UInt32>, besides virtual: Set<IPAddress>
    ) throws(KernelError) -> [UInt32: UplinkAddresses] {
        let least = UplinkAddresses.leastMTU(of: try netlink.routes(), by: uplinks)
        return UplinkAddresses.choose(for: uplinks, from: try netlink.addresses(), besides: virtual).mapValues {
            UplinkAddresses(v4: $0.v4, v6: $0.v6, routeMTU: least)
        }
    }

    /// The node's own addresses, those of loopback included.
    mutating func localAddresses() throws(KernelError) -> Set<IPAddress> {
        Set(try netlink.addresses().map(\.address))
    }
}

extension UplinkAddresses {
    /// The least that routes of IPv4 by any of these uplinks say that they take: to a route of several hops any of them
    /// may be the one. `bpf_fib_lookup` does not heed that, other than the stack; that of IPv6 no router does.
    static func leastMTU(of routes: [Route], by uplinks: Set<UInt32>) -> UInt32? {
        routes.filter { $0.destination.address.isIPv4 && !$0.interfaces.isDisjoint(with: uplinks) }.compactMap(\.mtu)
            .min()
    }

    /// What a node sends from by each of these uplinks: its first global address of a family, that of another uplink
    /// where it has none. One that may turn out to be another host's is left out, and one that Services have, which may
    /// move to another node, comes last.
    static func choose(
        for uplinks: Set<UInt32>, from addresses: [InterfaceAddress], besides virtual: Set<IPAddress>
    ) -> [UInt32: UplinkAddresses] {
        let usable = addresses.filter {
            uplinks.contains($0.interfaceIndex) && $0.scope == .global && !$0.isTentative
        }
        func first(_ index: UInt32, isIPv4: Bool) -> IPAddress? {
            let ofFamily = usable.filter { $0.address.isIPv4 == isIPv4 }
            let own = ofFamily.filter { !virtual.contains($0.address) }
            return [own, ofFamily].lazy.compactMap { candidates in
                candidates.first { $0.interfaceIndex == index } ?? candidates.first
            }.first?.address
        }
        return Dictionary(
            uniqueKeysWithValues: uplinks.map {
                ($0, UplinkAddresses(v4: first($0, isIPv4: true), v6: first($0, isIPv4: false)))
            })
    }
}

extension Route {
    /// Those that it leads out of.
    var interfaces: Set<UInt32> { Set([interfaceIndex].compactMap { $0 } + furtherInterfaces) }
}

extension KernelError {
    static func gone(_ index: UInt32) -> KernelError {
        KernelError(operation: "look at interface \(index)", errno: .noDevice)
    }
}
