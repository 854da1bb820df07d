internal import Addressing
internal import DatapathABI
internal import NetworkPolicy

extension PinnedMap {
    /// An entry for people; bytes in hex where they make no sense.
    func row(_ entry: TableEntry) -> MapRow {
        if let table = DatapathTable(rawValue: rawValue) {
            return MapRow(key: table.text(ofKey: entry.key), value: table.text(ofValue: entry.value))
        }
        let row: MapRow? =
            switch self {
            case .connections: connectionRow(entry, isHalfOpen: false)
            case .halfOpen: connectionRow(entry, isHalfOpen: true)
            case .translations, .disposableTranslations: translationRow(entry)
            case .affinities: affinityRow(entry)
            case .socketRecords: socketRecordRow(entry)
            case .networkNamespaces: namespaceRow(entry)
            case .fragments: fragmentRow(entry)
            case .denials: denialRow(entry)
            case .learnedAddresses: learnedAddressRow(entry)
            case .learnedNames: learnedNameRow(entry)
            case .xdpLinks: shortcutRow(entry)
            default: nil
            }
        return row ?? MapRow(key: hexadecimal(entry.key), value: hexadecimal(entry.value))
    }

    private func connectionRow(_ entry: TableEntry, isHalfOpen: Bool) -> MapRow? {
        let (key, value) = (entry.key, entry.value)
        let record = try? ConnectionRecord(key: key.span.bytes, value: value.span.bytes, isHalfOpen: isHalfOpen)
        return record.map { MapRow(key: "\($0.tuple)", value: $0.attributes) }
    }

    private func shortcutRow(_ entry: TableEntry) -> MapRow? {
        guard let index = entry.key.load(UInt32.self), let link = entry.value.load(apus_xdp_link.self),
            let address = withUnsafeBytes(of: link.mac, { MACAddress(bytes: $0) })
        else { return nil }
        let flags = [(APUS_XDP_BOUNCES, " returns"), (APUS_XDP_TRANSMITS, " transmits")]
        let text = flags.filter { UInt32(link.flags) & $0.0.rawValue != 0 }.map(\.1).joined()
        return MapRow(key: "interface \(index)", value: "address \(address)\(text)")
    }

    private func translationRow(_ entry: TableEntry) -> MapRow? {
        guard let key = entry.key.load(apus_translation_key.self),
            let value = entry.value.load(apus_translation.self)
        else { return nil }
        let tuple = FlowTuple(
            source: SocketAddress(key.client.address, key.client_port.bigEndian),
            destination: SocketAddress(key.frontend.address, key.frontend_port.bigEndian),
            ipProtocol: IPProtocol(rawValue: key.protocol))
        let byOther = UInt32(value.flags) & APUS_TRANSLATION_OTHER_PORT.rawValue != 0 ? " by another port" : ""
        return MapRow(
            key: "\(tuple)",
            value: "backend \(SocketAddress(value.backend.address, value.backend_port.bigEndian))\(byOther)")
    }

    private func affinityRow(_ entry: TableEntry) -> MapRow? {
        guard let key = entry.key.load(apus_affinity_key.self), let value = entry.value.load(apus_affinity.self)
        else { return nil }
        // Not an address but a namespace: see client_without_address in bpf/lib/affinity.h.
        let client = key.client.high == .max ? "namespace \(key.client.low)" : "\(key.client.address)"
        return MapRow(
            key: "client \(client) service \(key.service)",
            value: "backend \(value.backend.address) seen \(value.seen_ns)")
    }

    private func socketRecordRow(_ entry: TableEntry) -> MapRow? {
        guard let value = entry.value.load(apus_socket_record.self) else { return nil }
        let (cookie, record) = (value.cookie, value.translation)
        let frontend = SocketAddress(record.frontend.address, record.frontend_port.bigEndian)
        let backend = SocketAddress(record.backend.address, record.backend_port.bigEndian)
        let socket = cookie == 0 ? "none" : "\(cookie)"
        return MapRow(key: "socket \(socket)", value: "frontend \(frontend) backend \(backend)")
    }

    private func namespaceRow(_ entry: TableEntry) -> MapRow? {
        guard let cookie = entry.key.load(UInt64.self), let value = entry.value.load(apus_namespace.self)
        else { return nil }
        return MapRow(key: "namespace \(cookie)", value: "endpoint \(value.endpoint) identity \(value.identity)")
    }

    private func fragmentRow(_ entry: TableEntry) -> MapRow? {
        guard let key = entry.key.load(apus_fragment_key.self), let value = entry.value.load(apus_fragment.self)
        else { return nil }
        let ends = "\(key.source.address) -> \(key.destination.address)"
        let identification = String(key.identification.bigEndian, radix: 16)
        return MapRow(
            key: "\(IPProtocol(rawValue: key.protocol)) \(ends) identification \(identification)",
            value: "ports \(value.source_port.bigEndian) -> \(value.destination_port.bigEndian) seen \(value.seen_ns)")
    }

    private func learnedAddressRow(_ entry: TableEntry) -> MapRow? {
        guard let key = entry.key.load(apus_learned_key.self), let value = entry.value.load(apus_learned_address.self)
        else { return nil }
        let names = value.learned.map { " name \(hexadecimal(Bytes(of: $0.name.bigEndian))) until \($0.end_ns)" }
        return MapRow(
            key: "policy \(PolicyID(rawValue: key.policy)) \(key.address.address)"
                + (key.part == 0 ? "" : " part \(key.part)"),
            value: "used \(value.used_ns)" + names.joined())
    }

    private func learnedNameRow(_ entry: TableEntry) -> MapRow? {
        guard let key = entry.key.load(UInt64.self), let record = LearnedNameRecord(entry.value) else { return nil }
        return MapRow(
            key: "name \(hexadecimal(Bytes(of: key.bigEndian)))",
            value: "\(record.name) class \(ClassID(rawValue: record.set)) seen \(record.seenAt)")
    }

    private func denialRow(_ entry: TableEntry) -> MapRow? {
        guard let key = entry.key.load(apus_denial_key.self), let value = entry.value.load(apus_denial.self),
            let direction = TrafficDirection(rawValue: key.direction), let reason = DropReason(rawValue: key.reason)
        else { return nil }
        let destination = SocketAddress(key.destination.address, key.destination_port.bigEndian)
        let ends = "\(key.source.address) -> \(destination)"
        let decision = PolicyDecision(abiPolicy: value.policy, rule: value.rule).map { " by \($0)" } ?? ""
        return MapRow(
            key: "\(IPProtocol(rawValue: key.protocol)) \(ends) \(direction.text) \(reason.text)"
                + (key.audited == 0 ? "" : " audited"),
            value: "reported \(value.reported_ns) since then \(value.packets) packets \(value.bytes) bytes\(decision)")
    }
}
