internal import Datapath
internal import PrometheusText

extension AgentMetrics {
    /// What was learned under names, and what was not.
    var nameFamilies: [MetricFamily] {
        var answers = MetricFamily(
            "apus_fqdn_outcomes_total", .counter,
            "Questions, answers and addresses of DNS in the data path where policies have names, by what became of them.",
            outlivesProcess: true)
        for outcome in NameOutcome.allCases {
            if let count = names?[outcome] { answers.add(.count(count), [MetricLabel("outcome", outcome.text)]) }
        }
        var handedOver = MetricFamily(
            "apus_fqdn_handed_over_total", .counter,
            "Answers that the data path handed over to the agent, by what became of them.")
        let counts = controller.handedOver
        for (outcome, count) in [
            ("learned", counts.learned), ("unreadable", counts.unreadable), ("unasked", counts.unasked),
            ("unmatched", counts.unmatched), ("no-room", counts.noRoom), ("busy", counts.busy),
            ("collided", counts.collided), ("contradictory", counts.contradictory), ("incomplete", counts.incomplete),
            ("given-up", counts.givenUp), ("expired", counts.expired),
        ] {
            handedOver.add(.count(count), [MetricLabel("outcome", outcome)])
        }
        let unanswered = MetricFamily(
            "apus_fqdn_unanswered_total", .counter, "Questions to resolvers that nobody answered within 30 seconds.",
            [MetricSample(.count(controller.unanswered))])
        return [answers, handedOver, unanswered] + heldFamilies
    }

    private var heldFamilies: [MetricFamily] {
        let learned = controller.learned
        return [
            MetricFamily(
                "apus_fqdn_addresses", .gauge,
                "Learned addresses that were held at the last look, once for each policy and for each eight names.",
                [MetricSample(.count(learned.addresses))]),
            MetricFamily(
                "apus_fqdn_names", .gauge, "Names that were held at the last look.",
                [MetricSample(.count(learned.names))]),
            MetricFamily(
                "apus_fqdn_expired_total", .counter, "Learned addresses that were let go as they had ended.",
                [MetricSample(.count(learned.expired))]),
            MetricFamily(
                "apus_fqdn_evicted_total", .counter,
                "Learned addresses that had to make room although they had not ended.",
                [MetricSample(.count(learned.evicted))]),
            MetricFamily(
                "apus_fqdn_held_total", .counter,
                "Looks at which a policy, or all of them, had nearly as much as they may and no address could be let go.",
                [MetricSample(.count(learned.held))]),
            MetricFamily(
                "apus_fqdn_uncopied_total", .counter,
                "Names of addresses that were not copied for the policy that pods got, as their maps were full.",
                [MetricSample(.count(controller.uncopied))]),
        ]
    }
}
