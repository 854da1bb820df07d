import Addressing
import LoadBalancing
import Testing

@Suite("Maglev")
struct MaglevTests {
    private static let sizes = [251, 1021, 4093]

    /// Different backends at random addresses of both families.
    private static func backends(_ count: Int, _ random: inout SplitMix) -> [Backend] {
        var found: Set<Backend> = []
        while found.count < count {
            let number = UInt32.random(in: 0..<1 << 16, using: &random)
            let address =
                Bool.random(using: &random)
                ? IPAddress(v4: 0x0af4_0000 + number) : IPAddress(high: 0xfd00_0000_0000_0000, low: UInt64(number))
            found.insert(Backend(address: SocketAddress(address, [80, 8080].randomElement(using: &random)!)))
        }
        return found.sorted()
    }

    /// The backend of each place.
    private static func owners(_ backends: [Backend], _ size: Int) -> [Backend] {
        MaglevTable(backends, size: size).places.map { backends[$0] }
    }

    @Test("No backend has more than one place more than another", arguments: 0..<40 as Range<UInt64>)
    func shares(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let count = Int.random(in: 1...60, using: &random)
        for size in Self.sizes {
            let places = MaglevTable(Self.backends(count, &random), size: size).places
            let shares = Dictionary(grouping: places, by: { $0 }).mapValues(\.count)
            #expect(places.count == size && shares.count == count)
            #expect(shares.values.allSatisfy { $0 == size / count || $0 == size / count + 1 }, "\(shares)")
        }
    }

    @Test("The table follows from the set, not from its order", arguments: 0..<20 as Range<UInt64>)
    func order(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let backends = Self.backends(Int.random(in: 1...30, using: &random), &random)
        let shuffled = backends.shuffled(using: &random)
        #expect(Self.owners(backends, 1021) == Self.owners(shuffled, 1021))
    }

    @Test("Where one of N goes, its places move, and of the others' hardly any")
    func removal() {
        var random = SplitMix(seed: 7)
        for size in Self.sizes {
            for count in [2, 3, 5, 10, 20, 40] where count * 100 <= size {
                var moved: [Double] = []
                for _ in 0..<8 {
                    let backends = Self.backends(count, &random)
                    let gone = backends.randomElement(using: &random)!
                    let before = Self.owners(backends, size)
                    let after = Self.owners(backends.filter { $0 != gone }, size)
                    #expect(!after.contains(gone))
                    let others = zip(before, after).filter { $0 != gone && $0 != $1 }.count
                    moved.append(Double(others) / Double(size))
                }
                let (mean, most) = (moved.reduce(0, +) / Double(moved.count), moved.max() ?? 0)
                print(
                    "maglev \(size) places, one of \(count) gone: of the others' places \(mean) move, \(most) at most")
                // What a table of N backends promises is a share, not a proof for every set.
                #expect(mean < 0.03 && most < 0.08, "\(count) backends, \(size) places")
            }
        }
    }

    @Test("Of one backend all, of none nothing, and of more than there are places the first ones get one each")
    func edges() {
        var random = SplitMix(seed: 1)
        #expect(MaglevTable([], size: 11).places.isEmpty)
        #expect(MaglevTable(Self.backends(1, &random), size: 11).places == [Int](repeating: 0, count: 11))
        #expect(Set(MaglevTable(Self.backends(20, &random), size: 11).places) == Set(0..<11))
    }

    @Test(arguments: [(0, false), (1, false), (2, true), (9, false), (4093, true), (4095, false), (65_521, true)])
    func primes(number: Int, isPrime: Bool) {
        #expect(MaglevTable.isPrime(number) == isPrime)
    }

    @Test("A Service's annotation counts, else what the node is set to, which is not about ClusterIPs")
    func choice() {
        let rows: [(SelectionAlgorithm, String?, Int?)] = [
            (.random, nil, nil), (.random, "maglev", 1021), (.maglev(tableSize: 251), nil, 251),
            (.maglev(tableSize: 251), "random", nil), (.maglev(tableSize: 251), "maglev", 251),
            (.maglev(tableSize: 251), "fastest", 251),
        ]
        for (algorithm, annotation, size) in rows {
            var balancer = LoadBalancer(node: "node-a", algorithm: algorithm, maglevTableSize: 1021)
            _ = balancer.apply([Self.service(annotation), Self.slice])
            for (frontend, program) in balancer.programs {
                let expected = program.kind == .clusterIP && annotation != "maglev" ? nil : size
                #expect(program.maglevTableSize == expected, "\(algorithm), \(annotation ?? "-"): \(frontend)")
            }
            #expect(balancer.programs.count == 2)
            let isWrong = annotation == "fastest"
            #expect(balancer.problems.map(\.object) == (isWrong ? ["Service shop/web"] : []))
            if isWrong { #expect(balancer.problems[0].reason.contains("neither random nor maglev")) }
        }
    }

    private static func service(_ annotation: String?) -> ServiceInput {
        .upsertService(
            ServiceDefinition(
                name: ServiceName(namespace: "shop", name: "web"), kind: .loadBalancer,
                clusterIPs: [IPAddress("10.96.0.10")!], loadBalancerIPs: [IPAddress("203.0.113.1")!],
                ports: [.init(name: "http", port: 80)], algorithm: annotation))
    }

    private static var slice: ServiceInput {
        .upsertSlice(
            EndpointSliceDefinition(
                name: SliceName(namespace: "shop", name: "web-1"),
                service: ServiceName(namespace: "shop", name: "web"), ports: [.init(name: "http", port: 8080)],
                endpoints: [.init(addresses: [IPAddress("10.244.0.5")!], ready: true)]))
    }
}
