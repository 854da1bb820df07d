internal import GRPCCore
internal import HubbleAPI
internal import SwiftProtobuf

/// `grpc.health.v1.Health`: a server that answers is well.
struct HealthService: HubbleHealth.SimpleServiceProtocol {
    /// The empty name means the server as a whole. `hubble status` asks for a name that stands for all of Hubble's
    /// server and is none of a service.
    private static let services: Set = ["", "hubble.server.Observer", "observer.Observer", "peer.Peer"]

    let streams: StreamLimit

    private func status(_ request: HubbleHealthCheckRequest) -> HubbleHealthCheckResponse {
        HubbleHealthCheckResponse.with {
            $0.status = Self.services.contains(request.service) ? .serving : .serviceUnknown
        }
    }

    func check(request: HubbleHealthCheckRequest, context: ServerContext) async throws -> HubbleHealthCheckResponse {
        let answer = status(request)
        guard answer.status == .serving else {
            throw RPCError(code: .notFound, message: "there is no service '\(request.service)' here")
        }
        return answer
    }

    func watch(
        request: HubbleHealthCheckRequest, response: RPCWriter<HubbleHealthCheckResponse>, context: ServerContext
    ) async throws {
        try await streams.serve {
            try await response.write(status(request))
            try await context.cancellation.cancelled
        }
    }
}
