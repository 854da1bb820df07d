import Addressing
import Kubernetes

@testable import Agent

/// Whether random clusters say anything about each field: it must have made a difference somewhere, or at least have
/// been there if it may make none.
struct ServiceCoverage {
    /// What clients, load balancers and `apus status` met.
    enum Event: String, CaseIterable {
        case served, refused, refusedPort, told
        case refusedHere = "refused as no endpoint is on the node"
        case apart = "others served outside than inside"
        case dropped = "dropped outside", droppedAtClusterIP = "dropped outside at a ClusterIP"
        case insideOnly = "a ClusterIP that is for nobody outside"
        case kept = "keeping datagrams of endpoints that get nothing new"
        case limited = "source ranges", shutOut = "the node out of the ranges"
        case table, noTable = "no table"
        case healthy = "endpoints in a health check", unhealthy = "no endpoint in a health check"
        case clusterIP, loadBalancer, externalIP, nodePort
    }

    private(set) var counts: [Event: Int] = [:]
    private var fields: Set<String> = []

    mutating func count(_ event: Event, _ number: Int = 1) { counts[event, default: 0] += number }

    /// Notes the fields that make a difference in the cluster, of those that have made none yet.
    mutating func look(at contest: FrontendContest, _ outcome: FrontendContest.Outcome) {
        for field in Self.deciding where !fields.contains(field.name) {
            var without = contest
            field.remove(&without.cluster)
            if without.outcome != outcome { fields.insert(field.name) }
        }
        for field in Self.present where !fields.contains(field.name) && field.isThere(contest.cluster) {
            fields.insert(field.name)
        }
    }

    /// What no cluster had.
    var missing: [String] {
        Event.allCases.filter { counts[$0] == nil }.map(\.rawValue)
            + (Self.deciding.map(\.name) + Self.present.map(\.name)).filter { !fields.contains($0) }
    }
}

/// The clusters with a field taken away.
extension ServiceCoverage {
    private struct Deciding: Sendable {
        let name: String
        let remove: @Sendable (inout KubeProxyModel) -> Void

        static func service(_ name: String, _ edit: @escaping @Sendable (inout Service) -> Void) -> Deciding {
            Deciding(name: name) { model in
                for key in model.services.keys { edit(&model.services[key]!) }
            }
        }

        static func slice(_ name: String, _ edit: @escaping @Sendable (inout EndpointSlice) -> Void) -> Deciding {
            Deciding(name: name) { model in
                for key in model.slices.keys { edit(&model.slices[key]!) }
            }
        }

        static func endpoint(_ name: String, _ edit: @escaping @Sendable (inout Endpoint) -> Void) -> Deciding {
            slice(name) { slice in
                for index in slice.endpoints.indices { edit(&slice.endpoints[index]) }
            }
        }

        static func port(_ name: String, _ edit: @escaping @Sendable (inout EndpointPort) -> Void) -> Deciding {
            slice(name) { slice in
                for index in slice.ports.indices { edit(&slice.ports[index]) }
            }
        }

        static func node(_ name: String, _ edit: @escaping @Sendable (inout Node) -> Void) -> Deciding {
            Deciding(name: name) { model in
                for key in model.nodes.keys { edit(&model.nodes[key]!) }
            }
        }

        static func setting(_ setting: NodePortAddresses) -> Deciding {
            Deciding(name: "--nodeport-addresses \(setting)") { if $0.nodePorts == setting { $0.nodePorts = .all } }
        }
    }

    private static let deciding: [Deciding] =
        [
            .service("type") { if $0.type == .externalName { $0.type = .clusterIP } },
            .service("clusterIPs") { $0.clusterIPs = Array($0.clusterIPs.prefix(1)) },
            .service("externalIPs") { $0.externalIPs = [] },
            .service("sessionAffinity") { $0.sessionAffinity = .none },
            .service("timeoutSeconds") {
                if $0.sessionAffinity != .none { $0.sessionAffinity = .clientIP(timeoutSeconds: 10800) }
            },
            .service("externalTrafficPolicy") { $0.externalTrafficPolicy = .cluster },
            .service("internalTrafficPolicy") { $0.internalTrafficPolicy = .cluster },
            .service("healthCheckNodePort") { $0.healthCheckNodePort = nil },
            .service("nodePort") { service in
                for index in service.ports.indices { service.ports[index].nodePort = nil }
            },
            .service("ingress") { $0.loadBalancer.ingress = [] },
            .service("ipMode") { service in
                for index in service.loadBalancer.ingress.indices { service.loadBalancer.ingress[index].mode = .vip }
            },
            .service("loadBalancerSourceRanges") { $0.loadBalancer.sourceRanges = [] },
            .service("several loadBalancerSourceRanges") {
                $0.loadBalancer.sourceRanges = Array($0.loadBalancer.sourceRanges.prefix(1))
            },
            .service("service-proxy-name") { $0.meta.labels["service.kubernetes.io/service-proxy-name"] = nil },
            .service("load-balancer-algorithm") { $0.meta.annotations = [:] },
            .service("creationTimestamp") { $0.meta.creationTimestamp = nil },
            .slice("namespace of a slice") { $0.meta.namespace = "shop" },
            .slice("service-name") { $0.meta.labels["kubernetes.io/service-name"] = "s1" },
            .slice("headless slice") { $0.meta.labels["service.kubernetes.io/headless"] = nil },
            .slice("addressType") { if $0.addressType == .fqdn { $0.addressType = .ipv4 } },
            .port("name of a port") { $0.name = "p0" },
            .port("protocol of a port") { $0.ipProtocol = .tcp },
            .port("port without a number") { $0.port = $0.port ?? 8080 },
            .endpoint("several addresses") { $0.addresses.reverse() },
            .endpoint("no address") { if $0.addresses.isEmpty { $0.addresses = [IPAddress("10.9.9.9")!] } },
            .endpoint("ready") { $0.conditions.ready = nil },
            .endpoint("serving") { $0.conditions.serving = nil },
            .endpoint("terminating") { $0.conditions.terminating = nil },
            .endpoint("nodeName") { $0.nodeName = nil },
            .endpoint("forNodes") { $0.nodeHints = [] },
            .endpoint("forZones") { $0.zoneHints = [] },
            .node("zone of the node") { $0.meta.labels = [:] },
            .node("addresses of the node") { $0.addresses = [] },
            .node("kind of the node's addresses") { node in
                node.addresses = node.addresses.map { NodeAddress(.externalIP, $0.address) }
            },
            Deciding(name: "--cluster-ip-from-outside") { $0.servesClusterIPsOutside.toggle() },
        ] + RandomServices.nodePortSettings.filter { $0 != .all }.map(Deciding.setting)
}

/// The clusters that have a field.
extension ServiceCoverage {
    private struct Present: Sendable {
        let name: String
        let isThere: @Sendable (KubeProxyModel) -> Bool

        static func service(_ name: String, _ holds: @escaping @Sendable (Service) -> Bool) -> Present {
            Present(name: name) { model in model.services.values.contains { model.isServed($0) && holds($0) } }
        }

        static func endpoint(_ name: String, _ holds: @escaping @Sendable (Endpoint) -> Bool) -> Present {
            Present(name: name) { $0.slices.values.contains { $0.endpoints.contains(where: holds) } }
        }
    }

    private static let present: [Present] = [
        .service("trafficDistribution") { $0.trafficDistribution != nil },
        .service("loadBalancerClass") { $0.loadBalancer.loadBalancerClass != nil },
        .service("allocateLoadBalancerNodePorts") { !$0.loadBalancer.allocatesNodePorts },
        .service("selector") { !$0.hasSelector },
        .service("targetPort") { $0.ports.contains { $0.targetPort == .name("web") } },
        .service("ipFamilies") { $0.ipFamilies.count == 1 },
        .service("headless label") { $0.meta.labels["service.kubernetes.io/headless"] != nil },
        .service("hostname") { $0.loadBalancer.ingress.contains { $0.hostname != nil } },
        .service("healthCheckNodePort without a check") {
            $0.healthCheckNodePort != nil && $0.externalTrafficPolicy == .cluster
        },
        Present(name: "clusterIP None") { $0.services.values.contains(where: \.isHeadless) },
        Present(name: "publishNotReadyAddresses") { model in
            model.slices.values.contains { slice in
                let service = model.services["\(slice.meta.namespace)/\(slice.serviceName ?? "")"]
                return service?.publishesNotReadyAddresses ?? false
                    && slice.endpoints.contains { $0.conditions.isReady && !$0.conditions.isServing }
            }
        },
        .endpoint("zone") { $0.zone != nil },
        .endpoint("targetRef") { $0.target != nil },
    ]
}
