import Foundation
import TestSupport

/// Podman on a node of a lab, with its CNI backend and nothing of the machine's own: its files are in the lab's folder,
/// its mounts in a namespace of their own, and its containers see the machine's `/usr` only.
struct Podman {
    private let lab: Lab
    private let node: LabHost
    private let folder: String

    /// - Parameter list: the one network that it connects containers to.
    init(_ lab: Lab, node: String = "node-a", network: String, list: String) throws {
        self.lab = lab
        self.node = lab.node(node)
        folder = "\(lab.directory)/podman"
        let files = FileManager.default
        for name in ["net.d", "rootfs/usr"] {
            try files.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        for name in ["lib", "lib64"] {
            try files.createSymbolicLink(atPath: "\(folder)/rootfs/\(name)", withDestinationPath: "usr/\(name)")
        }
        try list.write(toFile: "\(folder)/net.d/10-pods.conflist", atomically: true, encoding: .utf8)
        try Self.settings(folder, network, plugins: Self.directory(of: "apus-cni"))
            .write(toFile: "\(folder)/containers.conf", atomically: true, encoding: .utf8)
    }

    private static func directory(of product: String) throws -> String {
        try URL(filePath: BuiltProducts.path(of: product)).deletingLastPathComponent().path
    }

    private static func settings(_ folder: String, _ network: String, plugins: String) -> String {
        """
        [network]
        network_backend = "cni"
        cni_plugin_dirs = ["/usr/lib/cni", "\(plugins)"]
        network_config_dir = "\(folder)/net.d"
        default_network = "\(network)"
        [engine]
        cgroup_manager = "cgroupfs"
        events_logger = "none"
        runtime = "crun"
        [containers]
        cgroups = "disabled"
        log_driver = "none"
        default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]

        """
    }

    /// Runs a program of `/usr/bin` in a container of its own, which is gone afterwards.
    func run(_ name: String, _ command: [String]) async throws -> ProcessResult {
        // The state of Podman, crun and libcni is hidden with all of /run and /var/lib, but for the labs. crun takes no
        // cgroups of both versions, and needs none.
        let isolate = """
            set -e
            mount --rbind /run/apus-lab /mnt
            mount -t tmpfs tmpfs /run
            mkdir /run/apus-lab /run/netns /run/lock
            mount --move /mnt /run/apus-lab
            mount -t tmpfs tmpfs /var/lib
            mount -t cgroup2 cgroup2 /sys/fs/cgroup
            exec "$@"
            """
        let podman = [
            "podman", "--root", "\(folder)/root", "--runroot", "\(folder)/run", "--tmpdir", "\(folder)/tmp",
            "--storage-driver", "vfs", "run", "--rm", "--name", name, "--volume", "/usr:/usr:ro", "--rootfs",
            "\(folder)/rootfs",
        ]
        return try await node.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", isolate, "podman"] + podman + command,
            environment: ["CONTAINERS_CONF": "\(folder)/containers.conf", "HOME": folder], covered: false)
    }
}
