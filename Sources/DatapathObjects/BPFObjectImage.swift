internal import FoundationEssentials

/// A compiled BPF object, embedded in the binary by the build.
///
/// The build adds one static member per program file in `bpf/programs`, and in tests one per file in `bpf/tests`.
public struct BPFObjectImage: Sendable {
    /// The file's name without its ending, for messages.
    public let name: String
    private let base64: StaticString

    package init(name: String, base64: StaticString) {
        self.name = name
        self.base64 = base64
    }

    /// The ELF file. Decoded with each use: it is needed once, when the programs are loaded.
    public var bytes: [UInt8] {
        base64.withUTF8Buffer { text in [UInt8](Data(base64Encoded: Data(text)) ?? Data()) }
    }
}
