public import Addressing
internal import CNI
internal import FoundationEssentials

/// Puts the plugin and its configuration where a runtime finds them, and takes them away again.
///
/// Files of others are read, never written: taking ours away leaves exactly what was.
public struct CNIInstaller: Sendable {
    /// What an installation did.
    public struct Outcome: Sendable, Hashable {
        /// The file whose plugins ours is behind; nil where there is none.
        public var chainedTo: String?
        /// What was written or removed.
        public var changed: [String] = []
        /// Why nothing could be written; nil where all is as it should be.
        public var obstacle: String?
        /// Why pods may not come up although it was written.
        public var warning: String?
    }

    private let settings: CNIInstallationSettings

    public init(_ settings: CNIInstallationSettings) { self.settings = settings }

    /// Brings plugin and configuration up to date; what is so already is not touched.
    ///
    /// - Parameters:
    ///   - ranges: where pods of this node get addresses, should no other plugin connect them.
    ///   - mtu: that of their links then; nil: the kernel's default.
    ///   - known: what an earlier call found of the plugin and its copy, so that they need not be read again.
    public func install(
        ranges: [CIDR], mtu: UInt32?, known: inout InstalledProgram?
    ) throws(CNIInstallationError) -> Outcome {
        var outcome = Outcome()
        let plan = try InstallationPlan.make(files(), ranges: ranges, mtu: mtu, settings)
        // Never a configuration without its plugin.
        if try installProgram(&known) { outcome.changed.append(program) }
        switch plan {
        case .write(let bytes, let chainedTo):
            outcome.chainedTo = chainedTo
            if chainedTo == nil { outcome.warning = missingPlugins }
            guard contents(settings.configuration) != bytes else { break }
            try makeDirectory(settings.configurationDirectory)
            // Some plugins keep credentials in theirs.
            try AtomicFile.write(bytes, to: settings.configuration, mode: 0o600)
            outcome.changed.append(settings.configuration)
        case .keep(let reason): outcome.obstacle = reason
        case .remove:
            if try AtomicFile.remove(settings.configuration) { outcome.changed.append(settings.configuration) }
        }
        return outcome
    }

    /// Takes configuration and plugin away if the configuration leads to the agent at the settings' socket: another
    /// agent's are not touched, and neither is a plugin without a configuration, which may be anybody's. Returns what
    /// it removed.
    public func removeOwn() throws(CNIInstallationError) -> [String] {
        let own = files().first { $0.name == settings.configurationName }
        guard own?.content?.asks(settings.socket) ?? false else { return [] }
        return try remove()
    }

    /// Takes configuration and plugin away, whichever agent they are for. Returns what it removed.
    ///
    /// The plugin stays where another file has it in its list: pods could not come up any more.
    public func remove() throws(CNIInstallationError) -> [String] {
        var removed: [String] = []
        let all = files()
        let own = all.first { $0.name == settings.configurationName }
        if own?.content?.hasOurs ?? false, try AtomicFile.remove(settings.configuration) {
            removed.append(settings.configuration)
        }
        let isUsed = all.contains { $0.name != settings.configurationName && $0.content?.hasOurs ?? false }
        if !isUsed, try AtomicFile.remove(program) { removed.append(program) }
        return removed
    }

    /// That a complete configuration needs plugins which are not there: runtimes may look in other places, too.
    private var missingPlugins: String? {
        let missing = PluginList.needed.filter {
            !FileManager.default.isExecutableFile(atPath: "\(settings.binaryDirectory)/\($0)")
        }
        guard !missing.isEmpty else { return nil }
        return
            "pods are connected by \(missing.joined(separator: " and ")), which \(settings.binaryDirectory) does not "
            + "have: unless the container runtime finds them elsewhere, no pod comes up"
    }

    private var program: String { "\(settings.binaryDirectory)/\(CNIConfiguration.type)" }

    /// The same, without anything known from before.
    public func install(ranges: [CIDR], mtu: UInt32?) throws(CNIInstallationError) -> Outcome {
        var known: InstalledProgram?
        return try install(ranges: ranges, mtu: mtu, known: &known)
    }

    private func installProgram(_ known: inout InstalledProgram?) throws(CNIInstallationError) -> Bool {
        // Taken first: what changes while the files are read is another one the next time.
        let seen = InstalledProgram(program: settings.program, copy: program)
        if let seen, seen == known { return false }
        known = nil
        guard let bytes = contents(settings.program) else {
            throw CNIInstallationError(
                "\(settings.program), the plugin to install, can't be read: name it with --cni-plugin")
        }
        guard contents(program) != bytes else {
            known = seen
            return false
        }
        try makeDirectory(settings.binaryDirectory)
        try AtomicFile.write(bytes, to: program, mode: 0o755)
        return true
    }

    private func files() -> [CNIConfigurationFile] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: settings.configurationDirectory)) ?? []
        return names.filter(CNIConfigurationFile.isConfiguration).sorted().compactMap { name in
            contents("\(settings.configurationDirectory)/\(name)").map { CNIConfigurationFile(name: name, bytes: $0) }
        }
    }

    private func contents(_ path: String) -> [UInt8]? {
        (try? Data(contentsOf: URL(filePath: path))).map { Array($0) }
    }

    private func makeDirectory(_ path: String) throws(CNIInstallationError) {
        do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
            throw CNIInstallationError("can't make \(path): \(error)")
        }
    }
}
