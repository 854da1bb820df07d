package import Flows
package import HubbleAPI
internal import JSONText
internal import SwiftProtobuf

/// Which flows are wanted, and which of their fields, as texts ask for it: filters as JSON objects of Hubble's FlowFilter,
/// and paths of its Flow.
package struct FlowSelection: Sendable {
    private let matcher: FlowMatcher?
    private let choice: FieldChoice

    /// Everything.
    package init() {
        matcher = nil
        choice = FieldChoice([])
    }

    /// Fails where a filter can't be understood, or asks for what no flow of Apus has.
    ///
    /// - Parameters:
    ///   - allowed: filters of which one has to match; none: all flows are wanted.
    ///   - denied: filters of which none may match.
    ///   - fields: paths as `source.pod_name`; none: all fields are wanted.
    package init(allowed: [String], denied: [String], fields: [String]) throws {
        let whitelist = try allowed.flatMap { try Self.filters($0, "allowlist") }
        let blacklist = try denied.flatMap { try Self.filters($0, "denylist") }
        matcher =
            whitelist.isEmpty && blacklist.isEmpty
            ? nil
            : try FlowMatcher(
                whitelist: whitelist, blacklist: blacklist, names: (whitelist: "allowlist", blacklist: "denylist"))
        if let unknown = FieldChoice.unknown(in: fields) {
            throw RequestError("fieldmask", "'\(unknown)' is no field of a flow")
        }
        choice = FieldChoice(fields)
    }

    /// What is written of a record; nil: it isn't wanted. Records of loss always are: what is missing might have been.
    package func response(_ flow: Flow, _ encoder: FlowEncoder) -> HubbleGetFlowsResponse? {
        guard wants(flow, encoder) else { return nil }
        var response = encoder.response(flow)
        if flow.kind != .lost { choice.apply(to: &response.flow) }
        return response
    }

    /// Whether a record is wanted.
    package func wants(_ flow: Flow, _ encoder: FlowEncoder) -> Bool {
        guard let matcher, flow.kind != .lost else { return true }
        return matcher.matches(flow, encoder)
    }

    /// The filters of a text: JSON objects, one after the other.
    private static func filters(_ text: String, _ list: String) throws -> [HubbleFlowFilter] {
        let values: [JSONText]
        do { values = try JSONText.values(text.utf8) } catch {
            throw RequestError(list, "'\(text)' is no JSON: \(error)")
        }
        return try values.map { value in
            do { return try HubbleFlowFilter(jsonUTF8Bytes: Array(value.bytes)) } catch {
                throw RequestError(list, "'\(value.text)' is no filter of flows: \(problem(error))")
            }
        }
    }

    private static func problem(_ error: any Error) -> String {
        if case JSONDecodingError.unknownField(let name) = error { return "there is no field '\(name)'" }
        return "\(error)"
    }
}

extension HubbleGetFlowsResponse {
    /// One line of what `hubble observe -o json` prints, without its end; nil where something can't be written.
    package var jsonLine: [UInt8]? {
        var options = JSONEncodingOptions()
        options.preserveProtoFieldNames = true
        return try? jsonUTF8Bytes(options: options)
    }
}
