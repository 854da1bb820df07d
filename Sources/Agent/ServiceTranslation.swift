internal import Addressing
internal import Kubernetes
internal import LoadBalancing

extension ServiceInput {
    /// What a Kubernetes object says to load balancing on a node; nil for those that say nothing.
    init?(_ object: KubernetesObject, on node: String) {
        switch object {
        case .service(let service): self = .upsertService(ServiceDefinition(service))
        case .endpointSlice(let slice): self = .upsertSlice(EndpointSliceDefinition(slice))
        case .node(let object) where object.meta.name == node: self = .nodeZone(object.zone)
        case .namespace, .node, .pod, .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy, .networkLogging:
            return nil
        }
    }

    /// What the deletion of an object says to load balancing on a node.
    init?(deleted key: ObjectKey, on node: String) {
        switch key.kind {
        case .service: self = .removeService(ServiceName(namespace: key.namespace, name: key.name))
        case .endpointSlice: self = .removeSlice(SliceName(namespace: key.namespace, name: key.name))
        case .node where key.name == node: self = .nodeZone(nil)
        case .namespace, .node, .pod, .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy, .networkLogging:
            return nil
        }
    }
}

extension ServiceDefinition {
    init(_ service: Service) {
        self.init(
            name: ServiceName(namespace: service.meta.namespace, name: service.meta.name), uid: service.meta.uid,
            creationTimestamp: service.meta.creationTimestamp, kind: Kind(service.type),
            clusterIPs: service.isHeadless ? [] : service.clusterIPs,
            externalIPs: service.externalIPs, loadBalancerIPs: service.loadBalancer.virtualAddresses,
            sourceRanges: service.loadBalancer.sourceRanges,
            ports: service.ports.map {
                Port(name: $0.name, ipProtocol: $0.ipProtocol, port: $0.port, nodePort: $0.nodePort)
            },
            proxyName: service.proxyName, isInternalTrafficLocal: service.internalTrafficPolicy == .local,
            isExternalTrafficLocal: service.externalTrafficPolicy == .local,
            healthCheckNodePort: service.healthCheckNodePort,
            affinitySeconds: service.sessionAffinity.seconds,
            algorithm: service.meta.annotations[SelectionAlgorithm.annotation])
    }
}

extension Kubernetes.LoadBalancer {
    /// Those that packets have as their destination when they come to a node.
    var virtualAddresses: [IPAddress] { ingress.filter { $0.mode == .vip }.compactMap(\.address) }
}

extension SessionAffinity {
    /// How long a client keeps its backend; nil: it keeps none.
    fileprivate var seconds: UInt32? {
        switch self {
        case .none: nil
        case .clientIP(let timeoutSeconds): UInt32(clamping: timeoutSeconds)
        }
    }
}

extension ServiceDefinition.Kind {
    init(_ type: Service.ServiceType) {
        switch type {
        case .clusterIP: self = .clusterIP
        case .nodePort: self = .nodePort
        case .loadBalancer: self = .loadBalancer
        case .externalName: self = .externalName
        }
    }
}

extension EndpointSliceDefinition {
    init(_ slice: EndpointSlice) {
        self.init(
            name: SliceName(namespace: slice.meta.namespace, name: slice.meta.name),
            service: slice.serviceName.map { ServiceName(namespace: slice.meta.namespace, name: $0) },
            family: Family(slice.addressType),
            ports: slice.ports.map { Port(name: $0.name, ipProtocol: $0.ipProtocol, port: $0.port) },
            endpoints: slice.endpoints.map(Endpoint.init), isHeadless: slice.isForHeadlessService)
    }
}

extension EndpointSliceDefinition.Family {
    init(_ type: EndpointSlice.AddressType) {
        switch type {
        case .ipv4: self = .ipv4
        case .ipv6: self = .ipv6
        case .fqdn: self = .fqdn
        }
    }
}

extension EndpointSliceDefinition.Endpoint {
    init(_ endpoint: Kubernetes.Endpoint) {
        self.init(
            addresses: endpoint.addresses, ready: endpoint.conditions.ready, serving: endpoint.conditions.serving,
            terminating: endpoint.conditions.terminating, nodeName: endpoint.nodeName, zone: endpoint.zone,
            nodeHints: endpoint.nodeHints, zoneHints: endpoint.zoneHints)
    }
}
