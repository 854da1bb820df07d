import Addressing
import Datapath
import NetworkPolicy
import Testing

@testable import ApusCLI

@Suite struct `Lists from the maps` {
    @Test func `endpoints in columns`() async {
        let outcome = await run("endpoint", "list")
        #expect(
            outcome.output == """
                NAMESPACE  POD         ADDRESSES                  INTERFACE  IDENTITY  INGRESS   EGRESS
                shop       cart-0      10.244.0.5,fd00:10:244::5  veth5            12  00c0ffee  open
                shop       front-7d9f  10.244.0.6                 #6                7  open      open

                """)
        #expect(outcome.code == 0 && outcome.notes.isEmpty)
    }

    @Test func `a direction whose policy is not in the maps is closed`() throws {
        let endpoint = EndpointReading(
            slot: 1, addresses: [], interface: 5, hostMAC: MACAddress(bits: 0), identity: 1, generation: 1,
            ingress: PolicyID(rawValue: 0xc0ffee), egress: PolicyID(rawValue: 0xbadcafe), canRedirect: true)
        let row = EndpointRow(endpoint, interface: nil, policies: [PolicyID(rawValue: 0xbadcafe)])
        #expect(row.closed == ["ingress"])
        let columns = EndpointRow.columns.suffix(2).map { $0.text(row) }
        #expect(columns == ["00c0ffee (closed)", "0badcafe"])
        #expect(EndpointRow(endpoint, interface: nil, policies: []).closed == ["ingress", "egress"])
    }

    @Test func `services with their first backends`() async {
        #expect(
            await run("service", "list").output == """
                NAMESPACE  SERVICE    FRONTEND                 TYPE          AFFINITY  FROM OUTSIDE                  BACKENDS
                shop       cart:http  10.96.0.10:80/TCP        ClusterIP     600 s     -                             10.244.0.5:8080, 10.244.0.6:8080 + 3 more
                shop       edge:http  203.0.113.1:80/TCP       LoadBalancer  -         10.244.0.5:8080               10.244.0.5:8080, 10.244.0.6:8080 + 3 more
                shop       edge:http  203.0.113.2:80/TCP       LoadBalancer  -         the same for 198.51.100.0/24  10.244.0.5:8080, 10.244.0.6:8080 + 3 more
                shop       gone       [fd00:10:96::11]:53/UDP  ClusterIP     -         -                             none: refuses

                """)
    }

    @Test func `patterns with the names and addresses that were learned`() async {
        let outcome = await run("fqdn", "list")
        #expect(
            outcome.output == """
                PATTERN      IN FORCE  NAME           ADDRESSES                            EXPIRES  POLICY    RULES
                *.shop.test  yes       api.shop.test  198.51.100.1, 198.51.100.2 + 1 more      12s  0badcafe  \
                FQDNNetworkPolicy shop/web egress[0]
                *b*b*        no        -              -                                          -  0badcafe  \
                FQDNNetworkPolicy shop/web egress[1]

                """)
        let json = await run("fqdn", "list", "-o", "json").output
        #expect(json.contains(#""remaining_ns" : 8000000000"#) && json.contains(#""field" : "pattern""#), "\(json)")
        #expect(json.contains(#""in_force" : true"#) && json.contains(#""in_force" : false"#), "\(json)")
        let empty = await run("fqdn", "list", datapath: FakeDatapath(isEmpty: true))
        #expect(empty.code == 0 && empty.notes.hasPrefix("no patterns"))
    }

    @Test func `a name with the patterns that match it and what was learned`() async {
        let outcome = await run("fqdn", "explain", "API.shop.test.")
        #expect(
            outcome.output == """
                api.shop.test
                  PATTERN      IN FORCE  POLICY    RULES                                 PODS
                  *.shop.test  yes       0badcafe  FQDNNetworkPolicy shop/web egress[0]  shop/cart-0

                  ADDRESS       ADMITTED  EXPIRES  POLICY
                  198.51.100.1  yes            4s  0badcafe
                  198.51.100.1  yes         ended  0badcafe
                  198.51.100.1  no              -  00c0ffee

                """)
        #expect(outcome.code == 0)
        let json = await run("fqdn", "explain", "api.shop.test", "-o", "json").output
        #expect(json.contains(#""admitted" : true"#) && json.contains(#""admitted" : false"#), "\(json)")
        let refused = await run("fqdn", "explain", "bob")
        #expect(
            refused.output == """
                bob
                  PATTERN  IN FORCE  POLICY    RULES                                 PODS
                  *b*b*    no        0badcafe  FQDNNetworkPolicy shop/web egress[1]  shop/cart-0
                  no address is held under it

                """)
        #expect(refused.code == 0)
        let unknown = await run("fqdn", "explain", "nobody.test")
        #expect(unknown.code == 1)
        #expect(unknown.output == "nobody.test: no pattern of this node's policies matches it\n")
        #expect(await run("fqdn", "explain", ".").code == 64)
    }

    @Test func `policies with their rules`() async {
        #expect(
            await run("policy", "list").output == """
                policy 00c0ffee  ingress  isolates (by NetworkPolicy shop/cart)
                    judges shop/cart-0
                    RULE  ACTION  TIER            FROM
                       0  allow   network-policy  NetworkPolicy shop/cart ingress[0]

                policy 0badcafe  unused  leaves the rest open
                    judges no endpoint
                    no rules

                """)
    }

    @Test func `a policy in audit mode reports what it does not deny`() {
        let rule = PolicyRow.Rule(
            number: 0, kind: "ClusterNetworkPolicy", name: "guard", rule: "ingress[0]", tier: "admin", action: "deny",
            audit: true)
        let row = PolicyRow(
            policy: "00c0ffee", direction: "ingress", isolates: false, audits: true,
            isolatedBy: "NetworkPolicy shop/cart", endpoints: ["shop/cart-0"], rules: [rule])
        #expect(
            PolicyRow.text([row]) == """
                policy 00c0ffee  ingress  audits the rest (by NetworkPolicy shop/cart)
                    judges shop/cart-0
                    RULE  ACTION        TIER   FROM
                       0  deny (audit)  admin  ClusterNetworkPolicy guard ingress[0]

                """)
    }

    @Test func `a policy of more rules than can be programmed is closed, and says with which object`() throws {
        let reading = PolicyReading(
            id: PolicyID(rawValue: 0xc0ffee), isolates: true,
            isolationText: "NetworkPolicy/shop/long/ingress/isolation", rules: [], uses: [], isTooLong: true)
        var row = PolicyRow(reading)
        row.endpoints = ["shop/cart-0"]
        #expect(
            PolicyRow.text([row]) == """
                policy 00c0ffee  ingress  closed: more rules than can be programmed, with NetworkPolicy shop/long
                    judges shop/cart-0

                """)
        #expect(row.closed == true)
    }

    @Test func `connections, the last used first`() async {
        #expect(
            await run("connection", "list").output == """
                PROTO  SOURCE                 DESTINATION       SERVICE         MASQUERADED  STATE         AGE  IDLE      OUT      BACK
                TCP    shop/front-7d9f:40000  shop/cart-0:8080  shop/cart:http            -  established  3m5s  20ms  1.5 KiB  20.0 MiB
                UDP    shop/cart-0:4000       [fd00::1]:53      -                     61005  half_open      9s    8s    180 B       0 B

                """)
        #expect(await run("connection", "list", "--last", "1", "-o", "json").output.contains("40000"))
        #expect(await !run("connection", "list", "--last", "1", "-o", "json").output.contains("half_open"))
    }

    @Test func `maps and an entry`() async {
        #expect(
            await run("map", "list").output == """
                NAME       TYPE    KEY  VALUE  ENTRIES  MAXIMUM
                endpoints  array   4 B   72 B        -     1024
                services   hash   24 B   16 B        2    65536

                """)
        #expect(
            await run("map", "dump", "services").output == """
                KEY                VALUE
                TCP 10.96.0.10:80  slots 0-4 service 1

                """)
    }

    @Test func `a row as JSON`() async {
        #expect(
            await run("endpoint", "list", "-o", "json").output.hasPrefix(
                """
                [
                  {
                    "addresses" : [
                      "10.244.0.5",
                      "fd00:10:244::5"
                    ],
                    "generation" : 3,
                    "identity" : 12,
                    "ingress_policy" : "00c0ffee",
                    "interface" : "veth5",
                    "interface_index" : 5,
                    "mac" : "02:00:00:00:00:05",
                    "namespace" : "shop",
                    "pod" : "cart-0",
                    "redirect" : true,
                    "slot" : 1,
                    "uid" : "u-1"
                  },
                """))
    }

    @Test func `a row as YAML`() async {
        #expect(
            await run("map", "list", "-o", "yaml").output == """
                - key_bytes: 4
                  max_entries: 1024
                  name: endpoints
                  type: array
                  value_bytes: 72
                - entries: 2
                  key_bytes: 24
                  max_entries: 65536
                  name: services
                  type: hash
                  value_bytes: 16

                """)
    }

    @Test(arguments: [
        ["endpoint", "list"], ["service", "list"], ["policy", "list"], ["connection", "list"], ["map", "list"],
        ["map", "dump", "services"], ["status"], ["doctor"],
    ]) func `keys are in snake case, and no line of a table ends with a space`(_ command: [String]) async {
        let table = await run(arguments: command, facts: DoctorTests.good).output
        #expect(!table.split(separator: "\n").contains { $0.last == " " })
        let json = await run(arguments: command + ["-o", "json"], facts: DoctorTests.good).output
        let keys = json.matches(of: #/"([^"\n]*)" : /#).map { String($0.output.1) }
        #expect(!keys.isEmpty && keys.allSatisfy { $0.wholeMatch(of: #/[a-z][a-z0-9_]*/#) != nil }, "\(keys)")
    }

    @Test(arguments: ["endpoint", "service", "policy", "connection"])
    func `an empty list says so beside the output, and is a list in JSON`(_ noun: String) async {
        let empty = FakeDatapath(isEmpty: true)
        let table = await run(noun, "list", datapath: empty)
        #expect(table.output.isEmpty && table.notes.hasPrefix("no ") && table.code == 0)
        let json = await run(noun, "list", "-o", "json", datapath: empty)
        #expect(json.output.filter { !$0.isWhitespace } == "[]" && json.notes.isEmpty)
    }
}
