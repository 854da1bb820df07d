@testable import Datapath
import PolicyGenerators
import Testing

@Suite struct RangeAllocatorTests {
    @Test("Ranges never overlap, and all together are the bounds again when they are free", arguments: 1...20)
    func properties(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var allocator = RangeAllocator(1..<200)
        var held: [Range<Int>] = []
        for _ in 0..<500 {
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                if let range = allocator.allocate(Int.random(in: 1...20, using: &random)) { held.append(range) }
            case 1:
                let start = Int.random(in: -5..<205, using: &random)
                let range = start..<start + Int.random(in: 1...5, using: &random)
                let isFree = range.lowerBound >= 1 && range.upperBound <= 200 && !held.contains { $0.overlaps(range) }
                #expect(allocator.reserve(range) == isFree)
                if isFree { held.append(range) }
            default:
                if let index = held.indices.randomElement(using: &random) {
                    allocator.release(held.remove(at: index))
                }
            }
            let all = (held + allocator.free).sorted { $0.lowerBound < $1.lowerBound }
            #expect(all.first?.lowerBound == 1 && all.last?.upperBound == 200)
            #expect(zip(all, all.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
            #expect(zip(allocator.free, allocator.free.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
        }
        for range in held { allocator.release(range) }
        #expect(allocator.free == [1..<200])
    }

    @Test("A range that is free already or out of bounds changes nothing when it is released")
    func wrongRelease() {
        var allocator = RangeAllocator(1..<10)
        allocator.release(2..<3)
        allocator.release(-4..<2)
        allocator.release(9..<12)
        #expect(allocator.free == [1..<10])
    }
}
