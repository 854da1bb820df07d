internal import ArgumentParser

/// Why a command gives no answer; the text says what to do about it.
package struct CommandError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

extension ExitCode {
    /// What was checked is not as it should be: drift, or a requirement that is not met.
    static let checkFailed = ExitCode(1)
    /// There is no answer: no maps, no agent, no permission.
    static let unanswered = ExitCode(2)
}

extension CommandError {
    static func noMaps(_ directory: String) -> CommandError {
        CommandError(
            "no Apus maps under \(directory): is apusd running on this node? Use --bpffs DIR for another directory")
    }

    static func needsRoot(_ directory: String) -> CommandError {
        CommandError("no Apus maps under \(directory) that this user may see: apus needs root, run it with sudo")
    }

    static func notPermitted(_ directory: String) -> CommandError {
        CommandError("no permission to read the maps under \(directory): run as root")
    }

    static func noService(_ name: String) -> CommandError {
        CommandError("there is no Service \(name) in the maps: see `apus service list` for NAMESPACE and SERVICE")
    }

    static func noMap(_ name: String) -> CommandError {
        CommandError("there is no map \(name): see `apus map list`")
    }
}
