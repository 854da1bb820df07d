import APIServerSupport
import ArgumentParser
import Foundation

/// A small API server for labs: it serves the manifests of a directory, and what changes there.
///
/// Each start begins with versions above those of the last one and remembers no changes, as a real one that restarts.
@main struct APIServer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "apus-api-server")

    /// How often the directory is looked at.
    private static let interval: Duration = .milliseconds(20)

    @Option var host = "::"
    @Option var port = 6443
    @Option var token: String?
    @Argument var directory: String

    func run() async throws {
        let start = Int(Date().timeIntervalSince1970 * 1000)
        let resources = Set(ManifestObjects.resources.values).union([FakeAPIServer.events])
        let cluster = FakeCluster(resources: resources, firstVersion: start)
        let held = try await Self.update(cluster, from: [:], directory)
        let server = FakeAPIServer(cluster, token: token)
        let directory = directory
        try await HTTPServer.run(host: host, port: port, handler: server.handle) { [held] port in
            var held = held
            print("listening on \(port)")
            fflush(nil)
            while true {
                try await Task.sleep(for: Self.interval)
                held = try await Self.update(cluster, from: held, directory)
            }
        }
    }

    /// Has the cluster hold what the directory does, and returns that. A file that is half written is read later.
    private static func update(
        _ cluster: FakeCluster, from held: [String: ManifestObjects.Item], _ directory: String
    ) async throws -> [String: ManifestObjects.Item] {
        guard let items = try? ManifestObjects.read(directory) else { return held }
        let wanted = Dictionary(items.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        for (key, item) in held where wanted[key] == nil {
            await cluster.remove(item.resource, namespace: item.namespace, name: item.name)
        }
        for (key, item) in wanted where held[key]?.json != item.json {
            try await cluster.put(item.resource, item.json)
        }
        return wanted
    }
}
