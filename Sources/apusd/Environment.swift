import Addressing
public import Agent
public import ArgumentParser
public import Flows
import Glibc
import Logging

/// Values of flags from the environment: `--redirect-peer` is also `APUS_REDIRECT_PEER`. The flag wins.
enum Environment {
    /// The text of a variable, nil when it is not set or empty.
    static func text(_ flag: String) -> String? {
        let name = variable(flag)
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// The text of a variable, also when it is empty; nil when it is not set.
    static func anyText(_ flag: String) -> String? { getenv(variable(flag)).map { String(cString: $0) } }

    /// The value of a flag: from the command line, else from the environment, else the default.
    static func value<Value: ExpressibleByArgument>(_ flag: String, _ given: Value?, default fallback: Value) throws
        -> Value
    {
        if let given { return given }
        guard let text = text(flag) else { return fallback }
        guard let value = Value(argument: text) else {
            throw ValidationError("\(variable(flag)): '\(text)' is not valid")
        }
        return value
    }

    /// The number of a flag, as ``value(_:_:default:)``, if it is one of those that it may be.
    static func number(_ flag: String, _ given: Int?, default fallback: Int, within range: ClosedRange<Int>) throws
        -> Int
    {
        let number = try value(flag, given, default: fallback)
        guard range.contains(number) else {
            throw ValidationError(
                "--\(flag): \(number) is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// The values of a repeatable flag; the variable separates them by commas.
    static func values(_ flag: String, _ given: [String]) -> [String] {
        given.isEmpty ? (text(flag) ?? "").split(separator: ",").map(String.init) : given
    }

    /// A block of addresses, or one address, that a flag was given.
    static func block(_ flag: String, _ text: String) throws -> CIDR {
        if let block = CIDR(text) ?? IPAddress(text).map(CIDR.init(host:)) { return block }
        throw ValidationError("--\(flag): '\(text)' is neither an address nor a block such as 10.0.0.0/24")
    }

    /// The variable of a flag without its dashes: `map-size-services` gives `APUS_MAP_SIZE_SERVICES`.
    static func variable(_ flag: String) -> String {
        "APUS_" + flag.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }
}

extension ArgumentHelp {
    /// The help of a flag, with its variable and its default.
    static func flag(_ name: String, _ text: String, default fallback: some CustomStringConvertible) -> ArgumentHelp {
        "\(text) [\(Environment.variable(name)); default: \(fallback)]"
    }

    /// The help of a flag that has no default, with its variable.
    static func flag(_ name: String, _ text: String) -> ArgumentHelp { "\(text) [\(Environment.variable(name))]" }
}

/// `on` or `off`.
enum Switch: String, ExpressibleByArgument, CaseIterable {
    case on, off
}

/// What a change of policy does to open connections.
enum LiveConnections: String, ExpressibleByArgument, CaseIterable {
    case revalidate, keep
}

extension FlowDetail: ExpressibleByArgument {}

extension XDPSetting: ExpressibleByArgument {}

/// What is logged, from everything down to the gravest.
enum LogLevel: String, ExpressibleByArgument, CaseIterable {
    case trace, debug, info, notice, warning, error, critical

    var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .info }
}
