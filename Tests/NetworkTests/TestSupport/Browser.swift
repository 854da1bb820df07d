import Foundation
import JSONText
import TestSupport

/// Debian's Chromium without a window, on a node of a lab, used as a person uses it, by way of WebDriver: its profile is
/// in the lab's folder, it sees no network but the node's, and none of its processes outlives its driver.
struct Browser {
    private static let driver = "http://127.0.0.1:9515"

    private let node: LabHost
    private let process: ChildProcess
    /// What WebDriver calls the window and all that is in it.
    private let session: String

    init(_ lab: Lab, node name: String = "node-a") async throws {
        let (node, folder) = (lab.node(name), "\(lab.directory)/browser")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let isolate = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.node = node
        process = try node.spawn(
            isolate + ["chromedriver", "--port=9515"], environment: ["HOME": folder, "TMPDIR": folder],
            covered: false, log: "\(folder)/driver.log")
        var session: String?
        try await eventually("a browser", every: .milliseconds(100)) {
            session = try await Self.ask(node, "/session", Self.wishes(folder))["sessionId"]?.string
            return session != nil
        }
        guard let session else { throw LabError("start a browser", "it has no session") }
        self.session = session
    }

    private static func wishes(_ folder: String) -> String {
        let options = [
            "--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-breakpad", "--disable-gpu",
            "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,1000",
            "--user-data-dir=\(folder)/profile",
            // Debian's empty window opens a page of the Internet's, and waits for its name as long as resolvers may take.
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost",
        ]
        return """
            {"capabilities": {"alwaysMatch": {"browserName": "chrome", "timeouts": {"script": 100000}, \
            "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": {"binary": "/usr/bin/chromium", \
            "args": [\(options.map(JSONText.quoted).joined(separator: ", "))]}}}}
            """
    }

    /// Ends it; the end of its lab would, too.
    func close() async {
        process.signal(SIGKILL)
        _ = await process.exit()
    }

    /// Opens a page and waits until its files are read.
    func open(_ url: String) async throws { try await ask("/url", "{\"url\": \(JSONText.quoted(url))}") }

    /// Runs a function's body in the page and tells what it returns.
    @discardableResult
    func evaluate(_ body: String) async throws -> JSONText {
        try await ask("/execute/sync", "{\"script\": \(JSONText.quoted(body)), \"args\": []}")
    }

    /// The words of the elements that a selector of CSS finds, also of hidden ones.
    func texts(_ selector: String) async throws -> [String] {
        let found = "[...document.querySelectorAll(\(JSONText.quoted(selector)))]"
        return try await evaluate("return \(found).map((one) => one.textContent)").elements.compactMap(\.string)
    }

    /// Presses what is seen: a button, a choice in a list.
    func press(_ selector: String) async throws { try await ask("\(place(of: selector))/click", "{}") }

    /// Types where it can be seen.
    func type(_ text: String, into selector: String) async throws {
        try await ask("\(place(of: selector))/value", "{\"text\": \(JSONText.quoted(text))}")
    }

    /// What is seen now, as a PNG.
    func picture() async throws -> Data {
        guard let text = try await ask("/screenshot").string, let picture = Data(base64Encoded: text) else {
            throw LabError("take a picture", "it is no base64")
        }
        return picture
    }

    /// What the page's scripts and the browser complained of since this was asked for.
    func complaints() async throws -> [String] {
        try await ask("/se/log", "{\"type\": \"browser\"}").elements.compactMap { $0["message"]?.string }
    }

    private func place(of selector: String) async throws -> String {
        let found = try await ask("/element", "{\"using\": \"css selector\", \"value\": \(JSONText.quoted(selector))}")
        guard let element = found.members.first?.value.string else { throw LabError("look for \(selector)", "none") }
        return "/element/\(element)"
    }

    @discardableResult
    private func ask(_ path: String, _ body: String? = nil) async throws -> JSONText {
        try await Self.ask(node, "/session/\(session)\(path)", body)
    }

    /// One command of WebDriver: a POST where it has a body. Bodies are of any size, so they go by the standard input.
    private static func ask(_ node: LabHost, _ path: String, _ body: String? = nil) async throws -> JSONText {
        let post = body == nil ? [] : ["-H", "Content-Type: application/json", "--data-binary", "@-"]
        let result = try await node.run(
            ["curl", "-sS", "--fail-with-body", "--max-time", "110"] + post + ["\(driver)\(path)"], input: body ?? "",
            covered: false)
        guard result.succeeded, let value = try JSONText(result.output.utf8)["value"] else {
            throw LabError("WebDriver \(path)", "\(result.errors)\(result.output)")
        }
        return value
    }
}
