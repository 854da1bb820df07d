import PolicyCases
import TestSupport

/// One process in every member of a lab's cluster, which serves the ports of the policy cases and asks all others.
struct Mesh: Sendable {
    /// What a round brought.
    struct Answers {
        /// By connections that were opened for it.
        var new: ConnectivityMatrix
        /// By those that live as long as the mesh, where a question has one; by new ones where it has none.
        var live: ConnectivityMatrix
    }

    /// The questions to one address that have a live connection, counted in its part of the matrix: UDP and SCTP to the
    /// first port.
    private static let held = [2, 4]
    /// How many questions there are to one address, without those and with them.
    private static let (questions, marked) = (6, 8)
    private static let lineLength = Probe.all.count / CaseCluster.members.count / questions * marked
    private static let greeting = "listening\n"

    private let members: [ChildProcess]
    private var rounds = 0
    /// How many questions have been put, and how many of them should have been answered.
    private(set) var (asked, expected): (UInt64, UInt64) = (0, 0)

    /// How many should have had none.
    var unanswered: UInt64 { asked - expected }

    /// Starts the processes and waits until all of them serve.
    static func opened(_ lab: Lab) async throws -> Mesh {
        let targets = CaseCluster.members.flatMap(\.addresses).map { "target \($0)\n" }.joined()
        var members: [ChildProcess] = []
        for member in CaseCluster.members {
            // What should not be answered has this long to be, after everything else has been.
            let process = try lab.host(member.host).traffic(
                ["mesh", "--port", "\(CaseCluster.ports[0])", "--interval-ms", "30", "--timeout-ms", "60000"])
            members.append(process)
        }
        let mesh = Mesh(members: members)
        try await mesh.waitForOutput(greeting.utf8.count)
        for member in members { member.write(targets) }
        return mesh
    }

    private init(members: [ChildProcess]) { self.members = members }

    /// Asks every question of the matrix at once, some of them also by connections that live since the first round.
    /// Each member sends those first that nobody should answer, then waits for all answers that are expected, and a
    /// little longer for others.
    mutating func ask(expecting expected: ConnectivityMatrix) async throws -> Answers {
        let marks = expected.allowed.map { $0 ? "1" : "0" }
        let lines = stride(from: 0, to: marks.count, by: Self.questions).map { start in
            (marks[start..<start + Self.questions] + Self.held.map { marks[start + $0] }).joined()
        }
        let targets = lines.count / members.count
        for (index, member) in members.enumerated() {
            member.write(lines[index * targets..<(index + 1) * targets].joined() + "\n")
        }
        rounds += 1
        self.asked += UInt64(lines.count * Self.marked)
        self.expected += UInt64(lines.reduce(0) { $0 + $1.utf8.count { $0 == UInt8(ascii: "1") } })
        try await waitForOutput(Self.greeting.utf8.count + rounds * (Self.lineLength + 1))
        return read()
    }

    private func read() -> Answers {
        let marks = members.flatMap { $0.output.utf8.dropLast().suffix(Self.lineLength) }.map {
            $0 == UInt8(ascii: "1")
        }
        var answers = Answers(new: ConnectivityMatrix(allowed: []), live: ConnectivityMatrix(allowed: []))
        for start in stride(from: 0, to: marks.count, by: Self.marked) {
            var part = Array(marks[start..<start + Self.questions])
            answers.new.allowed += part
            for (number, question) in Self.held.enumerated() { part[question] = marks[start + Self.questions + number] }
            answers.live.allowed += part
        }
        return answers
    }

    private func waitForOutput(_ length: Int) async throws {
        for member in members {
            try await eventually("an answer of the mesh", every: .milliseconds(2)) {
                if let result = member.result { throw LabError("mesh", "\(result.ending) \(result.errors)") }
                return member.output.utf8.count >= length
            }
        }
    }
}
