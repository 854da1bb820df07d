import Foundation
import TestSupport
import Testing

extension AgentLifeTests {
    /// A lab with an agent in it goes without a trace, also when the test fails.
    @Suite(.serialized) struct Leftovers {
        private struct Failure: Error {}

        @Test func nothingIsLeftAfterAFailure() async throws {
            let seen = Seen()
            await #expect(throws: Failure.self) {
                try await withShop { shop in
                    seen.note(shop)
                    _ = try await shop.lab.pod("client").hold(Shop.webAddresses[0], 80)
                    throw Failure()
                }
            }
            let shop = try #require(seen.places)
            #expect(!FileManager.default.fileExists(atPath: shop.directory))
            #expect(!FileManager.default.fileExists(atPath: shop.cgroup))
            let namespaces = try FileManager.default.contentsOfDirectory(atPath: "/run/netns")
            #expect(!namespaces.contains { $0.hasPrefix(shop.id) })
            let mounts = try String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)
            #expect(!mounts.contains(shop.directory))
            #expect(!FileManager.default.fileExists(atPath: "/proc/\(shop.agent)"))
        }

        /// Where the lab was.
        private final class Seen {
            var places: (id: String, directory: String, cgroup: String, agent: Int32)?

            func note(_ shop: Shop) {
                places = (shop.lab.id, shop.lab.directory, shop.lab.cgroup, shop.agent.process?.pid ?? -1)
            }
        }
    }
}
