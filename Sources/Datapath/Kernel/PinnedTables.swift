internal import BPF
internal import LinuxKernel

/// The pinned maps as they are, without programs: what a start takes over from the one before.
///
/// A map that is not there counts as empty: somebody removed its pin, and what it held is written anew. So does one of
/// a group that can't be read, as another version has made it.
public struct PinnedTables: Sendable, MapReader {
    let pins: PinDirectory

    private let readable: Set<MapLayouts.Group>

    init(_ pins: PinDirectory, reading groups: Set<MapLayouts.Group> = Set(MapLayouts.Group.allCases)) {
        self.pins = pins
        readable = groups
    }

    package func entries(of table: DatapathTable) throws(MapError) -> [TableEntry] {
        guard let map = try open(table) else { return [] }
        return try map.tableEntries()
    }

    package func elements(of table: DatapathTable) throws(MapError) -> Bytes {
        guard let map = try open(table) else { return [] }
        return try map.tableElements()
    }

    private func open(_ table: DatapathTable) throws(MapError) -> BPFMap? {
        guard MapLayouts.group(ofMap: table.rawValue).map(readable.contains) ?? false else { return nil }
        do throws(BPFError) {
            return try BPFMap.open(pinned: pins.map(table.rawValue))
        } catch  where error.errno == .noEntry {
            return nil
        } catch {
            throw MapError(error)
        }
    }
}
