internal import BPF
internal import Glibc
internal import LinuxKernel

/// The directory of the pins: `maps` in use, `maps-next` while others are made beside them, and `links`.
struct PinDirectory: Sendable {
    let root: String

    var maps: String { root + "/maps" }
    var nextMaps: String { root + "/maps-next" }
    var links: String { root + "/links" }

    func map(_ name: String) -> String { "\(maps)/\(name)" }
    func nextMap(_ name: String) -> String { "\(nextMaps)/\(name)" }
    func link(_ name: String) -> String { "\(links)/\(name)" }

    /// Makes the directories; fails where no bpffs is mounted.
    func prepare() throws(DatapathError) {
        let parent = root.lastIndex(of: "/").map { String(root[..<$0]) } ?? "."
        let isThere = (try? BPFFileSystem.holds(root)) ?? (try? BPFFileSystem.holds(parent)) ?? false
        guard isThere else {
            throw DatapathError(
                "\(root) is not on a bpf file system: mount one (mount -t bpf bpf \(parent)), or name another directory "
                    + "with --bpffs")
        }
        for directory in [root, maps, links] { try make(directory) }
    }

    func make(_ directory: String) throws(DatapathError) {
        if mkdir(directory, 0o700) == 0 { return }
        let code = Glibc.errno
        guard code != EEXIST else { return }
        throw DatapathError("\(directory) can't be made: \(LinuxKernel.Errno(rawValue: code))")
    }

    /// The names in one of the directories, sorted; empty where it does not exist.
    func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Puts all maps of the loaded programs in the place of those before at once, so that no start finds some of both: a
    /// version and what it says belong together. Other pins in there stay.
    func adoptNextMaps(with all: [String: DatapathKernel.MapBox]) throws {
        let fresh = Set(names(in: nextMaps))
        for (name, box) in all where !fresh.contains(name) { try box.map.pin(at: nextMap(name)) }
        do throws(KernelError) { try exchange(nextMaps, maps) } catch {
            throw DatapathError("\(nextMaps) can't take the place of \(maps): \(error)")
        }
        for name in names(in: nextMaps) where !Self.isOurs(map: name) { rename(nextMap(name), map(name)) }
        discardNextMaps()
    }

    /// Removes what an interrupted start left beside.
    func discardNextMaps() {
        for name in names(in: nextMaps) { _ = try? unpin(nextMap(name)) }
        rmdir(nextMaps)
    }

    /// Whether Apus makes a pin of this name in a directory of maps; the other kind is that of links.
    static func isOurs(map name: String) -> Bool { PinnedMap(rawValue: name) != nil || scratch.contains(name) }

    /// Maps in which the programs put something together, which nobody reads, and what they hand over to the agent; also
    /// `answer_path`, which version 6 of the maps had, and what names are hashed
    /// from, and what pods and policies have of what all share.
    private static let scratch: Set<String> = [
        "new_connection", "service_copies", "quote_chunks", "dns_message", "dns_addresses", "learned_peer", "learning",
        "question_key",
        "dns_messages",
        "new_question", "answer_path", "dns_streams", "pod_questions", "pod_question_counts", "pod_question_places",
        "name_seed", "error_subjects", "learned_shares", "ring_shares",
    ]

    /// Removes every pin of Apus and the directories, if nothing else is in them. Returns what was removed.
    func removeAll() throws(BPFError) -> [String] {
        var removed: [String] = []
        for directory in [links, nextMaps, maps] {
            let ours = names(in: directory).filter {
                directory == links ? Attachment($0) != nil : Self.isOurs(map: $0)
            }
            for name in ours where try unpin("\(directory)/\(name)") {
                removed.append("\(directory)/\(name)")
            }
            rmdir(directory)
        }
        rmdir(root)
        return removed
    }
}
