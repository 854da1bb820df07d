internal import CTestSupport
internal import Glibc

/// Starts a program in a process group of its own with clean signals and no inherited descriptors.
func spawnChild(_ command: [String], environment: [String: String]) throws(LabError) -> spawned_child {
    var child = spawned_child()
    let error = withCStrings(command) { arguments in
        withCStrings(environment.map { "\($0)=\($1)" }) { variables in
            spawn_child(arguments, variables, &child)
        }
    }
    guard error == 0 else {
        throw LabError("spawn \(command.joined(separator: " "))", String(cString: strerror(-error)))
    }
    return child
}

private func withCStrings(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Int32
) -> Int32 {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    let pointers = copies.map { UnsafePointer($0) } + [nil]
    return pointers.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return -EINVAL }
        return body(base)
    }
}
