import CNI
import Testing

/// What the plugin answers, with an agent that says what the test wants.
@Suite struct PluginTests {
    private static let environment = [
        "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c0ffee", "CNI_NETNS": "/run/netns/pod", "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=1-2;X=a=b",
    ]
    /// As ptp answers, with odd spaces, numbers and members that have to stay as they are.
    private static let previous = """
        {"cniVersion":"1.0.0", "interfaces": [
          {"name":"veth1","mac":"02:00:00:00:00:01"},
          {"name":"eth0","mac":"02:00:00:00:00:02","sandbox":"/run/netns/pod"}],
         "ips":[{"interface":1,"address":"10.244.1.5/24","gateway":"10.244.1.1"},
                {"interface":1,"address":"fd00::5/64"}], "routes":[{"dst":"0.0.0.0/0","mtu":1.5e3}],
         "dns":{}, "x-other":"\\u00e9"}
        """

    private static func configuration(_ version: String = "1.0.0", _ more: String = "") -> String {
        """
        {"cniVersion":"\(version)","name":"k8s","type":"apus-cni"\(more)}
        """
    }

    private static func chained(_ version: String = "1.0.0", _ more: String = "") -> String {
        configuration(version, ",\"prevResult\":\(previous)\(more)")
    }

    private func run(
        _ changes: [String: String?] = [:], _ input: String, reply: AgentReply = .done,
        asked: (AgentQuestion, String, Int) -> Void = { _, _, _ in }
    ) -> CNIPlugin.Outcome {
        let environment = Self.environment.merging(changes.mapValues { $0 ?? "" }) { $1 }.filter { !$0.value.isEmpty }
        return withoutActuallyEscaping(asked) { asked in
            CNIPlugin(variable: { environment[$0] }, input: Array(input.utf8)) { question, socket, wait in
                asked(question, socket, wait)
                return reply
            }.run()
        }
    }

    // MARK: ADD

    @Test(arguments: ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
    func addPassesOnWhatWasMadeBeforeItByteForByte(version: String) {
        let outcome = run(Self.chained(version))
        #expect(outcome == CNIPlugin.Outcome(output: Self.previous))
    }

    @Test func addAsksTheAgentForTheInterfaceOfThePod() {
        var lines: [String] = []
        _ = run(Self.chained("1.0.0", #","socket":"/run/other.sock","timeout":7"#)) { question, socket, wait in
            lines = [question.line, socket, "\(wait)"]
        }
        let line = """
            {"protocol":1,"request":"attach","attachment":{"key":{"network":"k8s","container":"c0ffee",\
            "interface":"eth0"},"pod":{"namespace":"shop","name":"web-1","uid":"1-2"},\
            "addresses":["10.244.1.5","fd00::5"],"host_interfaces":["veth1"],"wait_ms":7000}}
            """
        #expect(lines == [line, "/run/other.sock", "7000"])
    }

    @Test func withoutASocketAndATimeThereAreDefaults() {
        var asked: [String] = []
        _ = run(Self.chained()) { _, socket, wait in asked = [socket, "\(wait)"] }
        #expect(asked == ["/run/apus/apus.sock", "10000"])
    }

    @Test func aRuntimeWithoutNamespacesAndUIDsMeansTheDefaultOne() {
        var pod: CNIPod?
        _ = run(["CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web"], Self.chained()) { question, _, _ in
            if case .attach(let attachment) = question { pod = attachment.pod }
        }
        #expect(pod == CNIPod(namespace: "default", name: "web"))
    }

    // MARK: Errors

    /// The environment, the configuration, what the agent says, and what comes of it.
    private static let failures: [(String, [String: String?], String, AgentReply, String)] = [
        (
            "an agent that is not there", [:], chained(), .unreachable("/run/apus/apus.sock: Connection refused"),
            """
            {"cniVersion": "1.0.0", "code": 11, "msg": "apusd is not there: /run/apus/apus.sock: Connection refused", \
            "details": "the agent of this node has to run for pods to come up; those that are up go on without it"}
            """
        ),
        (
            "a policy that is not in force in time", [:], chained("1.1.0"),
            .refused(code: "unavailable", message: "the policy of Pod shop/web-1 is not in force"),
            """
            {"cniVersion": "1.1.0", "code": 11, "msg": "apusd: the policy of Pod shop/web-1 is not in force"}
            """
        ),
        (
            "an interface that can't be covered", [:], chained(), .refused(code: "refused", message: "no \"veth\""),
            """
            {"cniVersion": "1.0.0", "code": 100, "msg": "apusd: no \\"veth\\""}
            """
        ),
        (
            "a busy agent", [:], chained(), .refused(code: "busy", message: "busy"),
            #"{"cniVersion": "1.0.0", "code": 11, "msg": "apusd: busy"}"#
        ),
        (
            "a check that finds a difference", ["CNI_COMMAND": "CHECK"], chained(),
            .refused(code: "not_found", message: "no interface"),
            #"{"cniVersion": "1.0.0", "code": 101, "msg": "apusd: no interface"}"#
        ),
        (
            "a status without an agent", ["CNI_COMMAND": "STATUS"], configuration("1.1.0"), .unreachable("gone"),
            """
            {"cniVersion": "1.1.0", "code": 50, "msg": "apusd is not there: gone", \
            "details": "the agent of this node has to run for pods to come up; those that are up go on without it"}
            """
        ),
        (
            "a status while the agent starts", ["CNI_COMMAND": "STATUS"], configuration("1.1.0"),
            .refused(code: "unavailable", message: "not all is read"),
            #"{"cniVersion": "1.1.0", "code": 50, "msg": "apusd: not all is read"}"#
        ),
        (
            "no command", ["CNI_COMMAND": nil], chained(), .done,
            """
            {"cniVersion": "1.0.0", "code": 4, \
            "msg": "CNI_COMMAND is '': it has to be one of ADD, DEL, CHECK, GC, STATUS, VERSION"}
            """
        ),
        (
            "variables that are missing", ["CNI_CONTAINERID": nil, "CNI_NETNS": nil], chained(), .done,
            """
            {"cniVersion": "1.0.0", "code": 4, "msg": "CNI_CONTAINERID, CNI_NETNS missing: ADD needs it"}
            """
        ),
        (
            "a container that is no pod", ["CNI_ARGS": "IgnoreUnknown=1"], chained(), .done,
            """
            {"cniVersion": "1.0.0", "code": 4, "msg": "K8S_POD_NAME missing in CNI_ARGS: Apus connects pods only"}
            """
        ),
        (
            "arguments that are none", ["CNI_ARGS": "K8S_POD_NAME"], chained(), .done,
            #"{"cniVersion": "1.0.0", "code": 4, "msg": "CNI_ARGS: 'K8S_POD_NAME' is not KEY=VALUE"}"#
        ),
        (
            "an id that leads elsewhere", ["CNI_CONTAINERID": "../x"], chained(), .done,
            #"{"cniVersion": "1.0.0", "code": 4, "msg": "CNI_CONTAINERID '../x' is not an id"}"#
        ),
        (
            "an interface that is none", ["CNI_IFNAME": "much-too-long-name"], chained(), .done,
            """
            {"cniVersion": "1.0.0", "code": 4, \
            "msg": "CNI_IFNAME 'much-too-long-name' is not the name of an interface"}
            """
        ),
        (
            "no JSON", [:], "{", .done,
            """
            {"cniVersion": "1.1.0", "code": 6, \
            "msg": "the network configuration is no JSON: expected a name in quotes at byte 1"}
            """
        ),
        (
            "a version of the future", [:], chained("2.0.0"), .done,
            """
            {"cniVersion": "1.1.0", "code": 1, "msg": "cniVersion: '2.0.0' is not one that ADD is answered in", \
            "details": "one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0 is"}
            """
        ),
        (
            "a command that the version lacks", ["CNI_COMMAND": "GC"], configuration("1.0.0"), .done,
            """
            {"cniVersion": "1.0.0", "code": 1, "msg": "cniVersion: '1.0.0' is not one that GC is answered in", \
            "details": "one of 1.1.0 is"}
            """
        ),
        (
            "nothing before it in the chain", [:], configuration(), .done,
            """
            {"cniVersion": "1.0.0", "code": 7, "msg": "prevResult is missing: apus-cni has to be chained behind a \
            plugin that connects pods"}
            """
        ),
        (
            "a time that is none", [:], chained("1.0.0", #","timeout":"1s""#), .done,
            #"{"cniVersion": "1.0.0", "code": 7, "msg": "timeout: expected seconds from 1 to 120, got \"1s\""}"#
        ),
        (
            "a relative socket", [:], chained("1.0.0", #","socket":"apus.sock""#), .done,
            """
            {"cniVersion": "1.0.0", "code": 7, \
            "msg": "socket: 'apus.sock' is not an absolute path of less than 108 bytes"}
            """
        ),
        (
            "an interface without addresses", [:], configuration("1.0.0", #","prevResult":{"ips":[]}"#), .done,
            #"{"cniVersion": "1.0.0", "code": 7, "msg": "prevResult.ips: there is no address of eth0"}"#
        ),
        (
            "an address that is none", [:],
            configuration("1.0.0", #","prevResult":{"ips":[{"address":"10.0.0.1"}]}"#), .done,
            """
            {"cniVersion": "1.0.0", "code": 7, \
            "msg": "prevResult.ips: '\\"10.0.0.1\\"' is no address with the length of its prefix"}
            """
        ),
        (
            "a list of garbage that is missing", ["CNI_COMMAND": "GC"], configuration("1.1.0"), .done,
            #"{"cniVersion": "1.1.0", "code": 7, "msg": "cni.dev/valid-attachments is missing: GC needs it"}"#
        ),
    ]

    @Test(arguments: failures.indices)
    func whatFailsSaysWhyInTheWordsOfTheSpecification(index: Int) {
        let (what, environment, input, reply, output) = Self.failures[index]
        #expect(run(environment, input, reply: reply) == CNIPlugin.Outcome(output: output, status: 1), "\(what)")
    }

    // MARK: The other commands

    @Test func delSucceedsWhateverBecomesOfTheAgent() {
        let replies: [(AgentReply, String)] = [
            (.done, ""), (.unreachable("gone"), "apus-cni: DEL: apusd is not there: gone"),
            (.refused(code: "failed", message: "broken"), "apus-cni: DEL: apusd: broken"),
        ]
        for (reply, note) in replies {
            var line = ""
            let outcome = run(
                ["CNI_COMMAND": "DEL", "CNI_NETNS": nil, "CNI_ARGS": nil], Self.configuration(), reply: reply
            ) { question, _, _ in line = question.line }
            #expect(outcome == CNIPlugin.Outcome(note: note))
            #expect(
                line == """
                    {"protocol":1,"request":"detach","key":{"network":"k8s","container":"c0ffee","interface":"eth0"}}
                    """)
        }
    }

    @Test(arguments: ["cni.dev/valid-attachments", "cni.dev/attachments"])
    func garbageIsWhatIsNotInTheList(name: String) {
        let input = Self.configuration("1.1.0", #","\#(name)":[{"containerID":"a","ifname":"eth0"}]"#)
        for reply in [AgentReply.done, .unreachable("gone")] {
            var line = ""
            let outcome = run(["CNI_COMMAND": "GC", "CNI_CONTAINERID": nil], input, reply: reply) { question, _, _ in
                line = question.line
            }
            #expect(outcome.status == 0 && outcome.output.isEmpty)
            #expect(
                line == """
                    {"protocol":1,"request":"collect","collection":{"network":"k8s","valid":[{"container":"a",\
                    "interface":"eth0"}]}}
                    """)
        }
    }

    @Test func statusAndCheckSayNothingWhenAllIsWell() {
        var lines: [String] = []
        #expect(
            run(["CNI_COMMAND": "STATUS"], Self.configuration("1.1.0")) { question, _, _ in lines.append(question.line)
            }
                == CNIPlugin.Outcome())
        #expect(
            run(["CNI_COMMAND": "CHECK"], Self.chained("0.4.0")) { question, _, _ in lines.append(question.line) }
                == CNIPlugin.Outcome())
        #expect(lines.first == #"{"protocol":1,"request":"ready"}"#)
        #expect(lines.last?.hasPrefix(#"{"protocol":1,"request":"check","attachment":{"key":{"#) == true)
    }

    @Test(arguments: [
        (#"{"cniVersion":"1.0.0"}"#, "1.0.0"), (#"{"cniVersion":"7.0.0"}"#, "1.1.0"), ("", "1.1.0"),
    ])
    func versionTellsWhatIsSpoken(input: String, version: String) {
        #expect(
            run(["CNI_COMMAND": "VERSION"], input).output == """
                {"cniVersion": "\(version)", "supportedVersions": ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]}
                """)
    }

    // MARK: What the plugins before it made

    /// Results, the addresses of eth0 in them, and the interfaces on the node.
    @Test(arguments: [
        // bridge: the bridge, the host's end, the pod's end.
        (
            #"{"interfaces":[{"name":"cni0"},{"name":"veth7"},{"name":"eth0","sandbox":"/x"}],"#
                + #""ips":[{"version":"4","interface":2,"address":"10.0.0.7/16"}]}"#, ["10.0.0.7"], ["cni0", "veth7"]
        ),
        // host-device: no interface on the node is told; addresses without an interface are the pod's.
        (
            #"{"interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{"address":"10.0.0.7/16"},"#
                + #"{"interface":null,"address":"fd00::7/64"}]}"#, ["10.0.0.7", "fd00::7"], []
        ),
        // Another interface of the pod, and an address of the node's end.
        (
            #"{"interfaces":[{"name":"net1","sandbox":"/x"},{"name":"eth0","sandbox":"/x"},{"name":"h0","sandbox":""}],"#
                + #""ips":[{"interface":0,"address":"10.1.0.7/16"},{"interface":1,"address":"10.0.0.7/16"},"#
                + #"{"interface":2,"address":"10.0.0.1/16"}]}"#, ["10.0.0.7"], ["h0"]
        ),
    ])
    func theAddressesOfThePodsInterfaceCount(previous: String, addresses: [String], interfaces: [String]) {
        var found: (addresses: [String], interfaces: [String])?
        _ = run(Self.configuration("0.3.1", ",\"prevResult\":\(previous)")) { question, _, _ in
            guard case .attach(let attachment) = question else { return }
            found = (attachment.result.addresses, attachment.result.hostInterfaces)
        }
        #expect(found?.addresses == addresses && found?.interfaces == interfaces, "\(String(describing: found))")
    }
}

extension PluginTests {
    fileprivate func run(
        _ input: String, reply: AgentReply = .done, asked: (AgentQuestion, String, Int) -> Void = { _, _, _ in }
    ) -> CNIPlugin.Outcome { run([:], input, reply: reply, asked: asked) }
}
