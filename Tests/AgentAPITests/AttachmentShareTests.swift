import Testing

@testable import AgentAPI

@Suite struct AttachmentShares {
    @Test func whoIsBeyondTheShareIsToldToComeBack() async throws {
        let share = AttachmentShare(1)
        try await share.hold {
            let error = await #expect(throws: AgentError.self) { try await share.hold {} }
            #expect(error?.code == .busy)
        }
        try await share.hold {}
    }
}
