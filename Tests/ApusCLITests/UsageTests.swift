import AgentAPI
import ArgumentParser
import Datapath
import Testing

@testable import ApusCLI

@Suite struct Usage {
    static let commands: [[String]] = [
        ["status"], ["doctor"], ["endpoint", "list"], ["service", "list"], ["service", "get"], ["service", "trace"],
        ["backend", "list"], ["policy", "list"], ["policy", "get"], ["policy", "explain"], ["policy", "lint"],
        ["fqdn", "list"], ["fqdn", "explain"], ["connection", "list"], ["map", "list"], ["map", "dump"],
        ["flow", "observe"], ["verify"], ["version"],
    ]

    @Test(arguments: commands) func `every command has help with examples and the global options`(
        _ command: [String]
    ) async {
        let outcome = await run(arguments: command + ["--help"])
        #expect(outcome.code == 0 && outcome.notes.isEmpty)
        for text in ["Examples:\n  apus \(command.joined(separator: " "))", "--bpffs", "--socket", "--output"] {
            #expect(outcome.output.contains(text), "\(text)")
        }
    }

    @Test(arguments: ["endpoint", "service", "backend", "policy", "fqdn", "connection", "map", "flow"])
    func `a command with subcommands has help with examples`(_ command: String) async {
        let outcome = await run(arguments: [command, "--help"])
        #expect(outcome.code == 0 && outcome.notes.isEmpty)
        for text in ["Examples:\n  apus \(command) ", "--bpffs", "SUBCOMMANDS:"] {
            #expect(outcome.output.contains(text), "\(text)")
        }
    }

    @Test func `--version tells the version of apus, wherever no command stands`() async {
        #expect(await run("--version") == Outcome(code: 0, output: Release.version + "\n", notes: ""))
    }

    @Test func `global options stand before, between and after the subcommands`() async {
        for arguments in [
            ["--bpffs", "/b", "endpoint", "list"], ["endpoint", "--bpffs", "/b", "list"],
            ["endpoint", "list", "--bpffs", "/b"],
        ] {
            #expect(await run(arguments: arguments, datapath: nil).notes.contains("under /b:"), "\(arguments)")
        }
        for arguments in [["-o", "json", "endpoint", "list"], ["endpoint", "list", "-o", "json"]] {
            #expect(await run(arguments: arguments).output.hasPrefix("["), "\(arguments)")
        }
    }

    @Test(arguments: [["nonsense"], ["map", "dump"], ["status", "-o", "xml"], ["endpoint", "list", "extra"]])
    func `wrong usage exits with 64`(_ arguments: [String]) async {
        let outcome = await run(arguments: arguments)
        #expect(outcome.code == 64 && outcome.output.isEmpty && outcome.notes.contains("Usage: apus"))
    }

    @Test func `options stand before the environment, which stands before the default`() async {
        func directory(_ arguments: [String], _ environment: [String: String]) async -> String {
            await run(
                arguments: ["endpoint", "list"] + arguments, datapath: nil, environment: environment
            ).notes
        }
        #expect(await directory([], [:]).contains("under /sys/fs/bpf/apus:"))
        #expect(await directory([], ["APUS_BPFFS": ""]).contains("under /sys/fs/bpf/apus:"))
        #expect(await directory([], ["APUS_BPFFS": "/a"]).contains("under /a:"))
        #expect(await directory(["--bpffs", "/b"], ["APUS_BPFFS": "/a"]).contains("under /b:"))
    }

    @Test(arguments: commands.filter { $0.last == "list" })
    func `without maps a list has exit code 2`(_ command: [String]) async {
        let outcome = await run(arguments: command, datapath: nil)
        #expect(outcome.code == 2 && outcome.notes.hasPrefix("apus: no Apus maps under"))
    }

    @Test func `without root the error is that root is needed, whether there are maps or not`() throws {
        let error = try #require(throws: DatapathReadError.self) { _ = try DatapathReader(bpffs: "/nowhere") }
        #expect(
            CommandError(error, "/nowhere", isRoot: false).description
                == "no Apus maps under /nowhere that this user may see: apus needs root, run it with sudo")
        #expect(CommandError(error, "/nowhere", isRoot: true).description.hasPrefix("no Apus maps under /nowhere: is"))
    }

    @Test func `an unknown map is an error that says where the names are`() async {
        let outcome = await run("map", "dump", "nothing")
        #expect(outcome.code == 2 && outcome.notes == "apus: there is no map nothing: see `apus map list`\n")
    }

    @Test(arguments: [
        (UInt64(0), "0ms"), (999_999_999, "999ms"), (59_000_000_000, "59s"), (3_599_000_000_000, "59m59s"),
        (86_399_000_000_000, "23h59m"), (90_000_000_000_000, "1d1h"),
    ]) func `durations`(_ nanoseconds: UInt64, _ text: String) {
        #expect(Quantity.duration(nanoseconds) == text)
    }

    @Test(arguments: [
        (UInt64(0), "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), (5 << 30, "5.0 GiB"),
        (.max, "17179869183.9 GiB"),
    ]) func `sizes`(_ bytes: UInt64, _ text: String) {
        #expect(Quantity.size(bytes) == text)
    }
}
