internal import Foundation

/// Removal of labs: the same script at the end of a test, after a crash of the test process, and when sweeping.
enum LabRemoval {
    /// Where every lab keeps its directory.
    static let root = "/run/apus-lab"

    /// Removes what carries the lab's name, whatever of it exists. `$1` is the lab, `$2` the cgroup v2 mount.
    ///
    /// An agent that somebody started from a shell is in the shell's cgroup: it is who holds the lock of the lab's pins.
    /// /proc/locks names a file by its device, in hexadecimal digits, and its inode.
    static let script = """
        lab=$1 groups=$2/$1 directory=\(root)/$1 tries=0
        [ ! -e "$groups/cgroup.kill" ] || echo 1 >"$groups/cgroup.kill"
        while [ -e "$groups" ] && [ $tries -lt 200 ]; do
            find "$groups" -depth -type d -exec rmdir {} + 2>/dev/null && break
            tries=$((tries + 1))
            sleep 0.02
        done
        for pins in "$directory"/bpf/*/; do
            [ -d "$pins" ] || continue
            file=$(printf '%02x:%02x:%s' $(stat -c '%Hd %Ld %i' "$pins"))
            while holder=$(awk -v file="$file" '$6 == file { print $5; exit }' /proc/locks) &&
                [ -n "$holder" ] && [ $tries -lt 400 ]; do
                kill -KILL "$holder" 2>/dev/null || true
                tries=$((tries + 1))
                sleep 0.02
            done
        done
        for namespace in /run/netns/"$lab"-*; do
            [ ! -e "$namespace" ] || ip netns del "${namespace##*/}"
        done
        if [ -d "$directory/bpf" ]; then
            umount "$directory/bpf" 2>/dev/null || umount -l "$directory/bpf" 2>/dev/null || true
            rmdir "$directory/bpf" || true
        fi
        rm -rf --one-file-system "$directory"
        rmdir \(root) 2>/dev/null || true

        """

    /// Waits for the owner's word, or for the end of the owner, and then removes the lab, unless it shall stay.
    static let watchdog = """
        read -r word || word=gone
        [ "$word" != keep ] || exit 0

        """ + script

    /// Removes one lab.
    static func remove(_ id: String, cgroups: String) async throws(LabError) {
        let result = try await run(["sh", "-c", script, "remove-lab", id, cgroups])
        guard result.succeeded else { throw LabError("remove lab \(id)", result.errors) }
    }

    /// Removes the labs whose owner is dead, except those that were kept on purpose.
    static func sweep(cgroups: String) async throws(LabError) {
        for id in existing(cgroups: cgroups) where !isAlive(id) && !isKept(id) {
            try await remove(id, cgroups: cgroups)
        }
    }

    /// The labs of which anything is left: a directory, a namespace or a cgroup.
    static func existing(cgroups: String) -> Set<String> {
        var ids: Set<String> = []
        for directory in [root, "/run/netns", cgroups] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            ids.formUnion(names.compactMap(LabName.id(in:)))
        }
        return ids
    }

    static func isKept(_ id: String) -> Bool { FileManager.default.fileExists(atPath: "\(root)/\(id)/keep") }

    private static func isAlive(_ id: String) -> Bool {
        guard let pid = LabName.owner(of: id), let started = ProcessTable.startTime(of: pid) else { return false }
        // A lab without the note was left by a process that died while it made the lab, or is being made right now.
        guard let note = try? String(contentsOfFile: "\(root)/\(id)/owner", encoding: .utf8) else { return true }
        return note == started
    }
}

/// The names of labs: `apus-<pid of the owner>-<number>`; those of their namespaces go on with `-<host>`.
enum LabName {
    static func make(pid: Int32, number: Int) -> String { "apus-\(pid)-\(number)" }

    /// The lab that a namespace, directory or cgroup of this name belongs to.
    static func id(in name: String) -> String? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 3, parts[0] == "apus", Int32(parts[1]) != nil, Int(parts[2]) != nil else { return nil }
        return parts[..<3].joined(separator: "-")
    }

    static func owner(of id: String) -> Int32? {
        let parts = id.split(separator: "-")
        return parts.count == 3 ? Int32(parts[1]) : nil
    }
}

/// What /proc says about processes.
enum ProcessTable {
    /// When a process started, in clock ticks since boot (proc(5), field 22 of stat); nil when there is none.
    static func startTime(of pid: Int32) -> String? {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let nameEnd = stat.lastIndex(of: ")")
        else { return nil }
        let fields = stat[nameEnd...].split(separator: " ")  // field 2's end comes first
        return fields.count > 20 ? String(fields[20]) : nil
    }
}
