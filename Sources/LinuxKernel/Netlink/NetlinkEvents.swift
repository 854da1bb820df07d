internal import CLinux
internal import Glibc

/// A change of the interfaces, addresses or routes of a namespace.
public enum NetlinkEvent: Sendable, Hashable {
    /// An interface is new or one of its properties changed.
    case interfaceChanged(NetworkInterface)
    case interfaceRemoved(NetworkInterface)
    case addressAdded(InterfaceAddress)
    case addressRemoved(InterfaceAddress)
    case routeAdded(Route)
    case routeRemoved(Route)
    /// What is known of a neighbour; with those of an event sequence that follows them only.
    case neighbourChanged(Neighbour)
    case neighbourRemoved(Neighbour)
    /// The kernel had no room for events and dropped some: list everything again.
    case overrun
}

extension NetlinkEvent {
    init?(_ message: NetlinkMessage) {
        let event: NetlinkEvent? =
            switch message.type {
            case NetlinkType.newLink: NetworkInterface(message).map { .interfaceChanged($0) }
            case NetlinkType.deleteLink: NetworkInterface(message).map { .interfaceRemoved($0) }
            case NetlinkType.newAddress: InterfaceAddress(message).map { .addressAdded($0) }
            case NetlinkType.deleteAddress: InterfaceAddress(message).map { .addressRemoved($0) }
            case NetlinkType.newRoute: Route(message).map { .routeAdded($0) }
            case NetlinkType.deleteRoute: Route(message).map { .routeRemoved($0) }
            // What comes and goes by itself is nobody's intent, and there is much of it.
            case NetlinkType.newNeighbour:
                Neighbour(message).flatMap { $0.isPermanent ? .neighbourChanged($0) : nil }
            case NetlinkType.deleteNeighbour: Neighbour(message).map { .neighbourRemoved($0) }
            default: nil
            }
        guard let event else { return nil }
        self = event
    }
}

/// The changes of one network namespace, from the moment this was made.
///
/// Make it first, list with `Netlink` then: no change is lost in between. One task iterates. Ends when that task is cancelled.
public struct NetlinkEvents: AsyncSequence, Sendable {
    public typealias Element = NetlinkEvent
    public typealias Failure = KernelError

    private let source: SharedDescriptor

    /// RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE (include/uapi/linux/rtnetlink.h).
    private static let groups: [Int32] = [1, 5, 7, 9, 11]
    /// RTNLGRP_NEIGH.
    private static let neighbourGroup: Int32 = 3
    /// Room in the kernel for what a slow consumer has not read: about ten thousand changes.
    public static let defaultBufferSize = 8 << 20

    /// Follows the namespace of this process, or the one at a path.
    ///
    /// - Parameter neighbours: whether permanent neighbours, and all that go, are followed too.
    public init(
        inNamespaceAt path: String? = nil, bufferSize: Int = defaultBufferSize, neighbours: Bool = false
    ) throws(KernelError) {
        let descriptor = try NetlinkSocket.open(namespace: path)
        try check(clinux_netlink_bind(descriptor.number), "bind netlink socket")
        try check(clinux_set_receive_buffer(descriptor.number, Int32(clamping: bufferSize)), "size netlink buffer")
        let groups = Self.groups + (neighbours ? [Self.neighbourGroup] : [])
        for group in groups { try check(clinux_netlink_join(descriptor.number, group), "join netlink group") }
        source = SharedDescriptor(descriptor)
    }

    public func makeAsyncIterator() -> Iterator { Iterator(source: source) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let source: SharedDescriptor
        private var pending: [NetlinkEvent] = []
        private var next = 0
        private var buffer: [UInt8] = []

        fileprivate init(source: SharedDescriptor) {
            self.source = source
            buffer = [UInt8](repeating: 0, count: 64 * 1024)
        }

        public mutating func next() async throws(KernelError) -> NetlinkEvent? {
            try await next(isolation: nil)
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(KernelError) -> NetlinkEvent? {
            while next == pending.count {
                pending.removeAll(keepingCapacity: true)
                next = 0
                if try !receive() {
                    guard try await source.waitUntilReadable() else { return nil }
                }
            }
            defer { next += 1 }
            return pending[next]
        }

        /// Reads one datagram; returns false when none waits.
        private mutating func receive() throws(KernelError) -> Bool {
            let number = source.descriptor.number
            let count = buffer.withUnsafeMutableBytes {
                clinux_receive(number, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT) | Int32(MSG_TRUNC))
            }
            switch Errno(rawValue: Int32(clamping: -count)) {
            case .wouldBlock: return false
            case .interrupted: return true
            case .noBuffers: pending.append(.overrun)
            default:
                try check(count, "read netlink events")
                // A cut message is as good as a lost one.
                if count > buffer.count { pending.append(.overrun) }
                pending += NetlinkMessage.parse(buffer.prefix(count)).compactMap { NetlinkEvent($0) }
            }
            return true
        }
    }
}

/// A descriptor that a sequence and its iterator share.
final class SharedDescriptor: Sendable {
    let descriptor: FileDescriptor

    init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// Returns false when the task was cancelled.
    func waitUntilReadable() async throws(KernelError) -> Bool {
        do throws(KernelError) {
            try await Readiness.shared.waitUntilReadable(descriptor)
            return true
        } catch  where error.errno == .cancelled {
            return false
        }
    }
}
