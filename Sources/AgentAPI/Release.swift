/// The release that this source is.
public enum Release {
    /// The version that `apus` and `apusd` report (semantic versioning).
    public static let version = "0.1.0"
}
