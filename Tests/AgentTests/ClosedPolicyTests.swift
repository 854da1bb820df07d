import Addressing
import Foundation
import Kubernetes
import NetworkPolicy
import PolicyCases
import PolicyGenerators
import PolicyTranslation
import Testing

/// The objects of a policy case, of which an API server may have what can't be read in one policy.
private struct DamagedCase {
    private let objects: [(kind: ObjectKind, value: [String: Any])]
    /// Which of them are policies.
    private let policies: [Int]

    init(_ step: PolicyStep) throws {
        let documents = try CaseCluster.manifest(step).split(separator: "\n").map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        let read = documents.compactMap { value in
            (value["kind"] as? String).flatMap(ObjectKind.init(rawValue:)).map { (kind: $0, value: value) }
        }
        objects = read
        policies = read.indices.filter { read[$0].kind.rawValue.hasSuffix("NetworkPolicy") }
    }

    /// The oracle over the objects as they are.
    func oracle() throws -> PolicyOracle { try oracle(objects.map { ($0.kind, $0.value) }).oracle }

    /// The oracle over objects one of which has something in its spec that can't be read; nil when it is refused.
    func damaged(_ random: inout RandomSource) throws -> (oracle: PolicyOracle, told: [SourceDiagnostic])? {
        guard let victim = policies.randomElement(using: &random) else { return nil }
        var changed = objects
        changed[victim].value["spec"] = Self.damage(changed[victim].value["spec"] ?? [:], &random)
        let result = try oracle(changed.map { ($0.kind, $0.value) })
        return result.isComplete ? (result.oracle, result.told) : nil
    }

    private func oracle(
        _ objects: [(ObjectKind, [String: Any])]
    ) throws -> (oracle: PolicyOracle, told: [SourceDiagnostic], isComplete: Bool) {
        var (inputs, oracle) = (PolicyInputs(), PolicyOracle(node: CaseCluster.node))
        var told: [SourceDiagnostic] = []
        var isComplete = true
        for (kind, value) in objects {
            let item = [UInt8](try JSONSerialization.data(withJSONObject: value))
            let received = try #require(try ReceivedObject(item: item, kind: kind))
            told += received.diagnostics
            guard let object = received.object else {
                isComplete = false
                continue
            }
            for input in inputs.apply([.upsert(object)]) { oracle.apply(input) }
        }
        return (oracle, told, isComplete)
    }

    /// A value with an unknown field in one of its objects, or something else in the place of one of its parts.
    private static func damage(_ value: Any, _ random: inout RandomSource) -> Any {
        switch value {
        case var object as [String: Any]:
            guard let name = object.keys.sorted().randomElement(using: &random),
                Int.random(in: 0..<4, using: &random) > 0
            else {
                object["shade"] = 1
                return object
            }
            object[name] = damage(object[name] ?? 1, &random)
            return object
        case var list as [Any] where !list.isEmpty && Int.random(in: 0..<10, using: &random) > 0:
            let index = Int.random(in: list.indices, using: &random)
            list[index] = damage(list[index], &random)
            return list
        default: return ["shade": ["a": 1]]
        }
    }
}

@Suite("Policies of an API server that can't be read in full")
struct ClosedPolicyTests {
    private static func isAllowed(
        _ oracle: PolicyOracle, _ source: IPAddress, _ destination: IPAddress, _ ipProtocol: IPProtocol,
        _ port: Addressing.Port
    ) -> Bool {
        oracle.explain(from: source, to: destination, ipProtocol: ipProtocol, port: port).allSatisfy(\.isAllowed)
    }

    private func pick<T>(_ choices: [T], _ random: inout RandomSource) throws -> T {
        try #require(choices.randomElement(using: &random))
    }

    @Test("They never admit more than they would if they could be read", arguments: [1, UInt64.random(in: 2 ... .max)])
    func neverWider(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var (closed, refused, narrowed) = (0, 0, 0)
        for step in try PolicyCaseFile.all().flatMap(\.steps) {
            let cluster = try DamagedCase(step)
            let whole = try cluster.oracle()
            for _ in 0..<2 {
                guard let found = try cluster.damaged(&random) else {
                    refused += 1
                    continue
                }
                closed += 1
                for _ in 0..<40 {
                    let source = try pick(CaseCluster.members, &random)
                    let destination = try pick(CaseCluster.members, &random)
                    let family = Int.random(in: 0..<2, using: &random)
                    let ipProtocol = try pick(CaseCluster.protocols, &random)
                    let port = try pick(CaseCluster.ports, &random)
                    let ends = (source.addresses[family], destination.addresses[family])
                    let before = Self.isAllowed(whole, ends.0, ends.1, ipProtocol, port)
                    let after = Self.isAllowed(found.oracle, ends.0, ends.1, ipProtocol, port)
                    if before, !after { narrowed += 1 }
                    let place =
                        "seed \(seed): \(step.name): \(source.name) -> \(destination.name) \(ipProtocol) \(port)"
                    try #require(before || !after, "\(place): \(found.told)")
                }
            }
        }
        #expect(closed > 200 && refused > 10 && narrowed > 100, "\(closed) \(refused) \(narrowed)")
    }
}
