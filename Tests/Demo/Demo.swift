import ArgumentParser
import Foundation
import TestSupport

@main
struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scripts/demo",
        abstract: "Shows Apus at work on a node with six pods, in network namespaces of its own.",
        discussion: """
            Services, a NetworkPolicy that is edited under a live connection, flows, and the agent killed under load. \
            Every step checks what it shows; the exit code is 0 when all of it was as it should be. Nothing of this \
            machine's own network is touched, and nothing is left behind.
            """)

    @Flag(help: "Leave the lab up at the end and print the commands to explore it.")
    var keep = false

    @Flag(help: "Remove the labs that --keep left.")
    var remove = false

    @Option(help: .hidden)
    var shop: String

    func validate() throws {
        guard getuid() == 0 else { throw ValidationError("network namespaces need root: run it with sudo") }
        guard !(keep && remove) else { throw ValidationError("--keep and --remove are opposites") }
    }

    func run() async throws {
        let transcript = Transcript()
        do {
            try await remove ? KeptLabs.removeAll(transcript) : play(transcript)
        } catch let error where !(error is ExitCode) {
            transcript.failed("\(error)")
            throw ExitCode.failure
        }
    }

    private func play(_ transcript: Transcript) async throws {
        let started = ContinuousClock.now
        let lab = try await Lab(Shop.plan)
        let interruption = Interruption(removing: lab, transcript)
        defer { withExtendedLifetime(interruption) {} }
        do {
            let agent = NodeAgent(lab: lab, manifests: try Shop.copyManifests(from: shop, to: lab))
            let stage = Stage(lab: lab, agent: agent, transcript: transcript)
            try await stage.play(keeps: keep)
            if keep {
                try await KeptLabs.keep(stage)
                transcript.summarize(took: .now - started)
                return KeptLabs.explain(stage)
            }
        } catch {
            await interruption.finish(transcript)
            transcript.failed("\(error)")
            transcript.say(Self.logTail(of: lab))
            await lab.tearDown()
            throw ExitCode.failure
        }
        await lab.tearDown()
        try conclude(transcript, lab, took: .now - started)
    }

    private func conclude(_ transcript: Transcript, _ lab: Lab, took: Duration) throws {
        guard try !Lab.all().contains(lab.id) else { throw Unexpected("something of lab \(lab.id) was not removed") }
        transcript.summarize(took: took)
        transcript.say("The lab is gone: no namespace, pin, cgroup or process is left.")
        transcript.say("To look around in it yourself: sudo scripts/demo --keep")
    }

    /// The agent's last words, for a failure's explanation.
    private static func logTail(of lab: Lab) -> String {
        let log = (try? String(contentsOfFile: lab.directory + "/apusd.log", encoding: .utf8)) ?? ""
        let lines = log.split(separator: "\n").suffix(12)
        return lines.isEmpty ? "" : "The last lines of apusd's log:\n" + lines.map { "  \($0)" }.joined(separator: "\n")
    }
}

extension Duration {
    /// Seconds with one decimal, such as `8.4 s`.
    var seconds: String { String(format: "%.1f s", self / .seconds(1)) }
    /// Whole milliseconds, such as `37 ms`.
    var milliseconds: String { "\(Int(self / .milliseconds(1))) ms" }
}
