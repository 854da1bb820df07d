internal import Glibc

/// The time zone of this machine.
enum TimeZoneOffset {
    /// Seconds east of UTC, now.
    static func local() -> Int {
        var now = time(nil)
        var parts = tm()
        return localtime_r(&now, &parts) == nil ? 0 : parts.tm_gmtoff
    }
}
