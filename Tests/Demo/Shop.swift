import Foundation
import TestSupport

/// The shop of `examples/shop` in a lab: the hosts that its manifests describe, and a copy of the manifests to edit.
enum Shop {
    static let node = "node-a"
    static let webPods = ["web-1", "web-2", "web-3"]
    static let database = "db-1"
    static let client = "client"
    static let intruder = "intruder"

    /// The Services' addresses, as in services.yaml.
    static let web = (ipv4: "10.96.0.10", ipv6: "fd00:10:96::10")
    static let store = (ipv4: "10.96.0.20", port: 5432)
    static let webPort = 8080

    private static let pods = [
        pod("web-1", 11), pod("web-2", 12), pod("web-3", 13), pod(database, 21), pod(client, 31), pod(intruder, 32),
    ]

    static var podCount: Int { pods.count }

    /// The lab of the same names and addresses as node.yaml and pods.yaml.
    static var plan: LabPlan {
        let node = NodePlan(
            node, addresses: [ip("172.31.0.11"), ip("fd00:172:31::11")],
            podRanges: [cidr("10.244.1.0/24"), cidr("fd00:10:244:1::/64")], pods: pods)
        return LabPlan(nodes: [node])
    }

    private static func pod(_ name: String, _ number: Int) -> PodPlan {
        PodPlan(name, addresses: [ip("10.244.1.\(number)"), ip("fd00:10:244:1::\(number)")])
    }

    /// Copies the manifests into the lab, where they can be edited; returns the copy's directory.
    static func copyManifests(from source: String, to lab: Lab) throws -> String {
        let copy = lab.directory + "/manifests"
        do {
            try FileManager.default.copyItem(atPath: source, toPath: copy)
        } catch {
            throw LabError("copy the manifests in \(source)", "\(error.localizedDescription)")
        }
        return copy
    }
}

/// The web servers of the shop: an nginx in each web pod and one that plays the database.
struct ShopServers {
    let lab: Lab

    /// Starts all and waits until they answer.
    func start() async throws {
        for pod in Shop.webPods { try start(on: pod, port: Shop.webPort, locations: Self.webPages(of: pod)) }
        try start(on: Shop.database, port: Shop.store.port, locations: Self.storePages)
        for pod in Shop.webPods { try await wait(for: pod, port: Shop.webPort) }
        try await wait(for: Shop.database, port: Shop.store.port)
    }

    private func start(on pod: String, port: Int, locations: String) throws {
        let directory = "\(lab.directory)/servers/\(pod)"
        try FileManager.default.createDirectory(atPath: "\(directory)/temporary", withIntermediateDirectories: true)
        let configuration = Self.configuration(directory: directory, port: port, locations: locations)
        let file = "\(directory)/nginx.conf"
        try configuration.write(toFile: file, atomically: true, encoding: .utf8)
        let command = ["nginx", "-p", directory, "-e", "\(directory)/error.log", "-c", file]
        _ = try lab.pod(pod).spawn(command, log: "\(directory)/output.log")
    }

    private func wait(for pod: String, port: Int) async throws {
        try await eventually("the web server of \(pod)") {
            try await lab.pod(pod).run(["curl", "-sf", "http://127.0.0.1:\(port)/"]).succeeded
        }
    }

    /// The first line of the page names the pod; the second shows whom the server takes the client for.
    private static func webPages(of pod: String) -> String {
        """
        location / { return 200 "\(pod)\\nhello, $remote_addr\\n"; }
        location /stock { proxy_pass http://\(Shop.store.ipv4):\(Shop.store.port); }
        """
    }

    private static let storePages = #"location / { return 200 "db-1\n42 swifts in stock\n"; }"#

    /// Everything that a Debian nginx would keep in the system's directories is in the lab's.
    private static func configuration(directory: String, port: Int, locations: String) -> String {
        let temporaries = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map { "\($0)_temp_path \(directory)/temporary/\($0);" }
        return """
            daemon off;
            worker_processes 1;
            pid \(directory)/pid;
            error_log \(directory)/error.log;
            events { worker_connections 512; }
            http {
                access_log off;
                default_type text/plain;
                keepalive_requests 1000000;
                \(temporaries.joined(separator: "\n"))
                server {
                    listen 0.0.0.0:\(port);
                    listen [::]:\(port);
                    \(locations)
                }
            }

            """
    }
}
