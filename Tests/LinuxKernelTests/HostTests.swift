import LinuxKernel
import Testing

@Suite struct HostTests {
    @Test(
        "A release text gives a version",
        arguments: [
            ("6.6", KernelVersion(6, 6)), ("6.18.44-fc-v657", KernelVersion(6, 18, 44)),
            ("5.10.0-28-cloud-amd64", KernelVersion(5, 10)), ("6.1.0-rc3+", KernelVersion(6, 1)),
        ])
    func release(_ text: String, _ version: KernelVersion) {
        #expect(KernelVersion(text) == version)
    }

    @Test("Text that is no release gives none", arguments: ["", "6", "linux", ".6", "6."])
    func noRelease(_ text: String) {
        #expect(KernelVersion(text) == nil)
    }

    @Test("Versions compare by number, not by text")
    func order() throws {
        #expect(KernelVersion(6, 6) < KernelVersion(6, 18))
        #expect(KernelVersion(5, 99, 9) < KernelVersion(6, 0))
        #expect(try KernelVersion.running() > KernelVersion(4, 0))
    }

    @Test("The mount table finds cgroup v2 and the mount that holds a path")
    func mounts() {
        let table = MountTable(
            parsing: """
                /dev/vda / ext4 rw,relatime 0 0
                cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
                broken line
                bpf /run/with\\040space bpf rw,mode=700 0 0
                tmpfs /run tmpfs rw 0 0
                """)
        #expect(table.cgroup2Path == "/sys/fs/cgroup/unified")
        #expect(table.mount(holding: "/run/with space/x")?.type == "bpf")
        #expect(table.mount(holding: "/run/without")?.type == "tmpfs")
        #expect(table.mount(holding: "/running")?.type == "ext4")
    }

    @Test("A mounted bpf file system is recognised, another is not")
    func bpfFileSystem() throws {
        let scratch = try ScratchDirectory()
        #expect(try !BPFFileSystem.holds(scratch.path))
        try BPFFileSystem.mount(at: scratch.path)
        defer { try? BPFFileSystem.unmount(scratch.path) }
        #expect(try BPFFileSystem.holds(scratch.path))
        #expect(try MountTable.current().mount(holding: scratch.path + "/x")?.type == "bpf")
        #expect(throws: KernelError.self) { try BPFFileSystem.holds("/nowhere") }
    }

    @Test("The monotonic clock and its offset give the real time")
    func clocks() {
        let before = Int64(KernelClock.realtime())
        let sum = Int64(KernelClock.monotonic()) + KernelClock.realtimeOffset()
        let passed = Int64(KernelClock.realtime()) - before
        // Each of the clocks was read some time within what has passed.
        #expect(sum >= before - passed && sum <= before + 2 * passed)
    }

    @Test("An error says what was asked, of what, and why it was refused")
    func errors() {
        let error = #expect(throws: KernelError.self) { _ = try FileDescriptor.openFile("/nowhere") }
        #expect(error?.description == "open /nowhere: No such file or directory")
        #expect(Errno.kernelNotSupported.description == "Operation not supported by the kernel")
    }
}
