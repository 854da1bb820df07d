internal import Addressing

/// A line such as `deny x/*,y/a -> z/b tcp 80 v6`: what it leaves out it does not look at.
struct MatrixRule {
    let isAllowed: Bool
    private let sources: [Substring]
    private let destinations: [Substring]
    private var ipProtocol: IPProtocol?
    private var port: Port?
    private var family: Int?

    struct Unreadable: Error, CustomStringConvertible {
        let line: String
        var description: String { "'\(line)': expected deny|allow FROM -> TO [tcp|udp|sctp] [80|81] [v4|v6]" }
    }

    init(_ line: String) throws {
        let words = line.split(separator: " ")
        guard words.count >= 4, ["allow", "deny"].contains(words[0]), words[2] == "->" else {
            throw Unreadable(line: line)
        }
        isAllowed = words[0] == "allow"
        sources = words[1].split(separator: ",")
        destinations = words[3].split(separator: ",")
        guard (sources + destinations).allSatisfy(Self.namesSomebody) else { throw Unreadable(line: line) }
        for word in words[4...] {
            switch word {
            case "tcp", "udp", "sctp": ipProtocol = IPProtocol(word.uppercased())
            case "80", "81": port = Port(word)
            case "v4": family = 0
            case "v6": family = 1
            default: throw Unreadable(line: line)
            }
        }
    }

    func matches(_ probe: Probe) -> Bool {
        sources.contains { Self.names($0, probe.source.name) }
            && destinations.contains { Self.names($0, probe.destination.name) }
            && (ipProtocol ?? probe.ipProtocol) == probe.ipProtocol && (port ?? probe.port) == probe.port
            && (family ?? probe.family) == probe.family
    }

    private static func namesSomebody(_ pattern: Substring) -> Bool {
        CaseCluster.members.contains { names(pattern, $0.name) }
    }

    /// `*` is everybody, `*/*` every pod, `x/*` the pods of a namespace, `*/a` those of one name.
    private static func names(_ pattern: Substring, _ name: String) -> Bool {
        if pattern == "*" || pattern == name { return true }
        let (wanted, parts) = (pattern.split(separator: "/"), name.split(separator: "/"))
        return wanted.count == 2 && parts.count == 2 && zip(wanted, parts).allSatisfy { $0 == "*" || $0 == $1 }
    }
}
