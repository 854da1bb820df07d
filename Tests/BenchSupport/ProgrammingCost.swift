internal import Addressing
internal import Datapath
internal import LoadBalancing

/// How long the agent works from the parsed objects to the kernel's maps.
public struct ProgrammingCost: Sendable {
    /// From all Services and EndpointSlices to everything in empty maps.
    public let all: Duration
    /// From one changed EndpointSlice to the maps, with all the others in place.
    public let oneChange: Duration

    /// Measures it with maps of its own.
    ///
    /// - Parameters:
    ///   - bpffs: A directory on a bpffs; what is made below it is removed.
    ///   - services: The number of Services.
    ///   - endpoints: The number of endpoints of each.
    public static func measure(bpffs: String, services: Int, endpoints: Int) throws -> ProgrammingCost {
        defer { _ = try? DatapathKernel.removeAll(bpffs: bpffs) }
        var node = ProgrammedNode(kernel: try DatapathKernel(DatapathOptions(bpffs: bpffs)))
        let inputs = (0..<services).flatMap { number in
            [service(number), slice(number, (0..<endpoints).map { endpoint(number * endpoints + $0) })]
        }
        let clock = ContinuousClock()
        let all = try clock.measure { try node.take(inputs) }
        var changes: [Duration] = []
        for number in 0..<min(services, 101) {
            let change = slice(number, (1..<endpoints + 1).map { endpoint((number + services) * endpoints + $0) })
            changes.append(try clock.measure { try node.take([change]) })
        }
        return ProgrammingCost(all: all, oneChange: changes.sorted()[changes.count / 2])
    }

    private static func name(_ number: Int) -> ServiceName {
        ServiceName(namespace: "bench", name: "service-\(number)")
    }

    private static func service(_ number: Int) -> ServiceInput {
        .upsertService(
            ServiceDefinition(
                name: name(number), clusterIPs: [IPAddress(v4: 0x0a60_0001 + UInt32(number))],
                ports: [.init(name: "http", port: 80)]))
    }

    private static func slice(_ number: Int, _ endpoints: [IPAddress]) -> ServiceInput {
        .upsertSlice(
            EndpointSliceDefinition(
                name: SliceName(namespace: "bench", name: "service-\(number)-1"), service: name(number),
                ports: [.init(name: "http", port: 8080)],
                endpoints: endpoints.map { .init(addresses: [$0], ready: true) }))
    }

    private static func endpoint(_ number: Int) -> IPAddress { IPAddress(v4: 0x0a80_0001 + UInt32(number)) }
}

/// The way of a change through the agent, without the agent around it.
private struct ProgrammedNode {
    private var loadBalancer = LoadBalancer(node: "bench")
    private var tables = DatapathTables(node: "bench", startedAt: 0)
    private var kernel: DatapathKernel

    init(kernel: DatapathKernel) { self.kernel = kernel }

    mutating func take(_ inputs: [ServiceInput]) throws {
        tables.apply(loadBalancer.apply(inputs).map(DatapathEdit.service))
        let report = tables.program(into: &kernel, now: 0)
        if let problem = report.problems.first { throw DatapathError("\(problem)") }
    }
}
