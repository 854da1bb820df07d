internal import Addressing
internal import DomainNames
internal import PolicyGenerators
import Testing

/// The same rules over one list in the order of use: slow, and simple enough to be believed.
private struct NaiveNames {
    struct Item: Equatable {
        let name: String
        let address: IPAddress
        var end: UInt64
    }

    let capacity: Int
    var items: [Item] = []
    var live: Set<IPAddress> = []
    var losses = [0, 0, 0]

    mutating func learn(_ name: String, _ address: IPAddress, end: UInt64, at now: UInt64) -> LearnedNames.Outcome {
        if let index = items.firstIndex(where: { $0.name == name && $0.address == address }) {
            var item = items.remove(at: index)
            item.end = max(item.end, end)
            items.append(item)
            return .renewed
        }
        if items.count >= capacity { losses[0] += removeExpired(at: now) }
        if items.count >= capacity {
            guard let oldest = items.firstIndex(where: { !live.contains($0.address) }) else {
                losses[2] += 1
                return .full
            }
            items.remove(at: oldest)
            losses[1] += 1
        }
        items.append(Item(name: name, address: address, end: end))
        return .added
    }

    mutating func use(_ address: IPAddress, at now: UInt64) -> [String] {
        // In the order in which the pairs were learned or used, which is the order in which they are used again.
        for item in items where item.address == address && item.end > now { touch(item) }
        return items.filter { $0.address == address && $0.end > now }.map(\.name).sorted()
    }

    mutating func setLive(_ address: IPAddress, _ isLive: Bool) {
        let held = items.filter { $0.address == address }
        if isLive, !held.isEmpty { live.insert(address) }
        if !isLive, live.remove(address) != nil { for item in held { touch(item) } }
    }

    mutating func removeExpired(at now: UInt64) -> Int {
        let before = items.count
        items.removeAll { $0.end <= now && !live.contains($0.address) }
        return before - items.count
    }

    private mutating func touch(_ item: Item) {
        items.removeAll { $0 == item }
        items.append(item)
    }
}

@Suite("Learned names against a naive list")
struct LearnedNamesModelTests {
    @Test(
        "Random answers, uses, connections and times end in the same table",
        arguments: [1, UInt64.random(in: 2 ... .max)])
    func agrees(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let addresses = (0..<40).map { IPAddress(v4: 0x0a00_0000 + UInt32($0)) }
        var names = LearnedNames(.init(capacity: 12, minimumLifetime: 2_000_000_000, grace: 1_000_000_000))
        var model = NaiveNames(capacity: 12)
        var now: UInt64 = 0
        for step in 0..<30_000 {
            let place = "seed \(seed), step \(step)"
            now += UInt64.random(in: 0...400_000_000, using: &random)
            let index = Int.random(in: 0..<addresses.count, using: &random)
            let address = addresses[index]
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<9:
                // One name an address: the order of use among several of one address is no promise.
                let seconds = UInt32.random(in: 0...20, using: &random)
                let end = now + max(UInt64(seconds), 2) * 1_000_000_000 + 1_000_000_000
                let outcome = names.learn("n\(index)", address, lifetime: seconds, at: now)
                try #require(outcome == model.learn("n\(index)", address, end: end, at: now), "\(place)")
            case 9..<13: try #require(names.use(address, at: now) == model.use(address, at: now), "\(place)")
            case 13..<18:
                names.setLive(address, true)
                model.setLive(address, true)
            case 18:
                names.setLive(address, false)
                model.setLive(address, false)
            default:
                try #require(names.removeExpired(at: now) == model.removeExpired(at: now), "\(place)")
            }
            let losses = [names.losses.expired, names.losses.unused, names.losses.refused]
            try #require(losses == model.losses && names.count == model.items.count, "\(place)")
            try #require(names.count <= 12, "\(place)")
        }
        #expect(model.losses.allSatisfy { $0 > 0 }, "seed \(seed): \(model.losses)")
    }
}
