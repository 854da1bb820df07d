import Foundation
import PackagePlugin

/// Compiles each `bpf/programs/NAME.bpf.c` (for a target of tests each `bpf/tests/NAME.bpf.c`) with the toolchain's
/// clang and writes a Swift source that embeds the object, as part of `swift build`. A C source could `#embed` it, but
/// SwiftPM compiles only generated Swift.
@main struct CompileBPF: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let root = context.package.directoryURL
        let headers =
            try files(in: root.appending(path: "bpf/abi"), suffix: ".h")
            + files(in: root.appending(path: "bpf/lib"), suffix: ".h")
        let clang = try context.tool(named: "clang").url
        let isProduct = target.name == "DatapathObjects"
        let folder = root.appending(path: isProduct ? "bpf/programs" : "bpf/tests")
        return try files(in: folder, suffix: ".bpf.c").map { source in
            compile(
                source, headers: headers, clang: clang, as: isProduct ? .member : .memberOfImport,
                into: context.pluginWorkDirectoryURL)
        }
    }

    /// What the generated source begins with.
    private enum Heading: String {
        case member = "extension BPFObjectImage {\\n    public static let "
        case memberOfImport = "internal import DatapathObjects\\n\\nextension BPFObjectImage {\\n    static let "
    }

    private func compile(
        _ source: URL, headers: [URL], clang: URL, as heading: Heading, into folder: URL
    ) -> Command {
        let name = source.lastPathComponent.replacingOccurrences(of: ".bpf.c", with: "")
        let object = folder.appending(path: "\(name).bpf.o")
        let embedded = folder.appending(path: "\(name)Object.swift")
        let objcopy = clang.deletingLastPathComponent().appending(path: "llvm-objcopy")
        // Debug information is only needed to make BTF of it; without it the object is a third of the size.
        let script = """
            set -eu
            "$1" -target bpf -mcpu=v3 -O2 -g -std=gnu17 -Wall -Wextra -Werror -Xclang -fno-split-cold-code \
                -I"/usr/include/$(uname -m)-linux-gnu" -c "$2" -o "$3"
            "$6" --strip-debug "$3"
            { printf '\(heading.rawValue)%s = BPFObjectImage(name: "%s", base64: "' "$5" "$5"
              base64 -w 0 "$3"; printf '")\\n}\\n'; } > "$4"
            """
        return .buildCommand(
            displayName: "Compiling BPF object \(name)",
            executable: URL(fileURLWithPath: "/bin/sh"),
            arguments: ["-c", script, "sh", clang.path, source.path, object.path, embedded.path, name, objcopy.path],
            inputFiles: [source] + headers,
            outputFiles: [embedded])
    }

    private func files(in folder: URL, suffix: String) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.lastPathComponent.hasSuffix(suffix) }
            .sorted { $0.path < $1.path }
    }
}
