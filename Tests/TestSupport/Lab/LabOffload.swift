/// What a veth leaves to the other end, or makes of what that sends (ethtool(8)).
public enum LabOffload: Sendable {
    /// Checksums and segments are made where they are received, which is never: off, frames are as on a wire.
    case checksums
    /// Frames that are received are merged, for which they take the way of a card's (NAPI); XDP needs it of a receiver.
    case receive

    /// ETHTOOL_STXCSUM and ETHTOOL_SGRO (include/uapi/linux/ethtool.h).
    fileprivate var command: UInt32 {
        switch self {
        case .checksums: 0x17
        case .receive: 0x2c
        }
    }
}

extension LabHost {
    /// Switches an offload of its interface, or of the other end of that in the fabric.
    public func setOffload(_ offload: LabOffload, on isOn: Bool, ofPeer: Bool = false) async throws(LabError) {
        let shown = try await output(["ip", "-o", "link", "show", "dev", interface])
        let script = """
            import ctypes, fcntl, socket, struct, sys
            name, command, value = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
            if name.isdigit():
                name = socket.if_indextoname(int(name))
            buffer = bytearray(struct.pack("II", command, value))
            place = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
            request = struct.pack("16sP", name.encode(), place) + bytes(16)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                fcntl.ioctl(control, 0x8946, request)
            """
        let peer = shown.split(separator: "@if").dropFirst().first?.prefix { $0.isNumber } ?? ""
        let target = ofPeer ? String(peer) : interface
        let command = ["python3", "-c", script, target, "\(offload.command)", isOn ? "1" : "0"]
        guard ofPeer else {
            try await output(command)
            return
        }
        let fabric = namespace.dropLast(name.count) + LabScript.fabric
        let result = try await TestSupport.run(["nsenter", "--net=/run/netns/\(fabric)", "--"] + command)
        guard result.succeeded else { throw LabError("set an offload of the fabric", result.errors) }
    }
}
