import AgentAPI
import Foundation
import Testing

@testable import Agent

@Suite struct AttachmentNotes {
    private let root = "\(FileManager.default.temporaryDirectory.path)/notes-\(UUID().uuidString.prefix(8))"

    private func held(_ container: String) -> HeldAttachment {
        let pod = PodAttachment.Pod(namespace: "shop", name: container)
        let attachment = PodAttachment(
            key: AttachmentKey(network: "pods", container: container, interface: "eth0"), pod: pod,
            addresses: [], waitMilliseconds: 0)
        let interface = HeldAttachment.Interface(index: 7, name: "v", address: "02:00:00:00:00:01")
        return HeldAttachment(attachment: attachment, pod: pod, interface: interface)
    }

    @Test func onlyWhatIsNotThereIsNothing() throws {
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let store = AttachmentStore(socket: "\(root)/apus.sock")
        #expect(store.load().held == [] && store.load().problems == [])
        try store.write(held("a"))
        try store.write(held("b"))
        #expect(store.load().held == [held("a"), held("b")] && store.load().problems == [])
        // One that says nothing, and one that is no file: neither may be lost.
        let spoilt = "\(store.directory)/pods+a+eth0.json"
        try Data("{".utf8).write(to: URL(filePath: spoilt))
        try FileManager.default.createDirectory(
            atPath: "\(store.directory)/pods+c+eth0.json", withIntermediateDirectories: true)
        let found = store.load()
        #expect(found.held == [held("b")] && found.problems.count == 2)
        #expect(found.problems.allSatisfy { $0.hasPrefix(store.directory) })
        #expect(FileManager.default.fileExists(atPath: spoilt))
        store.remove(held("a").key)
        #expect(store.load().problems.count == 1)
        store.removeAll()
        #expect(store.load().problems == [])
    }

    @Test func aDirectoryThatIsNoneIsTold() throws {
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let store = AttachmentStore(socket: "\(root)/apus.sock")
        try Data().write(to: URL(filePath: store.directory))
        #expect(store.load().problems.count == 1)
    }
}
