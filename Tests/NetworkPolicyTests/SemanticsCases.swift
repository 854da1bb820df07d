internal import Addressing
internal import NetworkPolicy

/// The rows of Kubernetes' documentation as policies and packets.
enum SemanticsCases {
    private static let db = Shop.labels(["app": "db"])
    private static let web = Shop.labels(["app": "web"])

    static func selection() throws -> [SemanticsCase] {
        [
            SemanticsCase(
                "Without policies everything is allowed", [],
                [
                    "shop/db from ops/web TCP 80 allowed", "shop/db to 8.8.8.8 UDP 53 allowed",
                ]),
            SemanticsCase(
                "A policy without rules isolates for ingress only", [Shop.policy(select: db)],
                [
                    "shop/db from shop/web TCP 80 denied", "shop/db from shop/web/v6 TCP 80 denied",
                    "shop/db from 8.8.8.8 ICMP 0 denied", "shop/db to shop/web TCP 80 allowed",
                    "shop/web from shop/db TCP 80 allowed",
                ]),
            SemanticsCase(
                "Egress rules without policyTypes isolate both ways",
                [Shop.policy(select: db, egress: [PolicyRule(ports: [PortRule(.udp, .number(53))])])],
                [
                    "shop/db to 8.8.8.8 UDP 53 allowed", "shop/db to 8.8.8.8 TCP 53 denied",
                    "shop/db from shop/web TCP 80 denied",
                ]),
            SemanticsCase(
                "policyTypes Egress alone leaves ingress open and ignores ingress rules",
                [Shop.policy(select: db, types: [.egress], ingress: [PolicyRule(ports: [PortRule(.tcp, .number(1))])])],
                ["shop/db from shop/web TCP 80 allowed", "shop/db to shop/web TCP 80 denied"]),
            SemanticsCase(
                "An empty podSelector selects the whole namespace and no other", [Shop.policy()],
                [
                    "shop/db from ops/web TCP 80 denied", "shop/web from shop/db TCP 80 denied",
                ]),
            SemanticsCase(
                "Policies add up",
                [
                    Shop.policy("a", select: db),
                    Shop.policy("b", select: db, ingress: [PolicyRule(peers: [Shop.pods(web)])]),
                    Shop.policy("c", ingress: [PolicyRule(ports: [PortRule(.tcp, .number(443))])]),
                ],
                [
                    "shop/db from shop/web TCP 80 allowed", "shop/db from ops/probe TCP 443 allowed",
                    "shop/db from ops/probe TCP 80 denied", "shop/web from ops/probe TCP 80 denied",
                ]),
            SemanticsCase(
                "A pod reaches itself and its node reaches it",
                [Shop.policy(types: [.ingress, .egress])],
                [
                    "shop/db from shop/db TCP 80 allowed", "shop/db to shop/db/v6 TCP 80 allowed",
                    "shop/db from 192.168.0.1 TCP 80 allowed", "shop/db from 10.0.0.1 TCP 80 allowed",
                    "shop/db from 192.168.0.2 TCP 80 denied", "shop/db to 192.168.0.1 TCP 80 denied",
                ]),
            SemanticsCase(
                "Selectors of subjects take expressions",
                [Shop.policy(select: Shop.expression("app", .notIn, "web", "api"))],
                ["shop/db from ops/web TCP 80 denied", "shop/web from ops/web TCP 80 allowed"]),
        ]
    }

    static func podPeers() throws -> [SemanticsCase] {
        func from(_ peers: PolicyPeer...) -> [NetworkPolicyObject] {
            [Shop.policy(select: db, ingress: [PolicyRule(peers: peers)])]
        }
        return [
            SemanticsCase(
                "podSelector alone means the policy's namespace", from(Shop.pods(web)),
                [
                    "shop/db from shop/web TCP 80 allowed", "shop/db from shop/web/v6 SCTP 9 allowed",
                    "shop/db from ops/web TCP 80 denied", "shop/db from 8.8.8.8 TCP 80 denied",
                ]),
            SemanticsCase(
                "namespaceSelector alone means all its pods", from(Shop.pods(in: Shop.labels(["env": "dev"]))),
                [
                    "shop/db from ops/web TCP 80 allowed", "shop/db from ops/probe/v6 TCP 80 allowed",
                    "shop/db from shop/web TCP 80 denied",
                ]),
            SemanticsCase(
                "Both selectors in one peer must hold", from(Shop.pods(web, in: Shop.labels(["env": "dev"]))),
                [
                    "shop/db from ops/web TCP 80 allowed", "shop/db from ops/probe TCP 80 denied",
                    "shop/db from shop/web TCP 80 denied",
                ]),
            SemanticsCase(
                "As two peers either may hold",
                from(Shop.pods(web), Shop.pods(in: Shop.labels(["env": "dev"]))),
                [
                    "shop/db from shop/web TCP 80 allowed", "shop/db from ops/probe TCP 80 allowed",
                ]),
            SemanticsCase(
                "An empty namespaceSelector means every pod and no outsider", from(Shop.pods(in: .everything)),
                [
                    "shop/db from ops/probe TCP 80 allowed", "shop/db from shop/web TCP 80 allowed",
                    "shop/db from 8.8.8.8 TCP 80 denied", "shop/db from 192.168.0.2 TCP 80 denied",
                ]),
            SemanticsCase(
                "Namespace expressions", from(Shop.pods(in: Shop.expression("team", .doesNotExist))),
                [
                    "shop/db from shop/web TCP 80 allowed", "shop/db from ops/probe TCP 80 denied",
                ]),
            SemanticsCase(
                "Exists and In",
                from(
                    Shop.pods(Shop.expression("tier", .exists)),
                    Shop.pods(Shop.expression("app", .isIn, "probe", "x"), in: .everything)),
                [
                    "shop/db from shop/web TCP 80 allowed", "shop/db from ops/probe TCP 80 allowed",
                    "shop/db from ops/web TCP 80 denied",
                ]),
            SemanticsCase(
                "A host-network pod is no peer by its labels", from(Shop.pods(web)),
                [
                    "shop/db from 192.168.0.2 TCP 80 denied"
                ]),
            SemanticsCase(
                "A finished pod's address is its successor's", from(Shop.pods(web, in: .everything)),
                [
                    "shop/db from ops/probe TCP 80 denied"
                ]),
            SemanticsCase(
                "Empty and missing from admit everybody",
                [
                    Shop.policy(
                        select: db,
                        ingress: [
                            PolicyRule(peers: [], ports: [PortRule(.tcp, .number(80))]),
                            PolicyRule(ports: [PortRule(.tcp, .number(81))]),
                        ])
                ],
                [
                    "shop/db from 8.8.8.8 TCP 80 allowed", "shop/db from 2001:db8::1 TCP 81 allowed",
                    "shop/db from ops/probe TCP 82 denied",
                ]),
            SemanticsCase(
                "A rule with nothing in it admits everything", [Shop.policy(ingress: [PolicyRule()])],
                [
                    "shop/db from 8.8.8.8 ICMP 0 allowed", "shop/db from ops/web UDP 1 allowed",
                ]),
            SemanticsCase(
                "A pod of a namespace that is gone matches no namespaceSelector",
                inputs: [.namespaceRemoved("ops")] + from(Shop.pods(in: .everything)).map(PolicyInput.policy),
                ["shop/db from ops/web TCP 80 denied", "shop/db from shop/web TCP 80 allowed"]),
        ]
    }

    static func blocks() throws -> [SemanticsCase] {
        func from(_ peers: PolicyPeer...) -> [NetworkPolicyObject] {
            [Shop.policy(select: db, ingress: [PolicyRule(peers: peers)])]
        }
        return [
            SemanticsCase(
                "A block holds pods, nodes and outside addresses alike",
                from(
                    try Shop.block("10.0.0.0/8"), try Shop.block("192.168.0.0/16"), try Shop.block("203.0.113.0/24")),
                [
                    "shop/db from ops/web TCP 80 allowed", "shop/db from 192.168.0.2 TCP 80 allowed",
                    "shop/db from 203.0.113.255 TCP 80 allowed", "shop/db from 203.0.114.0 TCP 80 denied",
                    "shop/db from ops/web/v6 TCP 80 denied",
                ]),
            SemanticsCase(
                "except takes addresses out",
                from(
                    try Shop.block("10.0.0.0/8", except: "10.0.1.0/24", "10.2.0.0/16")),
                [
                    "shop/db from shop/web TCP 80 allowed", "shop/db from ops/web TCP 80 denied",
                    "shop/db from 10.2.3.4 TCP 80 denied", "shop/db from 10.3.0.1 TCP 80 allowed",
                ]),
            SemanticsCase(
                "Another entry may allow what except took out",
                from(
                    try Shop.block("10.0.0.0/8", except: "10.0.1.0/24"), try Shop.block("10.0.1.3/32")),
                [
                    "shop/db from ops/web TCP 80 allowed", "shop/db from ops/probe TCP 80 denied",
                ]),
            SemanticsCase(
                "A selector may allow a pod that except took out",
                from(
                    try Shop.block("10.0.0.0/8", except: "10.0.1.0/24"), Shop.pods(web, in: .everything)),
                [
                    "shop/db from ops/web TCP 80 allowed", "shop/db from ops/probe TCP 80 denied",
                ]),
            SemanticsCase(
                "All of IPv4 is none of IPv6", from(try Shop.block("0.0.0.0/0")),
                [
                    "shop/db from ops/web TCP 80 allowed", "shop/db from ops/web/v6 TCP 80 denied",
                ]),
            SemanticsCase(
                "All of IPv6 is none of IPv4", from(try Shop.block("::/0", except: "fd00::1:2/128")),
                [
                    "shop/db from ops/web TCP 80 denied", "shop/db from 8.8.8.8 TCP 80 denied",
                    "shop/db from ops/web/v6 TCP 80 allowed", "shop/db from ops/probe/v6 TCP 80 denied",
                ]),
            SemanticsCase(
                "Egress to the own node goes by its block",
                [
                    Shop.policy(
                        select: db,
                        egress: [
                            PolicyRule(peers: [try Shop.block("192.168.0.0/24")])
                        ])
                ],
                [
                    "shop/db to 192.168.0.1 TCP 80 allowed", "shop/db to 10.0.0.1 TCP 80 denied",
                ]),
        ]
    }

    static func ports() throws -> [SemanticsCase] {
        func into(_ ports: PortRule...) -> [NetworkPolicyObject] {
            [Shop.policy(ingress: [PolicyRule(peers: [Shop.pods(in: .everything)], ports: ports)])]
        }
        func out(_ peers: [PolicyPeer]?, _ ports: PortRule...) -> [NetworkPolicyObject] {
            [Shop.policy(select: db, types: [.egress], egress: [PolicyRule(peers: peers, ports: ports)])]
        }
        return [
            SemanticsCase(
                "Protocols are told apart",
                into(
                    PortRule(.tcp, .number(80)), PortRule(.udp, .number(53)), PortRule(.sctp, .number(7))),
                [
                    "shop/db from ops/web TCP 80 allowed", "shop/db from ops/web UDP 80 denied",
                    "shop/db from ops/web UDP 53 allowed", "shop/db from ops/web SCTP 7 allowed",
                    "shop/db from ops/web TCP 7 denied", "shop/db from ops/web ICMP 0 denied",
                ]),
            SemanticsCase(
                "A protocol without port means all its ports", into(PortRule(.sctp)),
                [
                    "shop/db from ops/web SCTP 1 allowed", "shop/db from ops/web SCTP 65535 allowed",
                    "shop/db from ops/web TCP 1 denied",
                ]),
            SemanticsCase(
                "endPort is included", into(PortRule(.tcp, .range(1000, 2047)), PortRule(.tcp, .range(65535, 65535))),
                [
                    "shop/db from ops/web TCP 999 denied", "shop/db from ops/web TCP 1000 allowed",
                    "shop/db from ops/web TCP 1500 allowed", "shop/db from ops/web TCP 2047 allowed",
                    "shop/db from ops/web TCP 2048 denied", "shop/db from ops/web TCP 65535 allowed",
                    "shop/db from ops/web TCP 65534 denied", "shop/db from ops/web UDP 1500 denied",
                ]),
            SemanticsCase(
                "Empty ports mean every port", into(),
                [
                    "shop/db from ops/web TCP 1 allowed", "shop/db from ops/web ICMPv6 0 allowed",
                ]),
            SemanticsCase(
                "A named port is each selected pod's own in ingress", into(PortRule(.tcp, .name("http"))),
                [
                    "shop/db from ops/web TCP 80 allowed", "shop/db from ops/web TCP 8080 denied",
                    "shop/web from ops/web TCP 8080 allowed", "shop/web from ops/web TCP 80 denied",
                ]),
            SemanticsCase(
                "A named port has a protocol", into(PortRule(.tcp, .name("dns")), PortRule(.udp, .name("dns"))),
                [
                    "shop/db from ops/web UDP 53 allowed", "shop/db from ops/web TCP 53 denied",
                    "shop/web from ops/web UDP 53 denied",
                ]),
            SemanticsCase(
                "A named port is each peer's own in egress",
                out([Shop.pods(web), Shop.pods(web, in: .everything)], PortRule(.tcp, .name("http"))),
                [
                    "shop/db to shop/web TCP 8080 allowed", "shop/db to shop/web TCP 9090 denied",
                    "shop/db to ops/web TCP 9090 allowed", "shop/db to ops/web TCP 8080 denied",
                    "shop/db to ops/probe TCP 9090 denied", "shop/db to 192.168.0.2 TCP 7070 denied",
                ]),
            SemanticsCase(
                "Named and numbered ports stand side by side in egress",
                out([Shop.pods(in: .everything)], PortRule(.tcp, .name("http")), PortRule(.tcp, .number(22))),
                [
                    "shop/db to ops/web TCP 9090 allowed", "shop/db to ops/web TCP 22 allowed",
                    "shop/db to ops/probe TCP 22 allowed", "shop/db to ops/probe TCP 9090 denied",
                ]),
            SemanticsCase(
                "A named port without peers means every pod that has it",
                out(nil, PortRule(.tcp, .name("http"))),
                [
                    "shop/db to ops/web TCP 9090 allowed", "shop/db to shop/web TCP 8080 allowed",
                    "shop/db to 8.8.8.8 TCP 8080 denied", "shop/db to ops/probe TCP 9090 denied",
                ]),
            SemanticsCase(
                "A named port of a block is that of the pods in it",
                out([try Shop.block("10.0.1.0/24")], PortRule(.tcp, .name("http"))),
                [
                    "shop/db to ops/web TCP 9090 allowed", "shop/db to shop/web TCP 8080 denied",
                    "shop/db to ops/web/v6 TCP 9090 denied", "shop/db to 10.0.1.9 TCP 9090 denied",
                ]),
        ]
    }

    /// What stands in the place of peers that can't be read: nobody.
    static func unreadable() throws -> [SemanticsCase] {
        let nobody = PolicyPeer.addresses([])
        let closed = Shop.policy("bad", select: db, ingress: [PolicyRule(peers: [nobody])])
        let half = Shop.policy("bad", select: db, ingress: [PolicyRule(peers: [nobody, Shop.pods(web)])])
        let open = Shop.policy("open", ingress: [PolicyRule()])
        func cluster(_ name: String, _ rule: ClusterPolicyRule) -> PolicyInput {
            .clusterPolicy(ClusterPolicyObject(name: name, tier: .admin, priority: 1, ingress: [rule]))
        }
        func without(_ action: PolicyAction) -> PolicyInput {
            cluster("a-\(action.rawValue)", ClusterPolicyRule(action: action, peers: []))
        }
        let everybody = cluster("z", ClusterPolicyRule(action: .deny, peers: [Shop.pods(in: .everything)]))
        return [
            SemanticsCase(
                "A rule of which no peer can be read admits nobody, and its policy isolates", [closed],
                [
                    "shop/db from shop/web TCP 80 denied", "shop/db from 192.168.0.1 TCP 80 allowed",
                    "shop/db to shop/web TCP 80 allowed", "shop/web from shop/db TCP 80 allowed",
                ]),
            SemanticsCase(
                "The peers that can be read are admitted", [half],
                ["shop/db from shop/web TCP 80 allowed", "shop/db from ops/web TCP 80 denied"]),
            SemanticsCase("What others admit is admitted", [closed, open], ["shop/db from ops/web TCP 80 allowed"]),
            SemanticsCase(
                "A rule of a cluster policy without peers admits nobody", inputs: [without(.pass), without(.allow)],
                ["shop/db from shop/web TCP 80 allowed", "shop/db from ops/web TCP 80 allowed"]),
            SemanticsCase(
                "and neither before a rule that denies", inputs: [without(.allow), without(.pass), everybody],
                ["shop/db from shop/web TCP 80 denied"]),
            SemanticsCase(
                "One that denies without peers denies everybody", inputs: [without(.deny), .policy(open)],
                ["shop/db from shop/web TCP 80 denied", "shop/db from 192.168.0.1 TCP 80 allowed"]),
        ]
    }

    static func tiers() throws -> [SemanticsCase] {
        func cluster(_ name: String, _ tier: PolicyTier, _ priority: Int, _ rules: ClusterPolicyRule...) -> PolicyInput
        {
            .clusterPolicy(
                ClusterPolicyObject(name: name, tier: tier, priority: priority, podSelector: db, ingress: rules))
        }
        let everyone = Shop.pods(in: .everything)
        let deny = ClusterPolicyRule(action: .deny, peers: [everyone])
        let allowWeb = ClusterPolicyRule(action: .allow, peers: [Shop.pods(web)], ports: [PortRule(.tcp, .number(80))])
        let passWeb = ClusterPolicyRule(action: .pass, peers: [Shop.pods(web)])
        let openShop = PolicyInput.policy(Shop.policy(ingress: [PolicyRule(peers: [Shop.pods(.everything)])]))
        return [
            SemanticsCase(
                "Admin denies before NetworkPolicy allows", inputs: [cluster("a", .admin, 1, deny), openShop],
                [
                    "shop/db from shop/web TCP 80 denied", "shop/db from 8.8.8.8 TCP 80 denied",
                    "shop/web from shop/db TCP 80 allowed",
                ]),
            SemanticsCase(
                "Admin allows what NetworkPolicy isolates",
                inputs: [
                    cluster("a", .admin, 1, allowWeb), .policy(Shop.policy()),
                ], ["shop/db from ops/web TCP 80 allowed", "shop/db from ops/web TCP 81 denied"]),
            SemanticsCase(
                "The lower priority number is judged first",
                inputs: [
                    cluster("a", .admin, 20, deny), cluster("z", .admin, 10, allowWeb),
                ], ["shop/db from ops/web TCP 80 allowed", "shop/db from ops/web TCP 81 denied"]),
            SemanticsCase(
                "Pass skips the rest of the admin tier",
                inputs: [
                    cluster("a", .admin, 1, passWeb, deny), openShop,
                ],
                [
                    "shop/db from shop/web TCP 80 allowed", "shop/db from ops/web TCP 80 denied",
                    "shop/db from ops/probe TCP 80 denied",
                ]),
            SemanticsCase(
                "Baseline decides where nothing else does",
                inputs: [
                    cluster("b", .baseline, 1, allowWeb, deny), cluster("a", .admin, 1, passWeb),
                ],
                [
                    "shop/db from shop/web TCP 80 allowed", "shop/db from shop/web TCP 81 denied",
                    "shop/db from 8.8.8.8 TCP 80 allowed", "shop/web from shop/db TCP 80 allowed",
                ]),
            SemanticsCase(
                "What baseline passes is admitted, as there is no tier after it",
                inputs: [cluster("b", .baseline, 1, passWeb, deny)],
                ["shop/db from shop/web TCP 81 allowed", "shop/db from ops/probe TCP 80 denied"]),
            SemanticsCase(
                "Isolation leaves nothing to baseline",
                inputs: [
                    cluster("b", .baseline, 1, allowWeb), .policy(Shop.policy()),
                ], ["shop/db from shop/web TCP 80 denied"]),
        ]
    }
}
