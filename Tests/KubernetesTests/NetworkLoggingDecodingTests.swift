import Kubernetes
import Testing

@Suite("Decoding of NetworkLogging")
struct NetworkLoggingDecodingTests {
    private static let head = "apiVersion: networking.gke.io/v1alpha1, kind: NetworkLogging, metadata: {name: default}"

    private func logging(_ spec: String) throws -> NetworkLogging {
        guard case .networkLogging(let logging) = try onlyObject("{\(Self.head), spec: \(spec)}") else {
            throw WrongKind()
        }
        return logging
    }

    @Test("what is missing is not logged")
    func choices() throws {
        let logging = try logging("{cluster: {allow: {log: true, delegate: true}, deny: {log: true}}}")
        #expect(logging.meta.name == NetworkLogging.name && logging.meta.namespace.isEmpty)
        #expect(logging.allow == .init(log: true, delegate: true) && logging.deny == .init(log: true))
        for spec in ["{}", "{cluster: {}}", "{cluster: {allow: {}, deny: {log: false, delegate: false}}}"] {
            let logging = try self.logging(spec)
            #expect(logging.allow == .init() && logging.deny == .init(), "\(spec)")
        }
    }

    @Test(
        "what makes no sense is an error that names the field",
        arguments: [
            ("{cluster: {allow: {delegate: true}}}", "spec.cluster.allow.delegate: needs log: true"),
            ("{cluster: {deny: {log: false, delegate: true}}}", "spec.cluster.deny.delegate: needs log: true"),
            ("{cluster: {deny: {log: 'yes'}}}", #"spec.cluster.deny.log: expected true or false, got "yes""#),
            ("{cluster: {allow: [log]}}", "spec.cluster.allow: expected an object, got a list"),
        ])
    func errors(spec: String, message: String) throws {
        let result = manifest("{\(Self.head), spec: \(spec)}")
        #expect(result.objects.isEmpty)
        let diagnostic = try #require(result.diagnostics.first)
        #expect("\(diagnostic.fieldPath ?? ""): \(diagnostic.message)" == message)
    }

    @Test("its place at an API server is the cluster's")
    func path() {
        let key = ObjectKey(.networkLogging, name: "default")
        #expect(key.path == "/apis/networking.gke.io/v1alpha1/networkloggings/default")
    }
}
