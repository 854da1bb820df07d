import Glibc
import LinuxKernel
import Testing

@Suite(.timeLimit(.minutes(10))) struct InotifyDirectoryTests {
    private static func events(
        until last: DirectoryEvent, in directory: InotifyDirectory
    ) async throws -> [DirectoryEvent] {
        var seen: [DirectoryEvent] = []
        for try await event in directory {
            seen.append(event)
            if event == last { break }
        }
        return seen
    }

    @Test("Writing, linking, moving and deleting are told apart")
    func files() async throws {
        let scratch = try ScratchDirectory()
        let directory = try InotifyDirectory(scratch.path)
        try shell(
            "cd \(scratch.path); echo 1 > a; mv a b; ln -s /etc/hosts link; ln b hard; rm b; mkdir sub; rmdir sub")
        let seen = try await Self.events(until: .removed("sub"), in: directory)
        #expect(
            seen == [
                .created("a"), .changed("a"), .removed("a"), .changed("b"), .created("link"), .created("hard"),
                .removed("b"), .created("sub"), .removed("sub"),
            ])
    }

    @Test("The atomic swap of a Kubernetes volume is one replacement")
    func swap() async throws {
        let scratch = try ScratchDirectory()
        try shell("cd \(scratch.path); mkdir ..1; echo a > ..1/f; ln -s ..1 ..data; ln -s ..data/f f")
        let directory = try InotifyDirectory(scratch.path)
        try shell(
            "cd \(scratch.path); mkdir ..2; echo b > ..2/f; ln -s ..2 ..data_tmp; mv -T ..data_tmp ..data; rm -r ..1")
        try shell("echo > \(scratch.path)/end")
        let seen = try await Self.events(until: .changed("end"), in: directory)
        #expect(seen == [.replaced, .created("end"), .changed("end")])
    }

    @Test("A deleted directory ends the sequence")
    func gone() async throws {
        let scratch = try ScratchDirectory()
        try shell("mkdir \(scratch.path)/sub")
        let directory = try InotifyDirectory(scratch.path + "/sub")
        try shell("rmdir \(scratch.path)/sub")
        var seen: [DirectoryEvent] = []
        for try await event in directory { seen.append(event) }
        #expect(seen == [.gone])
    }

    @Test("A path that is no directory is an error")
    func notADirectory() {
        #expect(throws: KernelError.self) { try InotifyDirectory("/etc/hosts") }
        #expect(throws: KernelError.self) { try InotifyDirectory("/nowhere") }
    }
}
