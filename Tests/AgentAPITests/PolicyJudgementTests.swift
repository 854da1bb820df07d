import AgentAPI
import Addressing
import Testing

@Suite struct PolicyJudgements {
    typealias Tier = PolicyJudgement.Tier

    private static func rule(
        _ name: String?, _ tier: Tier.Name, _ action: String = "allow", peer: Bool = false, port: Bool = false
    ) -> PolicyJudgement.Rule {
        PolicyJudgement.Rule(
            rule: name, tier: tier, action: action, admits: .init(peers: "pods app=web", ports: "TCP 80"),
            admitsPeer: peer, admitsPort: port)
    }

    @Test(
        arguments: [
            (PolicyJudgement(allowed: true, reason: .nothing), [.noRules, .noRules, .noRules]),
            (PolicyJudgement(allowed: true, reason: .ownTraffic), [.notReached, .notReached, .notReached]),
            (PolicyJudgement(allowed: false, reason: .closed), [.notReached, .notReached, .notReached]),
            (PolicyJudgement(allowed: false, reason: .isolation), [.noRules, .isolated, .notReached]),
            (
                PolicyJudgement(
                    allowed: true, reason: .rule, rules: [rule("a", .admin, "pass", peer: true, port: true)]),
                [.decided, .notReached, .notReached]
            ),
            (
                PolicyJudgement(
                    allowed: true, reason: .rule,
                    rules: [
                        rule("a", .admin), rule("b", .admin, "pass", peer: true, port: true),
                        rule("c", .networkPolicy, peer: true, port: true),
                    ]), [.passed, .decided, .notReached]
            ),
            (
                PolicyJudgement(
                    allowed: false, reason: .rule,
                    rules: [rule("a", .admin, port: true), rule("b", .baseline, "deny", peer: true, port: true)]),
                [.noMatch, .noRules, .decided]
            ),
        ] as [(PolicyJudgement, [Tier.Outcome])])
    func tiersFollowFromTheRules(judgement: PolicyJudgement, outcomes: [Tier.Outcome]) {
        #expect(judgement.tiers.map(\.tier) == [.admin, .networkPolicy, .baseline])
        #expect(judgement.tiers.map(\.outcome) == outcomes)
    }

    @Test(
        arguments: [
            (.isolation, [], "no rule of the NetworkPolicy tier admits shop/web on TCP 81; there is none at all"),
            (
                .isolation, [rule("a", .networkPolicy, port: true), rule("b", .networkPolicy, peer: true)],
                "no rule of the NetworkPolicy tier admits shop/web on TCP 81; closest: b admits the peer, but only TCP 80"
            ),
            (
                .isolation, [rule("z", .admin, peer: true), rule("a", .networkPolicy, port: true)],
                "no rule of the NetworkPolicy tier admits shop/web on TCP 81; closest: a admits the port, but only "
                    + "pods app=web"
            ),
            (
                .isolation, [rule("a", .networkPolicy)],
                "no rule of the NetworkPolicy tier admits shop/web on TCP 81; closest: a admits neither the peer nor the "
                    + "port"
            ),
            (
                .rule, [rule("a", .admin, peer: true), rule("b", .admin, "deny", peer: true, port: true)],
                "no rule before b accepts shop/web on TCP 81; closest: a admits the peer, but only TCP 80"
            ),
            (
                .rule, [rule("b", .baseline, "deny", peer: true, port: true)],
                "no rule before b accepts shop/web on TCP 81"
            ),
        ] as [(PolicyJudgement.Reason, [PolicyJudgement.Rule], String)])
    func whatIsMissing(reason: PolicyJudgement.Reason, rules: [PolicyJudgement.Rule], text: String) {
        let judgement = PolicyJudgement(allowed: false, reason: reason, rules: rules)
        #expect(judgement.shortcoming(peer: "shop/web", port: "TCP 81") == text)
    }

    @Test func whatIsAllowedMissesNothing() {
        #expect(PolicyJudgement(allowed: true, reason: .nothing).shortcoming(peer: "a", port: "TCP 1") == nil)
    }

    @Test func judgementsAgreeByVerdictAndRule() {
        func decided(_ name: String?) -> PolicyJudgement {
            PolicyJudgement(
                allowed: true, reason: .rule, rules: [Self.rule(name, .networkPolicy, peer: true, port: true)])
        }
        let isolated = PolicyJudgement(allowed: false, reason: .isolation, policies: ["a", "b"])
        #expect(decided("a").agrees(with: decided("a")))
        #expect(!decided("a").agrees(with: decided("b")))
        #expect(decided("a").agrees(with: decided(nil)), "the maps may have no name for it")
        #expect(!decided("a").agrees(with: PolicyJudgement(allowed: true, reason: .nothing)))
        #expect(isolated.agrees(with: PolicyJudgement(allowed: false, reason: .isolation, policies: ["a"])))
        #expect(!PolicyJudgement(allowed: false, reason: .broken).agrees(with: isolated), "the maps tell the two apart")
        #expect(!PolicyJudgement(allowed: false, reason: .closed).agrees(with: isolated))
    }

    @Test func judgementsDisagreeWhereOnlyOneIsAudited() {
        func open(_ audited: String?) -> PolicyJudgement {
            PolicyJudgement(allowed: true, reason: .nothing, audited: audited)
        }
        #expect(open("a, b").agrees(with: open("a")) && open(nil).agrees(with: open(nil)))
        #expect(!open("a").agrees(with: open(nil)) && !open(nil).agrees(with: open("a")))
    }

    @Test(
        arguments: [
            ("10.0.0.1", "10.0.0.1"), ("FD00::1", "fd00::1"), ("shop/web", "shop/web"), ("shop", nil), ("shop/", nil),
            ("/web", nil), ("a/b/c", nil), ("", nil), ("WWW.example.com.", "www.example.com"),
            ("Registry.", "registry."),
            ("_srv.a-b.test", "_srv.a-b.test"), (".", nil), ("a..test", nil), (".test", nil), ("10.0.0", nil),
            ("10.0.0.256", nil), ("*.example.com", nil), ("a b.test", nil), ("[fd00::1]", nil),
        ] as [(String, String?)])
    func endsAreAddressesOrNames(text: String, end: String?) {
        #expect(PolicyEnd(text)?.description == end)
    }

    @Test(
        arguments: [
            ("80", "80"), ("65535", "65535"), ("0", nil), ("65536", nil), ("-1", nil), ("http", "http"), ("", nil),
        ] as [(String, String?)])
    func portsAreNumbersOrNames(text: String, port: String?) {
        #expect(PolicyPort(text)?.description == port)
    }
}
