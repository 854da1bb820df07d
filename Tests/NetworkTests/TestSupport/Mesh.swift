import PolicyCases
import TestSupport

/// One process in every member of a lab's cluster, which serves the ports of the policy cases and asks all others.
struct Mesh: Sendable {
    private let members: [ChildProcess]
    private static let answers = Probe.all.count / CaseCluster.members.count
    private static let greeting = "listening\n"
    private var rounds = 0

    /// Starts the processes and waits until all of them serve.
    static func opened(_ lab: Lab) async throws -> Mesh {
        let targets = CaseCluster.members.flatMap(\.addresses).map { "target \($0)\n" }.joined()
        var members: [ChildProcess] = []
        for member in CaseCluster.members {
            // What should not be answered has this long to be, after everything else has been.
            let process = try lab.host(member.host).traffic(
                ["mesh", "--port", "\(CaseCluster.ports[0])", "--interval-ms", "30", "--timeout-ms", "5000"])
            members.append(process)
        }
        let mesh = Mesh(members: members)
        try await mesh.waitForOutput(greeting.utf8.count)
        for member in members { member.write(targets) }
        return mesh
    }

    private init(members: [ChildProcess]) { self.members = members }

    /// Asks every question of the matrix at once. Each member sends those first that nobody should answer, then waits
    /// for all answers that are expected, and a little longer for others.
    mutating func ask(expecting expected: ConnectivityMatrix) async throws -> ConnectivityMatrix {
        let marks = expected.allowed.map { $0 ? "1" : "0" }.joined()
        for (index, member) in members.enumerated() {
            member.write(String(marks.dropFirst(index * Self.answers).prefix(Self.answers)) + "\n")
        }
        rounds += 1
        try await waitForOutput(Self.greeting.utf8.count + rounds * (Self.answers + 1))
        let answers = members.map { $0.output.utf8.dropLast().suffix(Self.answers) }
        return ConnectivityMatrix(allowed: answers.flatMap { $0.map { $0 == UInt8(ascii: "1") } })
    }

    private func waitForOutput(_ length: Int) async throws {
        for member in members {
            try await eventually("an answer of the mesh", within: .seconds(20), every: .milliseconds(2)) {
                if let result = member.result { throw LabError("mesh", "\(result.ending) \(result.errors)") }
                return member.output.utf8.count >= length
            }
        }
    }
}
