internal import BPF
internal import Glibc
internal import LinuxKernel

/// What the user must be and the kernel must have.
enum Requirements {
    /// Fails for other users than root, whom the kernel answers as if it had no BPF.
    static func checkUser(isRoot: Bool = geteuid() == 0) throws(AgentFailure) {
        if isRoot { return }
        throw AgentFailure(
            "apusd needs root: BPF programs, maps and their pins are not open to other users; run it with sudo")
    }

    /// Fails where the kernel is too old, naming what it lacks and since when that exists.
    static func check() throws {
        let missing = FeatureProbe.all().filter { !$0.isPresent }
        guard !missing.isEmpty else { return }
        let list = missing.map { "\($0.feature.rawValue) (since Linux \($0.feature.since))" }.joined(separator: ", ")
        let release = (try? KernelVersion.runningRelease()) ?? "unknown"
        throw AgentFailure(
            "this kernel (\(release)) lacks \(list): Apus needs Linux \(FeatureProbe.minimumKernel) or newer; "
                + "`apus doctor` says more")
    }
}
