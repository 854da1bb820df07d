package import AgentAPI
package import Datapath
package import Flows
internal import Glibc
internal import LinuxKernel

/// The pinned maps of this machine.
package final class PinnedDatapath: DatapathView {
    private let reader: DatapathReader
    private let directory: String

    /// Opens the maps under a directory of a bpf file system.
    package init(directory: String) throws {
        do throws(DatapathReadError) {
            reader = try DatapathReader(bpffs: directory)
        } catch {
            throw CommandError(error, directory)
        }
        self.directory = directory
    }

    package func status() throws -> DatapathStatus {
        try reading { () throws(DatapathReadError) in
            let info = try reader.info()
            let services = try reader.services()
            let maps = try reader.maps()
            let drops = try reader.drops().filter { $0.dropped.packets > 0 }
            let events = try reader.eventCounters()
            return DatapathStatus(
                node: info.node, abiVersion: info.abiVersion, started: Timestamp.text(info.createdAt),
                endpoints: try reader.endpoints().count,
                services: Set(services.compactMap { $0.name.map { "\($0.namespace)/\($0.name)" } }).count,
                frontends: services.count, backends: Set(services.flatMap(\.backends)).count,
                policies: try reader.policies().count, connections: Self.fill(.connections, maps),
                halfOpen: Self.fill(.halfOpen, maps), drops: drops.map { DatapathStatus.Drop($0) },
                events: DatapathStatus.Events(submitted: events.submitted, lost: events.lost, audited: events.audited))
        }
    }

    package func endpoints() throws -> [EndpointRow] {
        let interfaces = Self.interfaceNames()
        // Endpoints first: a policy is there before one that it judges.
        let endpoints = try reading { () throws(DatapathReadError) in try reader.endpoints() }
        let policies = try reading { () throws(DatapathReadError) in
            Set(try reader.policies().filter { !$0.isTooLong }.map(\.id))
        }
        return endpoints.map { endpoint in
            EndpointRow(endpoint, interface: interfaces[endpoint.interface], policies: policies)
        }.sorted { ($0.namespace ?? "", $0.pod ?? "", $0.slot) < ($1.namespace ?? "", $1.pod ?? "", $1.slot) }
    }

    package func services() throws -> [ServiceRow] {
        try reading { () throws(DatapathReadError) in
            let names = try MapNames(reader)
            // The sort keeps the order of the frontends of a name, which is that of their addresses.
            return try reader.services().map { ServiceRow($0, names) }.sorted {
                ($0.namespace ?? "", $0.service ?? "") < ($1.namespace ?? "", $1.service ?? "")
            }
        }
    }

    package func policies() throws -> [PolicyRow] {
        try reading { () throws(DatapathReadError) in try reader.policies() }.map { PolicyRow($0) }
    }

    package func judge(_ question: VerdictQuestion) throws -> PolicyJudgement? {
        let offset = KernelClock.realtimeOffset()
        return try reading { () throws(DatapathReadError) in try reader.verdict(question) }
            .map { PolicyJudgement($0, clockOffset: offset) }
    }

    package func domains() throws -> [DomainRow] {
        try reading { () throws(DatapathReadError) in try DomainReading(reader).rows }
    }

    package func domain(named name: String) throws -> DomainExplanation {
        try reading { () throws(DatapathReadError) in
            try DomainReading(reader).explanation(of: name, try reader.patterns(matching: name))
        }
    }

    package func connections() throws -> [ConnectionRow] {
        let now = KernelClock.monotonic()
        return try reading { () throws(DatapathReadError) in
            var names = try MapNames(reader)
            return try reader.connections().map { ConnectionRow($0, now: now, reader, &names) }
        }
    }

    package func maps() throws -> [MapRow] {
        try reading { () throws(DatapathReadError) in try reader.maps() }.map {
            MapRow(
                name: $0.name, type: $0.type, keyBytes: $0.keySize, valueBytes: $0.valueSize, entries: $0.entries,
                maximumEntries: $0.capacity)
        }
    }

    package func dump(_ map: String) throws -> [MapEntryRow] {
        try reading { () throws(DatapathReadError) in try reader.dump(map: map) }.map {
            MapEntryRow(key: $0.key, value: $0.value)
        }
    }

    package func flows(last: Int, _ filter: FlowFilter) throws -> [Flow] {
        let offset = KernelClock.realtimeOffset()
        return try reading { () throws(DatapathReadError) in
            let node = try reader.info().node
            var names = try MapNames(reader)
            var domains = try reader.addressNames()
            // A filter may pass few: all that the rings hold is looked at, a few ten thousand records.
            var flows: [Flow] = []
            for event in try reader.history(last: .max) {
                let flow = Flow(event, node: node, clockOffset: offset, reader, &names, &domains)
                if filter.matches(flow) { flows.append(flow) }
            }
            let unanswered = try reader.unansweredQuestions(now: KernelClock.monotonic())
            for answer in try reader.answerHistory(last: .max) + unanswered {
                let flow = Flow(answer, node: node, clockOffset: offset, reader, &names)
                if filter.matches(flow) { flows.append(flow) }
            }
            return Array(flows.sorted { $0.time < $1.time }.suffix(last))
        }
    }

    private func reading<Value>(_ body: () throws(DatapathReadError) -> Value) throws -> Value {
        do throws(DatapathReadError) { return try body() } catch { throw CommandError(error, directory) }
    }

    private static func fill(_ map: PinnedMap, _ maps: [MapSummary]) -> DatapathStatus.Fill {
        let summary = maps.first { $0.name == map.rawValue }
        return DatapathStatus.Fill(used: summary?.entries ?? 0, capacity: summary?.capacity ?? 0)
    }

    /// The interfaces of this network namespace, which is the node's unless somebody runs us elsewhere.
    private static func interfaceNames() -> [UInt32: String] {
        guard var netlink = try? Netlink(), let links = try? netlink.interfaces() else { return [:] }
        return Dictionary(links.map { ($0.index, $0.name) }) { first, _ in first }
    }
}

extension CommandError {
    init(_ error: DatapathReadError, _ directory: String, isRoot: Bool = geteuid() == 0) {
        self =
            switch error.reason {
            // Others see no file in a directory that is root's.
            case .noMaps: isRoot ? .noMaps(directory) : .needsRoot(directory)
            case .noPermission: .notPermitted(directory)
            case .noSuchMap: .noMap(error.subject)
            case .otherVersion: CommandError("\(error): use the apus of the release that made them")
            case .notListable, .failed: CommandError("\(error)")
            }
    }
}
