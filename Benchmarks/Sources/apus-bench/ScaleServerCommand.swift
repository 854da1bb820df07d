import APIServerSupport
import ArgumentParser
import BenchSupport
import Foundation
import TestSupport

/// The API server of a large cluster; a part of the bench that must run inside the node's namespace.
///
/// Asked for `/changes`, it changes that many EndpointSlices, one after the other, and says how long each took to be in
/// the maps.
struct ScaleServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "scale-server", shouldDisplay: false)

    @Option var bpffs: String
    @Option var node: String
    @Option var port: Int
    @Option var services: Int
    @Option var pods: Int
    @Option(help: "Of each Service.") var endpoints: Int

    private var objects: ScaleCluster { ScaleCluster(services: services, pods: pods, endpoints: endpoints) }

    func run() async throws {
        let cluster = FakeCluster(resources: Set(ScaleCluster.Resource.allCases.map(\.rawValue)))
        try await objects.forEachObject(node: node) { try await cluster.put($0.rawValue, $1) }
        // The server begins with all of them: none is a change.
        await cluster.expire()
        let server = FakeAPIServer(cluster)
        try await HTTPServer.run(
            port: port,
            handler: { request, writer in
                guard request.path == "/changes" else { return try await server.handle(request, writer) }
                let count = request.query["count"].flatMap { Int($0) } ?? 0
                let times = try await measure(count, in: cluster)
                try await writer.answer(200, "[\(times.map { "\($0)" }.joined(separator: ","))]")
            }
        ) { _ in
            print("listening")
            fflush(nil)
            try await Task.sleep(for: .seconds(3600))
        }
    }

    /// From a slice's change at the server to its Service's new number of backends in the maps, in milliseconds.
    private func measure(_ count: Int, in cluster: FakeCluster) async throws -> [Double] {
        let inForce = try ServicesInForce(bpffs: bpffs)
        var times: [Double] = []
        for turn in 0..<count {
            // All over the cluster, and each slice another way the next time.
            let number = (turn * 7919) % services
            let notReady = inForce.backends(of: ScaleCluster.frontend(number)) == endpoints ? 1 : 0
            let slice = objects.slice(number, notReady: notReady)
            let start = ContinuousClock.now
            try await cluster.put(ScaleCluster.Resource.slices.rawValue, slice)
            while inForce.backends(of: ScaleCluster.frontend(number)) != endpoints - notReady {
                guard .now - start < .seconds(30) else { throw LabError("wait for a changed slice", "\(number)") }
                usleep(50)
            }
            times.append((.now - start) / .milliseconds(1))
            // One change after the other, as far as the agent gathers what comes together.
            try await Task.sleep(for: .milliseconds(5))
        }
        return times
    }
}
