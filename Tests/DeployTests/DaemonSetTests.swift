import Foundation
import TestSupport
import Testing

/// What the agent's pods must be like.
@Suite struct DeployDaemonSet {
    private func spec() throws -> Tree { try Deploy.manifest("daemonset")["spec"] }
    private func pod() throws -> Tree { try spec()["template"]["spec"] }

    @Test func oneRunsOnEveryNodeWhateverIsWrongWithIt() throws {
        let pod = try pod()
        #expect(pod["hostNetwork"].flag == true)
        #expect(pod["priorityClassName"].text == "system-node-critical")
        #expect(pod["tolerations"].list.count == 1 && pod["tolerations"][0].keys == ["operator"])
        #expect(pod["tolerations"][0]["operator"].text == "Exists")
    }

    @Test func nodesAreUpdatedOneByOne() throws {
        let strategy = try spec()["updateStrategy"]
        #expect(strategy["type"].text == "RollingUpdate")
        #expect(strategy["rollingUpdate"]["maxUnavailable"].number == 1)
        #expect(strategy["rollingUpdate"]["maxSurge"].value == nil, "two agents can't share a node's pins and ports")
    }

    @Test func itsPodsAreFoundByItsSelector() throws {
        let labels = try spec()["template"]["metadata"]["labels"]
        for key in try spec()["selector"]["matchLabels"].keys {
            #expect(labels[key].text == (try spec())["selector"]["matchLabels"][key].text)
        }
    }

    @Test func probesAskWhereTheAgentAnswers() throws {
        let settings = try Deploy.manifest("configmap")["data"]
        let address = try #require(settings["APUS_HEALTH_ADDRESS"].text)
        let container = try pod()["containers"][0]
        let paths = ["startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"]
        for (probe, path) in paths {
            let question = container[probe]["httpGet"]
            #expect("\(question["host"].text ?? ""):\(question["port"].number ?? 0)" == address, "\(probe)")
            #expect(question["path"].text == path)
        }
        let metrics = settings["APUS_METRICS_ADDRESS"].text
        #expect(metrics == ":\(container["ports"][0]["containerPort"].number ?? 0)")
        #expect(try spec()["template"]["metadata"]["annotations"]["prometheus.io/port"].text == "9990")
    }

    /// Pins that only the pod sees would go with it, and the data path with them.
    @Test func pinsAreOnTheHostsFileSystem() throws {
        let pod = try pod()
        for container in [pod["initContainers"][0], pod["containers"][0]] {
            let mount = try #require(container["volumeMounts"].list.first { $0["name"].text == "bpffs" })
            #expect(mount["mountPath"].text == "/sys/fs/bpf" && mount["mountPropagation"].text == "Bidirectional")
            #expect(container["securityContext"]["privileged"].flag == true, "or such mounts are refused")
        }
        let volumes = pod["volumes"].list
        #expect(volumes.first { $0["name"].text == "bpffs" }?["hostPath"]["path"].text == "/sys/fs/bpf")
        let mounted = pod["containers"][0]["volumeMounts"].list.compactMap { $0["name"].text }
        #expect(mounted.sorted() == volumes.compactMap { $0["name"].text }.sorted())
    }

    /// In the container the directory is a mount point whatever the host has there.
    @Test func aHostWithoutABPFFileSystemGetsOneAndOnlyOne() async throws {
        let command = try #require(try pod()["initContainers"][0]["command"].strings.last)
        let place = "\(FileManager.default.temporaryDirectory.path)/bpffs-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        let mount = command.replacing("/sys/fs/bpf", with: place)
        let script =
            "mount --bind \(place) \(place) && { \(mount); } && { \(mount); } && grep -c ' \(place) ' /proc/self/mountinfo"
        let result = try await run(["unshare", "--mount", "sh", "-c", script], within: .seconds(60))
        // That of the container and that of the host.
        #expect(result.succeeded && result.output == "2\n", "\(result)")
    }

    /// It finds the same files, on the same nodes, as the agents.
    @Test func theCleanUpRunsWhereTheAgentsRan() throws {
        let cleanup = Tree(try Deploy.object("deploy/cleanup/daemonset.yaml"))
        let (own, agents) = (cleanup["spec"]["template"]["spec"], try pod())
        for key in ["hostNetwork", "tolerations", "nodeSelector", "priorityClassName"] {
            #expect(own[key].canonical == agents[key].canonical, "\(key)")
        }
        let (work, agent) = (own["initContainers"][0], agents["containers"][0])
        #expect(work["image"].text == agent["image"].text && work["securityContext"]["privileged"].flag == true)
        #expect(work["command"].strings == ["apusd", "cleanup"])
        #expect(work["args"].strings.allSatisfy(agent["args"].strings.contains) && work["args"].list.count == 2)
        let paths = Dictionary(
            uniqueKeysWithValues: agent["volumeMounts"].list.map { ($0["name"].text ?? "", $0["mountPath"].text) })
        for mount in work["volumeMounts"].list {
            #expect(paths[mount["name"].text ?? ""] == mount["mountPath"].text)
        }
        for volume in own["volumes"].list {
            let same = agents["volumes"].list.first { $0["name"].text == volume["name"].text }
            #expect(same?["hostPath"]["path"].text == volume["hostPath"]["path"].text)
        }
    }

    @Test func socketsOfAllPodsAreCovered() throws {
        let container = try pod()["containers"][0]
        let place = try #require(container["volumeMounts"].list.first { $0["name"].text == "cgroup" })
        #expect(container["args"].strings.first == "--cgroup=\(place["mountPath"].text ?? "")")
        let volume = try pod()["volumes"].list.first { $0["name"].text == "cgroup" }
        #expect(volume?["hostPath"]["path"].text == "/sys/fs/cgroup")
    }

    /// The plugin is a program of the host, and finds the agent where the agent is in its own container.
    @Test func theRuntimeOfTheHostFindsThePluginAndThePluginTheAgent() throws {
        let container = try pod()["containers"][0]
        let places = ["cni-conf": ("--cni-conf-dir", "/etc/cni/net.d"), "cni-bin": ("--cni-bin-dir", "/opt/cni/bin")]
        for (name, (flag, path)) in places {
            let mount = try #require(container["volumeMounts"].list.first { $0["name"].text == name })
            #expect(container["args"].strings.contains("\(flag)=\(mount["mountPath"].text ?? "")"))
            #expect(mount["readOnly"].flag != true)
            let volume = try #require(try pod()["volumes"].list.first { $0["name"].text == name })
            #expect(volume["hostPath"]["path"].text == path)
        }
        let run = try #require(container["volumeMounts"].list.first { $0["name"].text == "run" })
        let volume = try #require(try pod()["volumes"].list.first { $0["name"].text == "run" })
        #expect(run["mountPath"].text == volume["hostPath"]["path"].text)
        #expect(try Deploy.text("deploy/Containerfile").contains("/out/apus-cni /usr/local/bin/"))
    }

    @Test func thePolicyLogIsWhereReadersOfTheHostLookForIt() throws {
        let mount = try pod()["containers"][0]["volumeMounts"].list.first { $0["name"].text == "policy-log" }
        let volume = try pod()["volumes"].list.first { $0["name"].text == "policy-log" }
        #expect(mount?["mountPath"].text == "/var/log/network" && mount?["readOnly"].flag != true)
        #expect(volume?["hostPath"]["path"].text == "/var/log/network")
    }

    @Test func theImageIsTheOneThatTheContainerfileSaysHowToBuild() throws {
        let pod = try pod()
        let images = [pod["initContainers"][0], pod["containers"][0]].compactMap { $0["image"].text }
        #expect(Set(images).count == 1)
        #expect(try Deploy.text("deploy/Containerfile").contains("-t \(images[0]) "))
        let chart = Tree(try Deploy.object("deploy/chart/Chart.yaml"))
        #expect(images[0] == "apus:\(chart["appVersion"].text ?? "")")
    }
}
