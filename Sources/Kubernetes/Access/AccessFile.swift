internal import Foundation

/// The small files that access to a cluster is made of.
enum AccessFile {
    static func read(_ path: String, as what: String) throws(AccessError) -> [UInt8] {
        do {
            return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            let reason = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
            throw AccessError("\(what) can't be read from \(path): \(reason?.localizedDescription ?? "\(error)")")
        }
    }

    static func decodeBase64(_ text: String) -> [UInt8]? {
        Data(base64Encoded: text, options: .ignoreUnknownCharacters).map { [UInt8]($0) }
    }
}
