package import FlowExport
internal import Glibc
internal import JSONText

/// What a collector answered, and what follows from it (OpenTelemetry Protocol, "OTLP/HTTP Response").
package struct OTLPAnswer: Sendable, Equatable {
    /// Longer than this a collector is not left alone, whatever it asks for.
    private static let longestPause: Int64 = 600

    private let status: UInt
    /// Of the header Retry-After.
    private let retryAfter: String?
    private let body: [UInt8]

    package init(status: UInt, retryAfter: String? = nil, body: [UInt8] = []) {
        (self.status, self.retryAfter, self.body) = (status, retryAfter, body)
    }

    /// What became of a number of records.
    ///
    /// - Parameter now: seconds since 1970, for a Retry-After that is a date.
    package func delivery(of count: Int, now: Int64) -> Delivery {
        if (200..<300).contains(status) { return taken(count) }
        let text = "the collector answered \(status)\(message.map { ": \($0)" } ?? "")"
        guard [429, 502, 503, 504].contains(status) else {
            return Delivery(delivered: 0, problem: DeliveryProblem(operation: "refuse", text: text, isFinal: true))
        }
        return Delivery(
            delivered: 0,
            problem: DeliveryProblem(operation: "answer", text: text, retryAfter: pause(now: now)))
    }

    /// A collector may throw away a part of what it took. Which one it does not say: the last ones are counted as that.
    private func taken(_ count: Int) -> Delivery {
        guard let part = try? JSONText(body)["partialSuccess"] else { return Delivery(delivered: count) }
        let number = part["rejectedLogRecords"] ?? part["rejectedDataPoints"]
        guard let rejected = number?.string.flatMap({ Int($0) }) ?? number?.integer, rejected > 0 else {
            return Delivery(delivered: count)
        }
        let reason = part["errorMessage"]?.string ?? ""
        return Delivery(
            delivered: max(0, count - rejected),
            problem: DeliveryProblem(
                operation: "refuse", text: "the collector threw away \(rejected): \(reason)", isFinal: true))
    }

    /// What the body says to people: a Status in JSON, or the beginning of whatever it is.
    private var message: String? {
        let text = (try? JSONText(body)["message"]?.string) ?? String(decoding: body.prefix(200), as: UTF8.self)
        let line = text.prefix { !$0.isNewline }
        return line.isEmpty ? nil : String(line)
    }

    /// Seconds, or a date (RFC 9110 §10.2.3).
    private func pause(now: Int64) -> Duration? {
        guard let retryAfter else { return nil }
        if let seconds = Int64(retryAfter) { return .seconds(min(max(seconds, 0), Self.longestPause)) }
        guard let date = Self.seconds(retryAfter) else { return nil }
        return .seconds(min(max(date - now, 0), Self.longestPause))
    }

    /// Seconds since 1970 of a date as `Sun, 01 Mar 2026 10:31:12 GMT`.
    private static func seconds(_ date: String) -> Int64? {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let words = date.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(words[2])), let year = Int32(words[3]),
            (1970...9999).contains(year)
        else { return nil }
        let clock = words[4].split(separator: ":").compactMap { Int32($0) }
        guard clock.count == 3, clock.allSatisfy({ (0...60).contains($0) }) else { return nil }
        var parts = tm()
        (parts.tm_mday, parts.tm_mon, parts.tm_year) = (day, Int32(month), year - 1900)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (clock[0], clock[1], clock[2])
        return Int64(timegm(&parts))
    }
}
