internal import JSONText

/// The plugin: what it answers to a runtime, with the agent as a function.
package struct CNIPlugin {
    /// What the plugin leaves behind.
    package struct Outcome: Sendable, Hashable {
        /// For the standard output; empty where the command has none.
        package var output = ""
        /// For the standard error; empty where there is nothing to tell.
        package var note = ""
        /// The exit code.
        package var status: Int32 = 0

        package init(output: String = "", note: String = "", status: Int32 = 0) {
            self.output = output
            self.note = note
            self.status = status
        }
    }

    /// Asks the agent that listens on a socket.
    package typealias Agent = (_ question: AgentQuestion, _ socket: String, _ waitMilliseconds: Int) -> AgentReply

    private let variable: (String) -> String?
    private let input: [UInt8]
    private let agent: Agent

    package init(variable: @escaping (String) -> String?, input: [UInt8], agent: @escaping Agent) {
        self.variable = variable
        self.input = input
        self.agent = agent
    }

    /// Does what the environment says.
    package func run() -> Outcome {
        do throws(CNIError) { return try answer(CNIEnvironment(variable)) } catch {
            let version = CNIConfiguration.version(of: input).flatMap { CNIVersion.supported.contains($0) ? $0 : nil }
            return Outcome(output: error.json(version: version ?? CNIVersion.newest), status: 1)
        }
    }

    private func answer(_ environment: CNIEnvironment) throws(CNIError) -> Outcome {
        if environment.command == .version { return Outcome(output: versions) }
        let configuration = try CNIConfiguration(input)
        try checkVersion(configuration.version, environment.command)
        switch environment.command {
        case .add: return try add(environment, configuration)
        case .del: return del(environment, configuration)
        case .check: return try ask(.check(attachment(environment, configuration)), .check, configuration)
        case .garbageCollect: return try collect(configuration)
        case .status: return try ask(.ready, .status, configuration)
        case .version: return Outcome(output: versions)
        }
    }

    /// The version asked for, where it is one of ours, and all of ours.
    private var versions: String {
        let given = CNIConfiguration.version(of: input) ?? CNIVersion.newest
        let list = CNIVersion.supported.map { "\"\($0)\"" }.joined(separator: ", ")
        let version = CNIVersion.supported.contains(given) ? given : CNIVersion.newest
        return "{\"cniVersion\": \"\(version)\", \"supportedVersions\": [\(list)]}"
    }

    private func checkVersion(_ version: String, _ command: CNICommand) throws(CNIError) {
        guard !command.versions.contains(version) else { return }
        throw CNIError(
            .incompatibleVersion, "cniVersion: '\(version)' is not one that \(command.rawValue) is answered in",
            details: "one of \(command.versions.joined(separator: ", ")) is")
    }

    private func attachment(
        _ environment: CNIEnvironment, _ configuration: CNIConfiguration
    ) throws(CNIError) -> AgentQuestion.Attachment {
        guard let previous = configuration.previous else {
            throw CNIError(
                .invalidConfiguration,
                "prevResult is missing: \(CNIConfiguration.type) has to be chained behind a plugin that connects pods")
        }
        return AgentQuestion.Attachment(
            network: configuration.name,
            key: CNIAttachmentKey(container: environment.container, interface: environment.interface),
            pod: environment.pod, result: try CNIResult(previous, interface: environment.interface),
            waitMilliseconds: configuration.timeout * 1000)
    }

    /// Passes on what the plugins before it made, unchanged, once the pod's policy is in force.
    private func add(_ environment: CNIEnvironment, _ configuration: CNIConfiguration) throws(CNIError) -> Outcome {
        let attachment = try attachment(environment, configuration)
        var outcome = try ask(.attach(attachment), .add, configuration)
        outcome.output = configuration.previous?.text ?? ""
        return outcome
    }

    /// Always succeeds: what an agent is not told of it sees by itself, as the interface goes.
    private func del(_ environment: CNIEnvironment, _ configuration: CNIConfiguration) -> Outcome {
        let key = CNIAttachmentKey(container: environment.container, interface: environment.interface)
        return settle(.detach(network: configuration.name, key), .del, configuration)
    }

    private func collect(_ configuration: CNIConfiguration) throws(CNIError) -> Outcome {
        guard let valid = configuration.validAttachments else {
            throw CNIError(.invalidConfiguration, "cni.dev/valid-attachments is missing: GC needs it")
        }
        return settle(.collect(network: configuration.name, valid: valid), .garbageCollect, configuration)
    }

    /// Asks, and tells on the standard error why the agent could not be told.
    private func settle(
        _ question: AgentQuestion, _ command: CNICommand, _ configuration: CNIConfiguration
    ) -> Outcome {
        do throws(CNIError) { return try ask(question, command, configuration) } catch {
            return Outcome(note: "\(CNIConfiguration.type): \(command.rawValue): \(error.message)")
        }
    }

    private func ask(
        _ question: AgentQuestion, _ command: CNICommand, _ configuration: CNIConfiguration
    ) throws(CNIError) -> Outcome {
        let reply = agent(question, configuration.socket, configuration.timeout * 1000)
        if let error = reply.error(command) { throw error }
        return Outcome()
    }
}
