import Kubernetes
import NetworkPolicy
import Testing

@testable import Agent

/// What the log says of objects that are not in force as written.
@Suite struct ProblemsInTheLog {
    private let key = ObjectKey(.networkPolicy, namespace: "shop", name: "web")
    private let overflow = PolicyProblem(
        object: PolicyName(kind: .networkPolicy, namespace: "shop", name: "web"), field: "spec.ingress",
        message: "pod shop/web-1 has more than 16384 rules with this policy")
    private let name = PolicyProblem(
        object: PolicyName(kind: .networkPolicy, namespace: "shop", name: "web"), field: "spec.egress",
        message: "is wrong")

    private func line(_ message: String, _ problem: some CustomStringConvertible) -> ProblemLog.Line {
        ProblemLog.Line(isMended: !message.hasPrefix("A policy"), message: message, problem: "\(problem)")
    }

    @Test func aProblemOfAPolicyIsSaidWhenItComesAndWhenItIsMended() {
        var log = ProblemLog()
        func said(_ problems: [PolicyProblem], isThere: Bool = true) -> [ProblemLog.Line] {
            log.lines(policies: problems, sources: []) { _ in isThere }
        }
        let comes = "A policy is not in force as written"
        #expect(said([]).isEmpty)
        #expect(said([name, overflow]) == [line(comes, name), line(comes, overflow)])
        #expect(said([name, overflow]).isEmpty, "once")
        #expect(said([name]) == [line("An error of an object is mended, others are left", overflow)])
        #expect(said([]) == [line("An object is in force as written again", name)])
        #expect(said([name]) == [line(comes, name)], "what comes back is news")
        #expect(said([], isThere: false) == [line("An object that was not in force as written is gone", name)])
    }

    @Test func whatCouldNotBeReadIsSaidToBeMended() {
        var log = ProblemLog()
        func said(_ diagnostics: [SourceDiagnostic], isThere: Bool = true) -> [ProblemLog.Line] {
            log.lines(policies: [], sources: diagnostics) { _ in isThere }
        }
        let syntax = SourceDiagnostic(.syntax, source: "a.yaml", document: 2, message: "odd")
        let wrong = SourceDiagnostic(.invalidObject, source: "a.yaml", key: key, message: "wrong")
        let other = SourceDiagnostic(.invalidObject, source: "a.yaml", key: key, message: "wrong in another way")
        let double = SourceDiagnostic(.duplicate, source: "b.yaml", key: key, message: "ignored")
        #expect(said([syntax, wrong]).isEmpty, "the controller has said so when it heard of it")
        #expect(said([wrong]) == [line("What could not be read is mended or gone", syntax)])
        #expect(said([other]) == [line("An error of an object is mended, others are left", wrong)])
        #expect(said([]) == [line("An object is in force as written again", other)])
        #expect(said([double]).isEmpty)
        #expect(said([]) == [line("An object is there only once again", double)])
        _ = said([wrong])
        #expect(said([], isThere: false) == [line("An object that was not in force as written is gone", wrong)])
    }
}
