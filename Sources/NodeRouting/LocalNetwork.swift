public import Addressing

/// What this node's own interfaces reach directly.
public struct LocalNetwork: Sendable, Hashable {
    /// An address of an interface, with what is on its link.
    public struct Link: Sendable, Hashable, Comparable {
        /// The number of the interface.
        public var index: UInt32
        public var address: IPAddress
        /// The addresses that are on the link.
        public var prefix: CIDR
        public var mtu: UInt32

        public init(index: UInt32, address: IPAddress, prefix: CIDR, mtu: UInt32) {
            self.index = index
            self.address = address
            self.prefix = prefix
            self.mtu = mtu
        }

        /// The most specific first; of equal ones the oldest interface, as the kernel's own route would be.
        public static func < (left: Link, right: Link) -> Bool {
            (-left.prefix.length, left.index, left.address) < (-right.prefix.length, right.index, right.address)
        }
    }

    /// In the order in which they are tried.
    public let links: [Link]

    public init(links: [Link] = []) { self.links = links.sorted() }

    /// The link that an address is on; nil where it takes a router.
    func link(to address: IPAddress) -> Link? { links.first { $0.prefix.contains(address) } }

    /// The link that has an address of this node.
    func link(with address: IPAddress) -> Link? { links.first { $0.address == address } }
}
