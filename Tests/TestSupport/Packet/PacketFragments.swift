internal import Addressing

extension Packet {
    /// The packet cut into fragments: each has at most `size` bytes after its IP headers.
    ///
    /// - Parameter size: Rounded down to a multiple of 8.
    public func fragments(of size: Int, identification: UInt32 = 7) -> [Packet] {
        guard let network = layers.firstIndex(where: { $0.addresses != nil }) else { return [self] }
        // Extension headers stay whole in every fragment: a first one that lacks some of them is malformed (RFC 7112).
        let index = layers.indices.dropFirst(network + 1).first { !layers[$0].isExtension } ?? layers.endIndex
        // The checksum covers the whole, so what is cut is the encoded inside of the headers.
        let outer = Array(layers[..<index])
        let header = Packet(layers: outer, payload: []).bytes.count
        let inside = Array(bytes.dropFirst(header))
        let ipProtocol = index < layers.count ? layers[index].ipProtocol : .noNextHeader
        let step = max(8, size / 8 * 8)
        return stride(from: 0, to: inside.count, by: step).map { offset in
            let end = min(offset + step, inside.count)
            let fragment = Fragment(offset: offset, more: end < inside.count)
            return Packet(layers: outer, payload: Array(inside[offset..<end]))
                .asFragment(fragment, ipProtocol, identification: identification)
        }
    }

    /// This packet, whose innermost header is an IP header, as one fragment.
    private func asFragment(_ fragment: Fragment, _ ipProtocol: IPProtocol, identification: UInt32) -> Packet {
        var copy = self
        switch layers.last {
        case .ipv4(var header):
            header.fragment = fragment
            header.ipProtocol = ipProtocol
            header.identification = UInt16(truncatingIfNeeded: identification)
            copy.layers[layers.count - 1] = .ipv4(header)
        default:
            copy = copy.ipv6Fragment(fragment, identification: identification, nextHeader: ipProtocol)
        }
        return copy
    }
}
