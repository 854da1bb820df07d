internal import Foundation

/// The executables that SwiftPM built with the running program: they are next to it.
public enum BuiltProducts {
    /// The path of an executable product, such as `apusd`.
    public static func path(of name: String) throws(LabError) -> String {
        let running = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let path = URL(fileURLWithPath: running).deletingLastPathComponent().appendingPathComponent(name).path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw LabError("find \(name)", "\(path) does not exist: run swift build first")
        }
        return path
    }
}
