internal import BPF
internal import LinuxKernel

/// A pin that does not lead to the map which the programs use.
public struct WrongPin: Sendable, Hashable {
    /// The map.
    public let name: String
    /// The kernel's number of the map that the programs use.
    public let wanted: UInt32
    /// The number of the map that is pinned in its place; nil when none is.
    public let found: UInt32?
}

extension DatapathKernel {
    /// How many maps are to be pinned, and which of them are not: whoever opens those pins, as `apus` does, sees nothing
    /// or maps that no program uses.
    public func checkPins() -> (count: Int, wrong: [WrongPin]) {
        let wrong = maps.compactMap { name, box -> WrongPin? in
            let found = (try? BPFMap.open(pinned: pins.map(name)))?.info.id
            return found == box.map.info.id ? nil : WrongPin(name: name, wanted: box.map.info.id, found: found)
        }
        return (maps.count, wrong.sorted { $0.name < $1.name })
    }

    /// Pins the maps again whose pin is gone, and returns their names. A pin that leads to another map stays: somebody
    /// has put it there.
    public func repairPins() throws -> [String] {
        let gone = checkPins().wrong.filter { $0.found == nil }.map(\.name)
        guard !gone.isEmpty else { return [] }
        try pins.prepare()
        for name in gone { try box(name).map.pin(at: pins.map(name)) }
        return gone
    }
}
