internal import AgentAPI

/// What `apus policy explain` tells.
struct PolicyExplanation: Codable, Equatable {
    /// One way that the packet can take.
    struct Path: Codable, Equatable {
        enum CodingKeys: String, CodingKey {
            case allowed, judged, source, destination, name, port, service, egress, ingress
            case ipProtocol = "protocol"
        }

        /// Whether the packet passes both ends, as far as they are on this node; nil when neither is, and when one has no
        /// endpoint in the maps and the other does not deny it.
        var allowed: Bool?
        /// `egress` and `ingress`, as far as their ends are pods of this node.
        var judged: [String]
        var source: PolicyPath.End
        var destination: PolicyPath.End
        /// Nil when the destination was not given as a name of the DNS.
        var name: PolicyPath.Name?
        var ipProtocol: String
        var port: UInt16?
        var service: String?
        /// Nil when the source is no pod of this node.
        var egress: Side?
        /// Nil when the destination is no pod of this node.
        var ingress: Side?

        var sides: [Side] { [egress, ingress].compactMap { $0 } }
    }

    /// What the policies of one end say.
    struct Side: Codable, Equatable {
        /// What the kernel does; what the agent says where the maps can't be read. Nil where the agent knows the end and
        /// the maps have no endpoint there: nothing of its policies is in force.
        var allowed: Bool?
        /// Whether agent and maps come to different verdicts, or to the same by different rules.
        var differs: Bool
        /// What follows from the objects; nil without an agent, and when the end is no pod of this node to it.
        var agent: PolicyJudgement?
        /// What follows from the maps; nil when they can't be read, and when they have no endpoint there.
        var maps: PolicyJudgement?
        /// What an admitting rule would have to say; nil when the packet is allowed.
        var missing: String?
    }

    /// Whether every way is allowed; nil when none is denied and nobody judged one.
    var allowed: Bool?
    var differs: Bool
    /// Whether the agent answered, and whether the maps could be read.
    var agent: Bool
    var maps: Bool
    var paths: [Path]

    init(_ paths: [Path], agent: Bool, maps: Bool) {
        let verdicts = paths.map(\.allowed)
        allowed = verdicts.contains(false) ? false : verdicts.contains(nil) ? nil : true
        differs = paths.contains { $0.sides.contains(where: \.differs) }
        self.agent = agent
        self.maps = maps
        self.paths = paths
    }
}

extension PolicyExplanation.Path {
    init(_ path: PolicyPath, egress: PolicyExplanation.Side?, ingress: PolicyExplanation.Side?) {
        let sides = [("egress", egress), ("ingress", ingress)].filter { $0.1 != nil }
        let verdicts = sides.map { $0.1?.allowed }
        allowed = verdicts.contains(false) ? false : verdicts.isEmpty || verdicts.contains(nil) ? nil : true
        judged = sides.map(\.0)
        source = path.source
        destination = path.destination
        name = path.name
        ipProtocol = path.ipProtocol
        port = path.port
        service = path.service
        self.egress = egress
        self.ingress = ingress
    }
}

extension PolicyExplanation.Side {
    /// - Parameters:
    ///   - isCompared: whether agent and maps were both asked.
    ///   - peer: the other end for people.
    ///   - port: the protocol and port for people.
    init?(agent: PolicyJudgement?, maps: PolicyJudgement?, isCompared: Bool, peer: String, port: String) {
        guard let first = agent ?? maps else { return nil }
        let isInForce = maps != nil || !isCompared
        allowed = isInForce ? (maps ?? first).allowed : nil
        differs = isCompared && !(agent.flatMap { agent in maps.map(agent.agrees) } ?? false)
        self.agent = agent
        self.maps = maps
        // Where they differ, the maps' is the verdict that counts.
        let denying = [agent, maps].compactMap { $0 }.filter { !$0.allowed }
        let judge = allowed ?? true ? nil : differs ? denying.last : denying.first
        missing = judge?.shortcoming(peer: peer, port: port)
    }
}
