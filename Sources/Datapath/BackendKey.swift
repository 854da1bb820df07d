internal import Addressing
internal import DatapathABI
internal import LoadBalancing

/// What an entry of `backends` is about.
struct BackendKey: Hashable, Sendable {
    let address: SocketAddress
    let ipProtocol: IPProtocol
    /// Whose it is: all Service ports that lead to the address, or one of them.
    let owner: UInt32

    /// The one that everybody has.
    init(_ address: SocketAddress, _ ipProtocol: IPProtocol, owner: UInt32 = UInt32(APUS_BACKEND_OF_ALL)) {
        self.address = address
        self.ipProtocol = ipProtocol
        self.owner = owner
    }

    init(_ entry: apus_backend) {
        self.init(entry.socketAddress, IPProtocol(rawValue: entry.protocol), owner: entry.in_use)
    }

    var isOfAll: Bool { owner == UInt32(APUS_BACKEND_OF_ALL) }

    /// The same address as everybody has it.
    var ofAll: BackendKey { BackendKey(address, ipProtocol) }
}

extension ServiceProgram {
    /// Whose the entries are to which a frontend leads. Datagrams leave what serves their Service port no more, so its
    /// entries are its own. A hash of its name, which any start finds again (FNV-1a).
    func backendOwner(_ ipProtocol: IPProtocol) -> UInt32 {
        guard ipProtocol == .udp else { return UInt32(APUS_BACKEND_OF_ALL) }
        let hash = ServiceDirectory.name(self).utf8.reduce(2_166_136_261 as UInt32) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return max(hash, UInt32(APUS_BACKEND_OF_ALL) + 1)
    }
}
