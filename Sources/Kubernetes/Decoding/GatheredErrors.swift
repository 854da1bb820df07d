/// Reads fields that don't depend on each other, so that all that is wrong with them is told, not only the first.
struct GatheredErrors {
    private var found: FieldError?

    /// Whether everything could be read so far.
    var isEmpty: Bool { found == nil }

    /// What goes up when something could not be read.
    var error: FieldError { found ?? FieldError("can't be read") }

    /// What `read` returns; nil where it fails, which is noted.
    @discardableResult
    mutating func attempt<T>(_ read: () throws(FieldError) -> T) -> T? {
        do throws(FieldError) { return try read() } catch {
            found = found?.and(error) ?? error
            return nil
        }
    }
}
