import Foundation
import Kubernetes
import Testing

@Suite("Access to an API server")
struct AccessTests {
    /// Lends a directory with files.
    static func withFiles(_ files: [String: String], _ body: (String) throws -> Void) throws {
        let directory = NSTemporaryDirectory() + "apus-access-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        for (name, text) in files { try text.write(toFile: "\(directory)/\(name)", atomically: true, encoding: .utf8) }
        try body(directory)
    }

    static func config(cluster: String, user: String) -> String {
        """
        apiVersion: v1
        kind: Config
        current-context: here
        contexts: [{name: other, context: {cluster: x}}, {name: here, context: {cluster: lab, user: agent}}]
        clusters: [{name: lab, cluster: {\(cluster)}}]
        users: [{name: agent, user: {\(user)}}]
        """
    }

    @Test("a kubeconfig names the server and what to show it, inline or in files beside it")
    func kubeconfig() throws {
        let server = "server: 'https://10.0.0.1:6443/'"
        let pem = Data("PEM".utf8).base64EncodedString()
        let files = ["ca.crt": "CA", "client.crt": "CERTIFICATE", "client.key": "KEY", "token": " secret\n"]
        let cases: [(cluster: String, user: String, check: (ClusterAccess, String) throws -> Bool)] = [
            ("", "token: abc", { access, _ in access.token == .text("abc") && access.authority == .system }),
            (
                "certificate-authority: ca.crt", "tokenFile: token",
                { access, directory in
                    try access.authority == .certificates(Array("CA".utf8))
                        && access.token == .file("\(directory)/token")
                        && access.token?.read() == "secret"
                }
            ),
            (
                "certificate-authority-data: \(pem)", "token: abc, tokenFile: /t",
                { access, _ in
                    access.authority == .certificates(Array("PEM".utf8)) && access.token == .file("/t")
                }
            ),
            (
                "insecure-skip-tls-verify: true", "client-certificate: client.crt, client-key-data: \(pem)",
                { access, _ in
                    access.authority == .anybody && access.token == nil
                        && access.certificate?.certificates == Array("CERTIFICATE".utf8)
                        && access.certificate?.key == Array("PEM".utf8)
                }
            ),
        ]
        for (cluster, user, check) in cases {
            let text = Self.config(cluster: cluster.isEmpty ? server : "\(server), \(cluster)", user: user)
            try Self.withFiles(files.merging(["config": text]) { $1 }) { directory in
                let access = try ClusterAccess.kubeconfig("\(directory)/config")
                #expect(access.server == "https://10.0.0.1:6443")
                #expect(try check(access, directory), "\(cluster) \(user)")
            }
        }
    }

    @Test(
        "what is wrong with a kubeconfig is told with its field",
        arguments: [
            ("server: 'https://a'", "exec: {command: aws}", "users[0].user.exec: is not supported"),
            ("server: 'https://a'", "auth-provider: {name: gcp}", "users[0].user.auth-provider: is not supported"),
            ("server: 'https://a'", "client-key-data: aGk=", "user.client-certificate: required with client-key"),
            ("server: 'https://a'", "client-certificate: none.crt", "user.client-certificate: it can't be read from"),
            ("server: 'a:6443'", "token: t", "cluster.server: expected an address that begins with https://"),
            ("server: 'https://a', proxy-url: 'http://p'", "token: t", "cluster.proxy-url: is not supported"),
            ("server: 'https://a', certificate-authority-data: '%'", "token: t", "is no base64"),
        ])
    func wrong(cluster: String, user: String, message: String) throws {
        try Self.withFiles(["config": Self.config(cluster: cluster, user: user)]) { directory in
            let error = #expect(throws: AccessError.self) { try ClusterAccess.kubeconfig("\(directory)/config") }
            #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
            #expect(error?.description.hasPrefix("\(directory)/config: ") == true)
        }
    }

    @Test("a kubeconfig without a current context, without that context or that is none is refused")
    func broken() throws {
        let texts = [
            "": "expected an object", "{}": "current-context: required", "a: [": "line ",
            "{current-context: here}": "contexts: there is none named \"here\"",
        ]
        for (text, message) in texts {
            try Self.withFiles(["config": text]) { directory in
                let error = #expect(throws: AccessError.self) { try ClusterAccess.kubeconfig("\(directory)/config") }
                #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
            }
        }
    }

    @Test("a pod finds its cluster by its environment and its ServiceAccount's files")
    func inCluster() throws {
        let variables = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"]
        try Self.withFiles(["ca.crt": "CA", "token": "one"]) { directory in
            let access = try ClusterAccess.inCluster(environment: { variables[$0] }, directory: directory)
            #expect(access.server == "https://[fd00::1]:443")
            #expect(access.authority == .certificates(Array("CA".utf8)))
            #expect(try access.token?.read() == "one")
            try "two".write(toFile: "\(directory)/token", atomically: true, encoding: .utf8)
            #expect(try access.token?.read() == "two")
        }
        let outside = #expect(throws: AccessError.self) { try ClusterAccess.inCluster(environment: { _ in nil }) }
        #expect(outside?.description.contains("--kubeconfig or --manifests") == true)
        let empty = #expect(throws: AccessError.self) { try ClusterAccess.inCluster(environment: { _ in "" }) }
        #expect(empty?.description.contains("KUBERNETES_SERVICE_HOST is empty") == true)
        let bare = #expect(throws: AccessError.self) {
            try ClusterAccess.inCluster(environment: { variables[$0] }, directory: "/nowhere")
        }
        #expect(bare?.description.contains("the token can't be read from /nowhere/token") == true)
    }
}
