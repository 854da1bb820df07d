internal import Foundation

/// Where the cgroup v2 hierarchy is: not always at /sys/fs/cgroup, where a hybrid system keeps version 1.
public enum CgroupMount {
    /// The first cgroup2 mount of this process.
    public static func find() throws(LabError) -> String {
        let mounts = (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 2, fields[2] == "cgroup2" { return String(fields[1]) }
        }
        throw LabError("find the cgroup v2 mount", "/proc/self/mounts has none: mount -t cgroup2 none /sys/fs/cgroup")
    }
}
