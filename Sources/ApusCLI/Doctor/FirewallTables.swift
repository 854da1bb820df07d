internal import Foundation

/// The names in the packet filters of this network namespace.
struct FirewallTables {
    /// Chains of iptables, of both families and both back ends.
    var chains: [String] = []
    /// Tables of nftables.
    var tables: [String] = []
    /// What could not be looked at.
    var gaps: [String] = []

    /// Asks the tools that are installed; they only read.
    static func read() -> FirewallTables {
        var result = FirewallTables()
        let savers = ["iptables-save", "ip6tables-save", "iptables-legacy-save", "ip6tables-legacy-save"]
        let outputs = savers.compactMap { run($0, []) }
        if outputs.isEmpty {
            result.gaps.append("iptables was not looked at: no iptables-save here, or no right to it")
        }
        result.chains = Set(outputs.flatMap(chains)).sorted()
        result.tables = run("nft", ["list", "tables"]).map(tables) ?? []
        return result
    }

    /// `:KUBE-SERVICES - [0:0]` names a chain (iptables-save(8)).
    static func chains(in output: String) -> [String] {
        output.split(separator: "\n").filter { $0.hasPrefix(":") }.compactMap { line in
            line.dropFirst().split(separator: " ").first.map(String.init)
        }
    }

    /// `table ip kube-proxy` names a table (nft(8)).
    static func tables(in output: String) -> [String] {
        output.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            return words.count >= 3 && words[0] == "table" ? String(words[2]) : nil
        }
    }

    /// The output of a tool; nil when it is not there or fails.
    private static func run(_ tool: String, _ arguments: [String]) -> String? {
        let directories = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"]
        let paths = directories.map { "\($0)/\(tool)" }
        guard let path = paths.first(where: FileManager.default.isExecutableFile) else { return nil }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        // Nil at once at the end: nothing was printed.
        let data = (try? output.fileHandleForReading.readToEnd()) ?? Data()
        process.waitUntilExit()
        return process.terminationStatus == 0 ? String(decoding: data, as: UTF8.self) : nil
    }
}
