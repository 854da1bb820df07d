/// Nanoseconds since 1970 as RFC 3339 text and back, in UTC; leap seconds do not exist here.
public enum Timestamp {
    static let second: UInt64 = 1_000_000_000
    private static let secondsPerDay = 86_400

    /// The parts of a time on the clock.
    struct Clock {
        var year = 1970
        var month = 1
        var day = 1
        var hour = 0
        var minute = 0
        var second = 0
        var nanosecond = 0

        /// The clock's reading; `offset` is in seconds east of UTC.
        init(_ time: UInt64, offset: Int = 0) {
            let seconds = Int(time / Timestamp.second) + offset
            let (quotient, remainder) = seconds.quotientAndRemainder(dividingBy: secondsPerDay)
            let days = remainder < 0 ? quotient - 1 : quotient
            let rest = seconds - days * secondsPerDay
            (year, month, day) = Timestamp.civil(days)
            (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
            nanosecond = Int(time % Timestamp.second)
        }
    }

    /// `2026-03-01T10:31:02.123456789Z`.
    public static func text(_ time: UInt64) -> String {
        let clock = Clock(time)
        let date = "\(pad(clock.year, 4))-\(pad(clock.month, 2))-\(pad(clock.day, 2))"
        return "\(date)T\(hours(clock)).\(pad(clock.nanosecond, 9))Z"
    }

    /// `10:31:02.123`, for people; `offset` is in seconds east of UTC.
    public static func timeOfDay(_ time: UInt64, offset: Int = 0) -> String {
        let clock = Clock(time, offset: offset)
        return "\(hours(clock)).\(pad(clock.nanosecond / 1_000_000, 3))"
    }

    /// Parses what ``text(_:)`` writes, with any number of decimals up to nine.
    public static func parse(_ text: String) -> UInt64? {
        guard text.utf8.last == UInt8(ascii: "Z") else { return nil }
        let parts = text.dropLast().split(separator: "T", omittingEmptySubsequences: false)
        guard parts.count == 2, let date = numbers(parts[0], "-", widths: [4, 2, 2]) else { return nil }
        let time = parts[1].split(separator: ".", omittingEmptySubsequences: false)
        guard time.count <= 2, let clock = numbers(time[0], ":", widths: [2, 2, 2]) else { return nil }
        guard (1970...2500).contains(date[0]), (1...12).contains(date[1]), (1...31).contains(date[2]),
            clock[0] < 24, clock[1] < 60, clock[2] < 60
        else { return nil }
        guard let fraction = time.count == 2 ? nanoseconds(time[1]) : 0 else { return nil }
        let seconds = days(date[0], date[1], date[2]) * secondsPerDay + clock[0] * 3600 + clock[1] * 60 + clock[2]
        return UInt64(seconds) * second + fraction
    }

    private static func hours(_ clock: Clock) -> String {
        "\(pad(clock.hour, 2)):\(pad(clock.minute, 2)):\(pad(clock.second, 2))"
    }

    private static func pad(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    private static func numbers(_ text: Substring, _ separator: Character, widths: [Int]) -> [Int]? {
        let fields = text.split(separator: separator, omittingEmptySubsequences: false)
        guard fields.count == widths.count else { return nil }
        let values = zip(fields, widths).compactMap { field, width in field.utf8.count == width ? digits(field) : nil }
        return values.count == widths.count ? values : nil
    }

    private static func nanoseconds(_ text: Substring) -> UInt64? {
        guard (1...9).contains(text.utf8.count), let value = digits(text) else { return nil }
        return (text.utf8.count..<9).reduce(UInt64(value)) { value, _ in value * 10 }
    }

    private static func digits(_ text: Substring) -> Int? {
        text.utf8.allSatisfy { (48...57).contains($0) } ? Int(text) : nil
    }

    /// The date of a day counted from 1970-01-01, in the Gregorian calendar of 400-year eras that begin in March.
    private static func civil(_ day: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let ofEra = shifted - era * 146_097
        let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * ofYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, ofYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// The day of a date, counted from 1970-01-01.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let ofYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + ofYear - 719_468
    }
}
