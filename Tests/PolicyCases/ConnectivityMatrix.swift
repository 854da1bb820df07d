package import Addressing
internal import DocumentationOracle
internal import Kubernetes

/// One question of a matrix: does a member reach another one at a port?
package struct Probe: Sendable, Hashable, CustomStringConvertible {
    package var source: CaseCluster.Member
    package var destination: CaseCluster.Member
    /// The index of the family in a member's addresses: 0 for IPv4, 1 for IPv6.
    package var family: Int
    package var ipProtocol: IPProtocol
    package var port: Port

    /// Every question, by source, destination, family, protocol and port.
    package static let all: [Probe] = CaseCluster.members.flatMap { source in
        CaseCluster.members.flatMap { destination in
            (0..<2).flatMap { family in
                CaseCluster.protocols.flatMap { ipProtocol in
                    CaseCluster.ports.map {
                        Probe(
                            source: source, destination: destination, family: family, ipProtocol: ipProtocol, port: $0)
                    }
                }
            }
        }
    }

    /// The first packet of the connection.
    package var flow: FlowTuple {
        FlowTuple(
            source: SocketAddress(source.addresses[family], 0),
            destination: SocketAddress(destination.addresses[family], port), ipProtocol: ipProtocol)
    }

    package var description: String {
        "\(source.name) -> \(destination.name) \(ipProtocol) \(port) \(family == 0 ? "v4" : "v6")"
    }
}

/// Who reaches whom.
package struct ConnectivityMatrix: Sendable, Equatable {
    /// One answer for each of `Probe.all`.
    package var allowed: [Bool]

    /// A matrix of known answers.
    package init(allowed: [Bool]) { self.allowed = allowed }

    /// What the documentation says of a cluster's objects, as the text of a manifest.
    package init(documentationOf manifest: String) {
        let objects = Manifest(source: "cluster.json", bytes: Array(manifest.utf8)).objects
        let oracle = DocumentationOracle(ObservedCluster(objects))
        allowed = Probe.all.map { oracle.allows($0.flow) }
    }

    /// What lines written by hand say; the last one that matches a question counts. Without one it is allowed, and so
    /// is always what no policy can take away: a member reaches itself, and the node its pods.
    package init(written lines: [String]) throws {
        let rules = try lines.map(MatrixRule.init)
        allowed = Probe.all.map { probe in
            if probe.source == probe.destination || probe.source.name == "node" { return true }
            return rules.last { $0.matches(probe) }?.isAllowed ?? true
        }
    }

    /// The matrix without the pods that a step leaves out: whoever else asks them, or is asked by them, gets no answer.
    package func without(goneIn step: PolicyStep) -> ConnectivityMatrix {
        ConnectivityMatrix(
            allowed: zip(Probe.all, allowed).map { probe, isAllowed in
                let isGone = step.isGone(probe.source.name) || step.isGone(probe.destination.name)
                return isAllowed && (!isGone || probe.source == probe.destination)
            })
    }

    /// The questions that two matrices answer differently.
    package func differences(from other: ConnectivityMatrix) -> [Probe] {
        zip(Probe.all, zip(allowed, other.allowed)).filter { $1.0 != $1.1 }.map(\.0)
    }
}
