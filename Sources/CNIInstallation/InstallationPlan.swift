internal import Addressing

/// What our configuration should be, by what others have put beside it.
enum InstallationPlan: Sendable, Hashable {
    /// Ours is this, behind the plugins of another file, or complete.
    case write([UInt8], chainedTo: String?)
    /// Ours stays as it is, for a reason.
    case keep(String)
    /// There must be none of ours.
    case remove(String)

    /// - Parameters:
    ///   - files: the directory's configurations, in order.
    ///   - ranges: where pods of this node get addresses, if Apus is to give them.
    static func make(
        _ files: [CNIConfigurationFile], ranges: [CIDR], mtu: UInt32?, _ settings: CNIInstallationSettings
    ) throws(CNIInstallationError) -> InstallationPlan {
        let own = files.first { $0.name == settings.configurationName }
        if let own, let content = own.content, !content.hasOurs {
            throw CNIInstallationError(
                "\(settings.configuration) is not ours: name another file with --cni-conf-name")
        }
        let others = files.filter { $0.name != settings.configurationName && !($0.content?.isLoopback ?? false) }
        if let first = others.first {
            guard let content = first.content else {
                return .keep("\(first.name), which runtimes take first, is no CNI configuration")
            }
            return try chain(to: first, content, settings)
        }
        if own?.content.map({ $0.network != PluginList.ownNetwork }) ?? false {
            return .keep(
                "the configuration that ours was made of is gone: new pods are connected as it said; if another one "
                    + "is not to come, remove \(settings.configuration)")
        }
        guard !ranges.isEmpty else {
            return .keep(
                "there is no CNI configuration in \(settings.configurationDirectory), and the Node has no podCIDRs to "
                    + "make one of")
        }
        return .write(PluginList.complete(ranges, mtu: mtu, settings), chainedTo: nil)
    }

    private static func chain(
        to file: CNIConfigurationFile, _ content: CNIConfigurationText, _ settings: CNIInstallationSettings
    ) throws(CNIInstallationError) -> InstallationPlan {
        if content.hasOurs { return .remove("\(file.name) has apus-cni in it already") }
        guard settings.configurationName < file.name else {
            throw CNIInstallationError(
                "\(file.name) comes before \(settings.configurationName): name a file that runtimes take first with "
                    + "--cni-conf-name")
        }
        return .write(try PluginList.chained(to: file, content, settings), chainedTo: file.name)
    }
}
