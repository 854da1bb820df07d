import DatapathABI
import Foundation
import Testing

/// What the manual shows is what there is.
@Suite struct ManualTests {
    @Test func `the page of apus shows the version of the maps that this one writes`() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardizedFileURL
        let page = try String(contentsOf: root.appending(path: "docs/cli.md"), encoding: .utf8)
        let shown = page.matches(of: /ABI (\d+)/).map { String($0.1) }
        #expect(shown == ["\(UInt32(APUS_ABI_VERSION))"])
    }
}
