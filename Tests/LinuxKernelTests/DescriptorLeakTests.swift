import LinuxKernel
import Testing

@Suite struct DescriptorLeakTests {
    @Test("Sockets, watches and cancelled waits leave no descriptor", .timeLimit(.minutes(10)))
    func noLeak() async throws {
        // A process of its own: other tests open descriptors meanwhile.
        await #expect(processExitsWith: .success) {
            func cycle() async throws {
                var netlink = try Netlink(inNamespaceAt: "/proc/self/ns/net")
                _ = try netlink.interfaces()
                let events = try NetlinkEvents(inNamespaceAt: "/proc/self/ns/net")
                let directory = try InotifyDirectory("/tmp")
                let tasks = [
                    Task { for try await event in events where event == .overrun { break } },
                    Task { for try await event in directory where event == .gone { break } },
                ]
                await Task.yield()
                for task in tasks {
                    task.cancel()
                    try await task.value
                }
                _ = try? Netlink(inNamespaceAt: "/proc/self/status")
            }
            try await cycle()
            let before = try FileDescriptor.openCount()
            for _ in 0..<100 { try await cycle() }
            try #require(try FileDescriptor.openCount() == before)
        }
    }
}
