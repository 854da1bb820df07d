internal import Kubernetes
internal import Logging
internal import NetworkPolicy

/// What the log says of objects that are not in force as written: once when that comes, and once when it is mended.
///
/// What a source finds is told by who hears it, at once; what the compiler finds of policies is told here.
struct ProblemLog: Sendable {
    /// One line of the log.
    struct Line: Sendable, Hashable {
        /// Whether it tells of an end, and not of a problem that has come.
        var isMended: Bool
        var message: String
        var problem: String
    }

    private var policies: Set<PolicyProblem> = []
    private var sources: Set<SourceDiagnostic> = []

    /// What is to be said now.
    ///
    /// - Parameter isThere: whether an object is known now, in whatever version.
    mutating func lines(
        policies problems: [PolicyProblem], sources diagnostics: [SourceDiagnostic], isThere: (ObjectKey) -> Bool
    ) -> [Line] {
        let (policiesNow, sourcesNow) = (Set(problems), Set(diagnostics))
        defer { (policies, sources) = (policiesNow, sourcesNow) }
        let come = policiesNow.subtracting(policies).sorted().map {
            Line(isMended: false, message: "A policy is not in force as written", problem: "\($0)")
        }
        let wrongPolicies = Set(problems.map(\.object))
        let mended = policies.subtracting(policiesNow).sorted().map { problem in
            let key = ObjectKey(problem.object)
            let isGone = key.map { !isThere($0) } ?? false
            let message = Self.end(isGone: isGone, isWrongStill: wrongPolicies.contains(problem.object))
            return Line(isMended: true, message: message, problem: "\(problem)")
        }
        return come + mended + readAgain(sourcesNow, isThere)
    }

    private func readAgain(_ now: Set<SourceDiagnostic>, _ isThere: (ObjectKey) -> Bool) -> [Line] {
        let wrong = Set(now.compactMap(\.key))
        return sources.subtracting(now).map { diagnostic in
            guard let key = diagnostic.key else {
                return Line(
                    isMended: true, message: "What could not be read is mended or gone", problem: "\(diagnostic)")
            }
            let isOnce = diagnostic.problem == .duplicate && isThere(key) && !wrong.contains(key)
            let end = Self.end(isGone: !isThere(key), isWrongStill: wrong.contains(key))
            return Line(
                isMended: true, message: isOnce ? "An object is there only once again" : end, problem: "\(diagnostic)")
        }.sorted { $0.problem < $1.problem }
    }

    private static func end(isGone: Bool, isWrongStill: Bool) -> String {
        if isWrongStill { return "An error of an object is mended, others are left" }
        return isGone ? "An object that was not in force as written is gone" : "An object is in force as written again"
    }
}

extension NodeController {
    /// Says what has come and what is mended since it was said last.
    func logProblems() {
        guard problemsMayDiffer else { return }
        problemsMayDiffer = false
        let lines = problemLog.lines(
            policies: state.policies.problems, sources: diagnostics.all, isThere: state.contains)
        for line in lines {
            log.log(
                level: line.isMended ? .info : .warning, "\(line.message)", metadata: ["problem": "\(line.problem)"])
        }
    }
}
