internal import Addressing
internal import BPF
internal import DatapathABI

/// Records as the data path makes them on a node with a hundred pods in a large cluster, and what the maps know of them:
/// names of rules, and names under which addresses were learned.
struct FlowRecords: ~Copyable {
    /// Every other pod is under a policy that has names.
    private static let (namedPolicy, plainPolicy) = (UInt32(0x00aa_0001), UInt32(0x00aa_0002))
    private static let rules: UInt32 = 20
    private static let internetAddresses = 500

    private let source: BPFMap
    private let writer: BPFProgram

    /// - Parameter maps: where the maps of the data path are pinned.
    init(maps: String) throws {
        let shape = BPFMapShape(
            type: .array, keySize: 4, valueSize: MemoryLayout<apus_event>.size, maxEntries: 1)
        let source = try BPFMap.create(shape, name: "records")
        let ring = try BPFMap.open(pinned: "\(maps)/events")
        let writer = try BPFProgram.load(
            .classifier, instructions: Self.copy(source, to: ring), name: "write_records")
        try Self.nameRules(maps)
        try Self.learnNames(maps)
        self.source = source
        self.writer = writer
    }

    /// Writes records into the ring.
    func submit(_ count: Int) throws {
        let packet = [UInt8](repeating: 0, count: 64)
        for number in 0..<count {
            try source.update(UInt32(0), Self.record(number))
            _ = try writer.testRun(packet: packet)
        }
    }

    /// `if (record = lookup(source, 0)) bpf_ringbuf_output(ring, record, sizeof(*record), BPF_RB_NO_WAKEUP)`; the numbers
    /// are those of Documentation/bpf/standardization.
    private static func copy(_ source: borrowing BPFMap, to ring: borrowing BPFMap) -> [BPFInstruction] {
        let lookUp = [
            BPFInstruction(0x62, destination: 10, offset: -4, immediate: 0),
            BPFInstruction(0xbf, destination: 2, source: 10), BPFInstruction(0x07, destination: 2, immediate: -4),
        ]
        let end = [BPFInstruction(0xb7), BPFInstruction(0x95)]
        let isThere = [
            BPFInstruction(0x85, immediate: 1), BPFInstruction(0x55, offset: 2, immediate: 0),
        ]
        let output = [
            BPFInstruction(0xb7, destination: 3, immediate: Int32(MemoryLayout<apus_event>.size)),
            BPFInstruction(0xb7, destination: 4, immediate: 1), BPFInstruction(0x85, immediate: 130),
        ]
        return lookUp + source.loadAddress(into: 1) + isThere + end
            + [BPFInstruction(0xbf, destination: 2, source: 0)] + ring.loadAddress(into: 1) + output + end
    }

    private static func nameRules(_ maps: String) throws {
        let names = try BPFMap.open(pinned: "\(maps)/names")
        for policy in [namedPolicy, plainPolicy] {
            for rule in 0..<rules {
                var name = apus_name()
                let text = "NetworkPolicy/team-\(rule % 5)/allow-clients-\(policy & 0xf)/ingress/\(rule)"
                withUnsafeMutableBytes(of: &name) { $0.copyBytes(from: text.utf8) }
                try names.update(
                    apus_name_key(kind: apus_name_kind.APUS_NAME_RULE.rawValue, id: policy, index: rule), name)
            }
        }
    }

    private static func learnNames(_ maps: String) throws {
        let pages = try BPFMap.open(pinned: "\(maps)/policy_pages")
        var page = apus_policy_page()
        page.flags = APUS_POLICY_NAMES.rawValue
        try pages.update(apus_policy_page_key(policy: namedPolicy, page: 0), page)
        try pages.update(apus_policy_page_key(policy: plainPolicy, page: 0), apus_policy_page())
        let addresses = try BPFMap.open(pinned: "\(maps)/learned_addresses")
        let names = try BPFMap.open(pinned: "\(maps)/learned_names")
        for number in 0..<internetAddresses {
            var name = apus_learned_name()
            let text = "api-\(number % 100).region-\(number / 100).example.com"
            (name.length, name.holds) = (UInt32(text.utf8.count), 1)
            withUnsafeMutableBytes(of: &name.text) { $0.copyBytes(from: text.utf8) }
            try names.update(UInt64(number + 1), name)
            var address = apus_learned_address()
            address.uses.0 = apus_learned_use(name: UInt64(number + 1), end_ns: .max)
            let key = apus_learned_key(address: internet(number).abi, policy: namedPolicy, part: 0)
            try addresses.update(key, address)
        }
    }

    private static func internet(_ number: Int) -> IPAddress {
        IPAddress(v4: 0xc633_6400 + UInt32(number % internetAddresses))
    }

    /// An opening, the end of the connection, or, every tenth time, a denial.
    private static func record(_ number: Int) -> apus_event {
        var event = apus_event()
        let pod = number / 2 % FlowCluster.localPods
        let policy = pod.isMultiple(of: 2) ? namedPolicy : plainPolicy
        event.time_ns = UInt64(number + 1) * 1000
        (event.source, event.source_port) = (FlowCluster.localPod(pod).abi, UInt16(truncatingIfNeeded: number / 2))
        (event.source_endpoint, event.source_identity) = (UInt32(pod + 1), FlowCluster.number(pod))
        (event.egress_policy, event.egress_rule) = (policy, UInt32(number / 2) % rules)
        event.ingress_rule = noRule
        event.destination_port = UInt16(8080).bigEndian
        event.protocol = IPProtocol.tcp.rawValue
        event.tcp_flags = 0x1b
        (event.forward_packets, event.forward_bytes) = (12, 3000)
        (event.reverse_packets, event.reverse_bytes) = (10, 40_000)
        setDestination(&event, number / 2)
        setKind(&event, number)
        return event
    }

    private static let noRule: UInt32 = 0xffff_ffff

    /// Of twenty connections eight lead to pods of other nodes, four to pods of this one, five to Services and three into
    /// the internet.
    private static func setDestination(_ event: inout apus_event, _ number: Int) {
        let choice = number % 20
        if choice < 8 || choice >= 12 && choice < 17 { event.destination = FlowCluster.pod(number).abi }
        if choice >= 8, choice < 12 {
            let pod = (number * 7) % FlowCluster.localPods
            event.destination = FlowCluster.localPod(pod).abi
            (event.destination_endpoint, event.destination_identity) = (UInt32(pod + 1), FlowCluster.number(pod))
            (event.ingress_policy, event.ingress_rule) = (plainPolicy, UInt32(number) % rules)
        }
        if choice >= 12, choice < 17 {
            (event.frontend, event.frontend_port) = (FlowCluster.service(number).abi, UInt16(80).bigEndian)
        }
        if choice >= 17 { event.destination = internet(number).abi }
    }

    private static func setKind(_ event: inout apus_event, _ number: Int) {
        if number.isMultiple(of: 10) {
            event.kind = UInt8(apus_event_kind.APUS_EVENT_DENIED.rawValue)
            event.reason = UInt8(apus_reason.APUS_REASON_POLICY_ISOLATED.rawValue)
            event.count = 3
        } else if number.isMultiple(of: 2) {
            event.kind = UInt8(apus_event_kind.APUS_EVENT_OPENED.rawValue)
            event.opened_ns = event.time_ns
        } else {
            event.kind = UInt8(apus_event_kind.APUS_EVENT_CLOSED.rawValue)
            event.ending = UInt8(apus_ending.APUS_ENDING_FINISHED.rawValue)
            event.opened_ns = event.time_ns / 2
        }
    }
}

extension IPAddress {
    fileprivate var abi: apus_address { apus_address(high: high.bigEndian, low: low.bigEndian) }
}
