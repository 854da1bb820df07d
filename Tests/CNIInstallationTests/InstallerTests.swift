import Addressing
import Foundation
import JSONText
import TestSupport
import Testing

@testable import CNIInstallation

/// What is written beside the configurations of others, and what is left of it.
@Suite struct InstallerTests {
    /// A node's two directories, and a plugin to install.
    private final class Node {
        let root = "\(FileManager.default.temporaryDirectory.path)/cni-\(UUID().uuidString.prefix(8))"
        var settings: CNIInstallationSettings

        init() throws {
            settings = CNIInstallationSettings(program: "\(root)/build/apus-cni", socket: "/run/apus/apus.sock")
            settings.configurationDirectory = "\(root)/net.d"
            settings.binaryDirectory = "\(root)/bin"
            try FileManager.default.createDirectory(atPath: "\(root)/build", withIntermediateDirectories: true)
            try FileManager.default.createDirectory(
                atPath: settings.configurationDirectory, withIntermediateDirectories: true)
            try Data("the plugin".utf8).write(to: URL(filePath: settings.program))
        }

        deinit { try? FileManager.default.removeItem(atPath: root) }

        func write(_ name: String, _ text: String) throws {
            try text.write(toFile: "\(settings.configurationDirectory)/\(name)", atomically: true, encoding: .utf8)
        }

        func read(_ name: String) throws -> String {
            try String(contentsOfFile: "\(settings.configurationDirectory)/\(name)", encoding: .utf8)
        }

        func install(_ ranges: [CIDR] = [], mtu: UInt32? = nil) throws -> CNIInstaller.Outcome {
            try CNIInstaller(settings).install(ranges: ranges, mtu: mtu)
        }

        /// Everything that there is, by its path below the root.
        var everything: [String] {
            let paths = FileManager.default.enumerator(atPath: root)?.allObjects as? [String] ?? []
            return paths.filter { !$0.hasPrefix("build") }.sorted()
        }
    }

    private let ours = "{\"type\": \"apus-cni\", \"socket\": \"/run/apus/apus.sock\", \"timeout\": 10}"
    /// With odd spaces, and members that nobody knows.
    private let list = """
        { "cniVersion":"0.3.1",  "name" : "k8s", "x":[1.50],
          "plugins": [ {"type":"ptp","ipam":{"type":"host-local"}},
            {"type":"portmap", "capabilities":{"portMappings":true}}
          ], "disableCheck" : true }
        """

    @Test func thePluginIsReadAgainWhenItOrItsCopyMayHaveChanged() throws {
        let node = try Node()
        try node.write("10-primary.conflist", list)
        let copy = "\(node.settings.binaryDirectory)/apus-cni"
        var known: InstalledProgram?
        func install() throws -> [String] {
            try CNIInstaller(node.settings).install(ranges: [], mtu: nil, known: &known).changed
        }
        #expect(try install().first == copy)
        #expect(known == nil, "it was not compared yet")
        #expect(try install() == [])
        let before = try #require(known)
        #expect(try install() == [] && known == before)
        // Of the same size.
        try Data("the other!".utf8).write(to: URL(filePath: node.settings.program))
        #expect(try install() == [copy])
        #expect(try install() == [])
        try Data("spoilt".utf8).write(to: URL(filePath: copy))
        #expect(try install() == [copy])
        try FileManager.default.removeItem(atPath: copy)
        #expect(try install() == [copy])
        #expect(try Data(contentsOf: URL(filePath: copy)) == Data("the other!".utf8))
    }

    @Test func oursIsACopyOfTheFirstListWithThePluginAtItsEnd() throws {
        let node = try Node()
        try node.write("10-primary.conflist", list)
        try node.write("20-other.conflist", list.replacing("k8s", with: "other"))
        let outcome = try node.install()
        #expect(outcome.chainedTo == "10-primary.conflist" && outcome.obstacle == nil)
        let insertion = ",\n    \(ours)"
        #expect(
            try node.read("00-apus.conflist")
                == list.replacing("{\"portMappings\":true}}", with: "{\"portMappings\":true}}\(insertion)") + "\n")
        let text = try JSONText(node.read("00-apus.conflist").utf8)
        #expect(text["plugins"]?.elements.map { $0["type"]?.string } == ["ptp", "portmap", "apus-cni"])
        #expect(text["name"]?.string == "k8s" && text["disableCheck"]?.boolean == true)
    }

    @Test func oursFollowsWhatTheOthersBecome() throws {
        let node = try Node()
        try node.write("10-primary.conflist", list)
        #expect(try node.install().changed.count == 2)
        #expect(try node.install().changed.isEmpty)
        try node.write("10-primary.conflist", list.replacing("host-local", with: "dhcp"))
        #expect(try node.install().changed == [node.settings.configuration])
        #expect(try node.read("00-apus.conflist").contains("dhcp"))
        // A file that is being written says nothing, as does one that is none.
        try node.write("10-primary.conflist", "{\"cniVersion\":")
        let half = try node.install()
        #expect(half.changed.isEmpty && half.obstacle != nil)
        #expect(try node.read("00-apus.conflist").contains("dhcp"))
        // A newer plugin goes in the place of the old one.
        try Data("a newer one".utf8).write(to: URL(filePath: node.settings.program))
        #expect(try node.install().changed == ["\(node.settings.binaryDirectory)/apus-cni"])
    }

    @Test func aSinglePluginBecomesAList() throws {
        let node = try Node()
        let single = #"{"cniVersion":"0.4.0","name":"one","type":"bridge","bridge":"b0"}"#
        try node.write("10-bridge.conf", single)
        #expect(try node.install().chainedTo == "10-bridge.conf")
        let text = try JSONText(node.read("00-apus.conflist").utf8)
        #expect(text["cniVersion"]?.string == "0.4.0" && text["name"]?.string == "one")
        #expect(text["plugins"]?.elements.map(\.text) == [single, ours])
    }

    @Test func whereThereIsNoneOursIsComplete() throws {
        let node = try Node()
        try node.write("00-loopback.conf", #"{"cniVersion":"1.0.0","name":"lo","type":"loopback"}"#)
        let nothing = try node.install()
        #expect(nothing.obstacle?.contains("no podCIDRs") == true)
        #expect(node.everything == ["bin", "bin/apus-cni", "net.d", "net.d/00-loopback.conf"])
        let ranges = [cidr("10.244.1.0/24"), cidr("fd00:10:244:1::/64"), cidr("10.9.0.0/24")]
        let made = try node.install(ranges, mtu: 1450)
        #expect(made.obstacle == nil && made.warning?.contains("by ptp and host-local, which") == true)
        for plugin in ["ptp", "host-local"] {
            let path = "\(node.settings.binaryDirectory)/\(plugin)"
            #expect(FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o755]))
        }
        #expect(try node.install(ranges, mtu: 1450) == CNIInstaller.Outcome())
        let text = try JSONText(node.read("00-apus.conflist").utf8)
        let ptp = try #require(text["plugins"]?.elements.first)
        #expect(text["name"]?.string == "apus" && text["cniVersion"]?.string == "1.0.0")
        #expect(ptp["type"]?.string == "ptp" && ptp["mtu"]?.integer == 1450)
        #expect(
            ptp["ipam"]?["ranges"]?.text
                == #"[[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd00:10:244:1::/64"}]]"#)
        #expect(ptp["ipam"]?["routes"]?.text == #"[{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]"#)
        #expect(text["plugins"]?.elements.last?.text == ours)
        // The Node's ranges change, then somebody else connects pods.
        #expect(try node.install([cidr("10.244.2.0/24")]).changed.count == 1)
        #expect(try !node.read("00-apus.conflist").contains("::/0"))
        try node.write("10-primary.conflist", list)
        #expect(try node.install([cidr("10.244.2.0/24")]).chainedTo == "10-primary.conflist")
    }

    @Test func aListWhoseOriginIsGoneStays() throws {
        let node = try Node()
        try node.write("10-primary.conflist", list)
        _ = try node.install()
        let before = try node.read("00-apus.conflist")
        try FileManager.default.removeItem(atPath: "\(node.settings.configurationDirectory)/10-primary.conflist")
        let outcome = try node.install([cidr("10.244.1.0/24")])
        #expect(outcome.changed.isEmpty && outcome.obstacle?.contains("is gone") == true)
        #expect(try node.read("00-apus.conflist") == before)
    }

    @Test func takingItAwayLeavesExactlyWhatWas() throws {
        let node = try Node()
        try node.write("10-primary.conflist", list)
        try node.write("20-single.conf", "{}")
        let before = node.everything
        _ = try node.install()
        #expect(node.everything == (before + ["bin", "bin/apus-cni", "net.d/00-apus.conflist"]).sorted())
        #expect(try CNIInstaller(node.settings).remove().count == 2)
        #expect(node.everything == (before + ["bin"]).sorted())
        #expect(try node.read("10-primary.conflist") == list)
        #expect(try CNIInstaller(node.settings).remove().isEmpty)
    }

    @Test func anotherAgentsStaysWhenThisOneIsCleanedAway() throws {
        let node = try Node()
        try node.write("10-primary.conflist", list)
        _ = try node.install()
        let before = node.everything
        var other = node.settings
        other.socket = "/run/other/apus.sock"
        #expect(try CNIInstaller(other).removeOwn().isEmpty)
        #expect(node.everything == before)
        #expect(try CNIInstaller(node.settings).removeOwn().count == 2)
        #expect(node.everything == ["bin", "net.d", "net.d/10-primary.conflist"])
        // A plugin alone says nothing of whose it is.
        _ = try node.install()
        try FileManager.default.removeItem(atPath: node.settings.configuration)
        #expect(try CNIInstaller(node.settings).removeOwn().isEmpty)
        #expect(node.everything.contains("bin/apus-cni"))
    }

    @Test func whatOthersMadeIsNeverOverwritten() throws {
        let node = try Node()
        try node.write("00-apus.conflist", list)
        #expect(throws: CNIInstallationError.self) { try node.install() }
        #expect(try CNIInstaller(node.settings).remove().isEmpty)
        #expect(try node.read("00-apus.conflist") == list)
    }

    @Test func aListThatHasThePluginIsLeftToItsOwner() throws {
        let node = try Node()
        try node.write("10-primary.conflist", list)
        _ = try node.install()
        let own = list.replacing("{\"portMappings\":true}}", with: "{\"portMappings\":true}}, \(ours)")
        try node.write("10-primary.conflist", own)
        #expect(try node.install().changed == [node.settings.configuration])
        #expect(try CNIInstaller(node.settings).remove().isEmpty, "the other file needs the plugin")
        #expect(node.everything == ["bin", "bin/apus-cni", "net.d", "net.d/10-primary.conflist"])
    }

    @Test func whatCantBeDoneSaysWhy() throws {
        let node = try Node()
        try node.write("00-aaa.conflist", list)
        let order = #expect(throws: CNIInstallationError.self) { try node.install() }
        #expect(order?.description.contains("00-aaa.conflist comes before 00-apus.conflist") == true)
        try node.write("00-aaa.conflist", list.replacing("0.3.1", with: "0.2.0"))
        node.settings.configurationName = "00-a.conflist"
        let version = #expect(throws: CNIInstallationError.self) { try node.install() }
        #expect(version?.description.contains("is of CNI version 0.2.0") == true)
        try node.write("00-aaa.conflist", list)
        node.settings.program = "/nowhere/apus-cni"
        let program = #expect(throws: CNIInstallationError.self) { try node.install() }
        #expect(program?.description.contains("/nowhere/apus-cni") == true)
    }

    @Test func modesAreThoseOfAProgramAndOfAFileWithCredentials() throws {
        let node = try Node()
        try node.write("10-primary.conflist", list)
        _ = try node.install()
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode("\(node.settings.binaryDirectory)/apus-cni") == 0o755)
        #expect(try mode(node.settings.configuration) == 0o600)
    }
}
