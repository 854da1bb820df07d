/// An answer that says no: its HTTP status, with what the server's Status object or plain text says of it.
package struct APIRefusal: Sendable, Hashable {
    /// The HTTP status, or the code of an ERROR event.
    package var code: Int
    /// What it says, for people.
    package var message: String
    /// The seconds after which it asks to be asked again.
    package var retryAfter: Int?

    package init(code: Int, message: String, retryAfter: Int? = nil) {
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
    }

    /// What a body says; Statuses come under `text/plain` too, and plain text in place of Statuses.
    package init(code: Int, body: [UInt8], retryAfter: Int? = nil) {
        var parser = JSONParser(body[...])
        if case .object(let status) = try? parser.next() {
            self.init(status, code: code)
        } else {
            let text = String(decoding: body.prefix(200), as: UTF8.self)
            self.init(code: code, message: text.split(separator: "\n").first.map(String.init) ?? "no reason given")
        }
        if let retryAfter { self.retryAfter = retryAfter }
    }

    /// A Status object.
    init(_ status: ManifestObject, code: Int) {
        var written = code
        if case .integer(let number) = status["code"], (100..<600).contains(number) { written = Int(number) }
        self.init(code: written, message: status["message"]?.text ?? "no reason given")
        if case .object(let details) = status["details"], case .integer(let seconds) = details["retryAfterSeconds"],
            (1...3600).contains(seconds)
        {
            retryAfter = Int(seconds)
        }
    }
}
