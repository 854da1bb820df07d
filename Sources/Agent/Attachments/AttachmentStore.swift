internal import AgentAPI
internal import FoundationEssentials

/// Files that keep attachments over a restart of the agent, one for each. They are where the socket is, on a file
/// system that a reboot empties, as it ends all pods.
struct AttachmentStore: Sendable {
    private static let suffix = ".json"
    let directory: String

    /// The place that belongs to a socket: `/run/apus/apus.sock` has `/run/apus/apus.attachments`.
    init(socket: String) {
        directory = (socket.hasSuffix(".sock") ? String(socket.dropLast(5)) : socket) + ".attachments"
    }

    /// Everything that is kept. What can't be read is of no use and goes.
    func load() -> [HeldAttachment] {
        names.compactMap { name in
            let path = "\(directory)/\(name)"
            guard let data = try? Data(contentsOf: URL(filePath: path)),
                let held = try? JSONDecoder().decode(HeldAttachment.self, from: data)
            else {
                try? FileManager.default.removeItem(atPath: path)
                return nil
            }
            return held
        }
    }

    /// Keeps an attachment.
    func write(_ held: HeldAttachment) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try JSONEncoder().encode(held).write(to: URL(filePath: path(of: held.key)), options: .atomic)
    }

    /// Forgets one; nothing happens where there is none.
    func remove(_ key: AttachmentKey) { try? FileManager.default.removeItem(atPath: path(of: key)) }

    /// Removes all of them with the directory.
    func removeAll() { try? FileManager.default.removeItem(atPath: directory) }

    private var names: [String] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return all.filter { $0.hasSuffix(Self.suffix) }.sorted()
    }

    /// None of the parts has a slash: they are checked when they come in.
    private func path(of key: AttachmentKey) -> String {
        "\(directory)/\(key.network)+\(key.container)+\(key.interface)\(Self.suffix)"
    }
}

extension AttachmentKey {
    /// Whether its parts can be parts of a file's name.
    var isUsable: Bool {
        [network, container, interface].allSatisfy { part in
            !part.isEmpty && part.utf8.count <= 200 && part.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "/") }
        }
    }
}
