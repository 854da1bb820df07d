/// Numbers for people.
enum Quantity {
    /// `530ms`, `12s`, `3m5s`, `2h10m`, `4d3h`, as kubectl writes it; nanoseconds in.
    static func duration(_ nanoseconds: UInt64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        switch seconds {
        case 0: return "\(nanoseconds / 1_000_000)ms"
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m\(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3600)h\(seconds / 60 % 60)m"
        default: return "\(seconds / 86_400)d\(seconds / 3600 % 24)h"
        }
    }

    /// `512 B`, `1.5 KiB`, `20.0 MiB`.
    static func size(_ bytes: UInt64) -> String {
        guard bytes >= 1024 else { return "\(bytes) B" }
        var unit: UInt64 = 1024
        var names = ["KiB", "MiB", "GiB"][...]
        while names.count > 1, bytes / unit >= 1024 {
            unit *= 1024
            names.removeFirst()
        }
        return "\(bytes / unit).\(bytes % unit * 10 / unit) \(names.first ?? "")"
    }

    /// Things a second with one decimal, `1234.5`; what came in less than a second counts as of one.
    static func rate(_ number: UInt64, nanoseconds: UInt64) -> String {
        let tenths = Double(number) / Double(max(nanoseconds, 1_000_000_000)) * 10_000_000_000
        let rounded = UInt64(exactly: tenths.rounded()) ?? .max
        return "\(rounded / 10).\(rounded % 10)"
    }

    /// Bytes a second, likewise, as ``size(_:)`` writes them.
    static func speed(_ bytes: UInt64, nanoseconds: UInt64) -> String {
        size(
            UInt64(exactly: (Double(bytes) / Double(max(nanoseconds, 1_000_000_000)) * 1_000_000_000).rounded()) ?? .max
        )
    }

    /// `1 endpoint`, `2 endpoints`.
    static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    /// The first few of a list, and how many more there are.
    static func few(_ items: [String], _ limit: Int) -> String {
        guard items.count > limit else { return items.joined(separator: ", ") }
        return items.prefix(limit).joined(separator: ", ") + " + \(items.count - limit) more"
    }
}
