/// Who tells something by OTLP, and how its requests look in JSON (OpenTelemetry Protocol, "JSON Protobuf Encoding":
/// names in lower camel case, 64-bit integers as strings, enums as numbers).
public struct OTLPResource: Sendable {
    private let node: String
    private let version: String

    /// - Parameters:
    ///   - node: the name of this node.
    ///   - version: that of the agent.
    public init(node: String, version: String) {
        (self.node, self.version) = (node, version)
    }

    /// A request that has log records in it, each in JSON.
    public func logs(_ records: [ExportRecord]) -> [UInt8] {
        let (before, after) = envelope("resourceLogs", "scopeLogs", "logRecords")
        return Array(before.utf8) + records.map(\.bytes).joined(separator: [UInt8(ascii: ",")]) + Array(after.utf8)
    }

    /// A request that has metrics in it, each in JSON.
    func metrics(_ metrics: [JSONObject]) -> [UInt8] {
        let (before, after) = envelope("resourceMetrics", "scopeMetrics", "metrics")
        return Array((before + metrics.map(\.text).joined(separator: ",") + after).utf8)
    }

    private func envelope(_ resources: String, _ scopes: String, _ records: String) -> (before: String, after: String) {
        var attributes = OTLPAttributes()
        attributes.add("service.name", "apus")
        attributes.add("service.version", version)
        attributes.add("k8s.node.name", node)
        var resource = JSONObject()
        resource.add("attributes", attributes.list)
        var scope = JSONObject()
        scope.add("name", "apus")
        scope.add("version", version)
        return (
            #"{"\#(resources)":[{"resource":\#(resource.text),"\#(scopes)":[{"scope":\#(scope.text),"\#(records)":["#,
            "]}]}]}"
        )
    }
}

/// Attributes of something, in their order.
struct OTLPAttributes {
    private(set) var list: [JSONObject] = []

    /// Adds a string, unless it is empty.
    mutating func add(_ name: String, _ value: String?) {
        guard let value, !value.isEmpty else { return }
        add(name, Self.text(value))
    }

    /// Adds an integer.
    mutating func add(_ name: String, _ value: some BinaryInteger) {
        var object = JSONObject()
        object.add("intValue", "\(value)")
        add(name, object)
    }

    /// Adds a list of strings, unless it is empty.
    mutating func add(_ name: String, _ values: [String]) {
        guard !values.isEmpty else { return }
        var list = JSONObject()
        list.add("values", values.map(Self.text))
        var object = JSONObject()
        object.add("arrayValue", list)
        add(name, object)
    }

    private mutating func add(_ name: String, _ value: JSONObject) {
        var attribute = JSONObject()
        attribute.add("key", name)
        attribute.add("value", value)
        list.append(attribute)
    }

    /// A string as a value.
    static func text(_ value: String) -> JSONObject {
        var object = JSONObject()
        object.add("stringValue", value)
        return object
    }
}
