import BPF
import Glibc
import LinuxKernel
import Synchronization
import Testing

/// A bpf file system of one test, unmounted and removed when the test ends.
final class PinDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/apus-bpf-\(getpid())-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw BPFError(operation: "mkdtemp", errno: Errno(rawValue: errno)) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try BPFFileSystem.mount(at: path)
    }

    deinit {
        try? BPFFileSystem.unmount(path)
        rmdir(path)
    }
}

/// Instructions that tests are written in; the numbers are those of Documentation/bpf/standardization.
enum Code {
    static func move(_ register: UInt8, _ value: Int32) -> BPFInstruction {
        BPFInstruction(0xb7, destination: register, immediate: value)
    }
    static func copy(_ register: UInt8, from source: UInt8) -> BPFInstruction {
        BPFInstruction(0xbf, destination: register, source: source)
    }
    static func add(_ register: UInt8, _ value: Int32) -> BPFInstruction {
        BPFInstruction(0x07, destination: register, immediate: value)
    }
    static func storeWord(_ base: UInt8, _ offset: Int16, _ value: Int32) -> BPFInstruction {
        BPFInstruction(0x62, destination: base, offset: offset, immediate: value)
    }
    static func store64(_ base: UInt8, _ offset: Int16, from source: UInt8) -> BPFInstruction {
        BPFInstruction(0x7b, destination: base, source: source, offset: offset)
    }
    static func load64(_ register: UInt8, from base: UInt8, _ offset: Int16) -> BPFInstruction {
        BPFInstruction(0x79, destination: register, source: base, offset: offset)
    }
    static func load32(_ register: UInt8, from base: UInt8, _ offset: Int16) -> BPFInstruction {
        BPFInstruction(0x61, destination: register, source: base, offset: offset)
    }
    /// `if register == value, skip offset instructions`.
    static func jump(ifEqual register: UInt8, _ value: Int32, _ offset: Int16) -> BPFInstruction {
        BPFInstruction(0x15, destination: register, offset: offset, immediate: value)
    }
    static func call(_ helper: Int32) -> BPFInstruction { BPFInstruction(0x85, immediate: helper) }
    static let exit = BPFInstruction(0x95)
}

/// A value that a thread hands over.
final class Box<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
}

/// A network namespace with a veth pair, removed when the test ends.
final class VethNamespace {
    let path: String
    private let name: String
    private static let counter = Atomic(0)

    init() throws {
        name = "apus-bpf-\(getpid())-\(Self.counter.add(1, ordering: .relaxed).newValue)"
        path = "/run/netns/" + name
        try shell("ip netns add \(name)")
        try shell("ip -n \(name) link add near type veth peer name far")
        try shell("ip -n \(name) link set near up && ip -n \(name) link set far up")
    }

    func removeVeth() throws { try shell("ip -n \(name) link delete near") }

    deinit { try? shell("ip netns delete \(name)") }
}

/// A cgroup of one test, removed when the test ends.
final class TestCgroup {
    let path: String
    private static let counter = Atomic(0)

    init() throws {
        let root = try #require(try MountTable.current().cgroup2Path)
        path = "\(root)/apus-bpf-\(getpid())-\(Self.counter.add(1, ordering: .relaxed).newValue)"
        mkdir(path, 0o755)
    }

    func remove() { rmdir(path) }

    deinit { remove() }
}

func shell(_ command: String) throws {
    let status = system(command)
    guard status == 0 else { throw BPFError(operation: command, errno: Errno(rawValue: status)) }
}

/// Runs BPF calls inside a network namespace, on a thread of its own.
func inNamespace(_ path: String, _ body: @escaping @Sendable () throws(BPFError) -> Void) throws {
    let failure = Box<BPFError>()
    try NetworkNamespace.run(at: path) { () throws(KernelError) in
        do throws(BPFError) { try body() } catch { failure.value.withLock { $0 = error } }
    }
    if let error = failure.value.withLock({ $0 }) { throw error }
}
