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

    /// What is kept, and what of it can't be read. Only what is not there is nothing: a note that can't be read now stays,
    /// as it may be read by the next start.
    func load() -> (held: [HeldAttachment], problems: [String]) {
        var problems: [String] = []
        var held: [HeldAttachment] = []
        do {
            for name in try names() {
                do { if let note = try read("\(directory)/\(name)") { held.append(note) } } catch {
                    problems.append("\(directory)/\(name): \(error)")
                }
            }
        } catch { problems.append("\(directory): \(error)") }
        return (held, problems)
    }

    /// nil where there is none.
    private func read(_ path: String) throws -> HeldAttachment? {
        let data: Data
        do { data = try Data(contentsOf: URL(filePath: path)) } catch let error as CocoaError where error.isAbsence {
            return nil
        }
        return try JSONDecoder().decode(HeldAttachment.self, from: data)
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

    private func names() throws -> [String] {
        do {
            let all = try FileManager.default.contentsOfDirectory(atPath: directory)
            return all.filter { $0.hasSuffix(Self.suffix) }.sorted()
        } catch let error as CocoaError where error.isAbsence {
            return []
        }
    }

    /// None of the parts has a slash: they are checked when they come in.
    private func path(of key: AttachmentKey) -> String {
        "\(directory)/\(key.network)+\(key.container)+\(key.interface)\(Self.suffix)"
    }
}

extension CocoaError {
    /// Whether there is no such file.
    fileprivate var isAbsence: Bool { code == .fileReadNoSuchFile || code == .fileNoSuchFile }
}

extension AttachmentKey {
    /// Whether its parts can be parts of a file's name.
    var isUsable: Bool {
        [network, container, interface].allSatisfy { part in
            !part.isEmpty && part.utf8.count <= 200 && part.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "/") }
        }
    }
}
