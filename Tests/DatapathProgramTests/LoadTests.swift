internal import BPF
internal import DatapathABI
internal import DatapathObjects
internal import Testing

@Suite("The objects")
struct LoadTests {
    static let images: [BPFObjectImage] = [.pod, .uplink, .socket, .names, .retransmission, .ending, .xdp]

    @Test("Every program passes the verifier, with redirection on and off", arguments: [0, 1] as [UInt8])
    func load(redirect: UInt8) throws {
        for image in Self.images {
            var object = try BPFObject(image: image.bytes.span.bytes, name: image.name)
            var config = DatapathFixture.defaults
            config.redirect_peer = redirect
            config.redirect_uplink = redirect
            try object.setConstant("config", to: config)
            for name in ["connections", "half_open"] where object.mapNames.contains(name) {
                try object.setMaxEntries(1024, ofMap: name)
            }
            try object.load()
            for name in object.programNames {
                let info = try object.program(name).info()
                print(
                    "\(image.name)/\(name): \(info.instructionCount) instructions, \(info.verifiedInstructions) verified"
                )
                // The limit is a million; a program near it would break with the next kernel's verifier. The most is
                // from_pod's and from_network's: 643,000 and 661,000 with redirection.
                #expect(info.verifiedInstructions < 700_000)
            }
        }
    }
}
