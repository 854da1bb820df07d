import Foundation
import TestSupport

/// Debian's Chromium without a window, on a node of a lab: its profile is in the lab's folder, it sees no network but the
/// node's, and none of its processes outlives the one that was asked for.
struct Browser {
    private let node: LabHost
    private let folder: String

    /// A page as it stood when it had settled.
    struct Sight {
        /// Its elements, as HTML.
        var document: String
        /// Bytes of the picture, a PNG.
        var picture: Data
        /// What the page's scripts and the browser complained of.
        var complaints: String
    }

    init(_ lab: Lab, node: String = "node-a") throws {
        self.node = lab.node(node)
        folder = "\(lab.directory)/browser"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    /// Opens a page and looks at it; throws when the browser fails.
    func look(at url: String) async throws -> Sight {
        let picture = "\(folder)/picture.png"
        try? FileManager.default.removeItem(atPath: picture)
        let isolate = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        let quiet = [
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-breakpad", "--disable-gpu", "--disable-dev-shm-usage",
        ]
        let command =
            isolate + ["chromium", "--headless", "--no-sandbox"] + quiet + [
                "--enable-logging=stderr", "--user-data-dir=\(folder)/profile", "--window-size=1280,900",
                "--hide-scrollbars", "--virtual-time-budget=2000", "--screenshot=\(picture)", "--dump-dom", url,
            ]
        let result = try await node.run(command, environment: ["HOME": folder], covered: false)
        guard result.succeeded, let bytes = FileManager.default.contents(atPath: picture) else {
            throw LabError("look at \(url)", result.errors)
        }
        let complaints = result.errors.split(separator: "\n").filter { $0.contains(":CONSOLE:") }
        return Sight(document: result.output, picture: bytes, complaints: complaints.joined(separator: "\n"))
    }
}
