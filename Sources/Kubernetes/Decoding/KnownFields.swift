/// The fields that a part of an object may have, as Kubernetes 1.36 defines them, and only as deep as Apus reads.
///
/// A manifest has no API server to refuse a misspelt field. Outside of policies, which refuse it themselves, it is told.
indirect enum KnownFields: Sendable {
    /// Apus does not look into it.
    case anything
    case object([String: KnownFields])
    case list(KnownFields)

    /// An object with fields that are read, and with others that are known and left alone.
    static func object(_ others: String, read: [String: KnownFields] = [:]) -> KnownFields {
        let leaves = others.split(whereSeparator: \.isWhitespace).map { (String($0), KnownFields.anything) }
        return .object(read.merging(leaves) { field, _ in field })
    }

    /// The ways to the fields of a value that are not known, as errors that name them.
    func unknown(in value: ManifestValue) -> [FieldError] {
        switch (self, value) {
        case (.object(let fields), .object(let object)):
            object.members.flatMap { member in
                let found = fields[member.name]?.unknown(in: member.value) ?? [FieldError("is not known, and ignored")]
                return found.map { $0.inside(.field(member.name)) }
            }
        case (.list(let entry), .list(let entries)):
            entries.enumerated().flatMap { index, value in entry.unknown(in: value).map { $0.inside(.index(index)) } }
        default:
            []
        }
    }
}

extension KnownFields {
    /// Those of a whole object; made once, as every object of a manifest is looked at.
    static func of(_ kind: ObjectKind) -> KnownFields { byKind[kind] ?? .anything }

    private static let byKind = Dictionary(uniqueKeysWithValues: ObjectKind.allCases.map { ($0, whole($0)) })

    private static func whole(_ kind: ObjectKind) -> KnownFields {
        switch kind {
        case .namespace, .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy: whole("spec status")
        case .networkLogging: whole("status", read: ["spec": loggingSpec])
        case .node: whole(read: ["spec": nodeSpec, "status": nodeStatus])
        case .pod: whole(read: ["spec": podSpec, "status": podStatus])
        case .service: whole(read: ["spec": serviceSpec, "status": serviceStatus])
        case .endpointSlice: whole("addressType", read: ["endpoints": .list(endpoint), "ports": .list(endpointPort)])
        }
    }

    private static func whole(_ others: String = "", read: [String: KnownFields] = [:]) -> KnownFields {
        .object("apiVersion kind \(others)", read: read.merging(["metadata": metadata]) { field, _ in field })
    }

    private static let metadata = object(
        """
        name generateName namespace selfLink uid resourceVersion generation creationTimestamp deletionTimestamp
        deletionGracePeriodSeconds labels annotations finalizers managedFields
        """,
        read: ["ownerReferences": .list(.object("apiVersion kind name uid controller blockOwnerDeletion"))])

    private static let loggingSpec = object(
        "node",
        read: [
            "cluster": .object(
                "flow flowAggregationSeconds",
                read: ["allow": .object("log delegate"), "deny": .object("log delegate")])
        ])

    private static let nodeSpec = object("configSource externalID podCIDR podCIDRs providerID taints unschedulable")

    private static let nodeStatus = object(
        """
        allocatable capacity conditions config daemonEndpoints declaredFeatures features images nodeInfo phase
        runtimeHandlers volumesAttached volumesInUse
        """, read: ["addresses": .list(.object("address type"))])

    private static let podSpec = object(
        """
        activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks
        ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride imagePullSecrets
        nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims
        resources restartPolicy runtimeClassName schedulerName schedulingGates schedulingGroup securityContext
        serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain
        terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes workloadRef
        """, read: ["containers": .list(container), "initContainers": .list(container)])

    private static let container = object(
        """
        args command env envFrom image imagePullPolicy lifecycle livenessProbe name readinessProbe resizePolicy resources
        restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath
        terminationMessagePolicy tty volumeDevices volumeMounts workingDir
        """, read: ["ports": .list(.object("containerPort hostIP hostPort name protocol"))])

    private static let podStatus = object(
        """
        allocatedResources conditions containerStatuses ephemeralContainerStatuses extendedResourceClaimStatus hostIP
        hostIPs initContainerStatuses message nominatedNodeName observedGeneration phase podIP qosClass reason resize
        resourceClaimStatuses resources startTime
        """, read: ["podIPs": .list(.object("ip"))])

    private static let serviceSpec = object(
        """
        allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName externalTrafficPolicy
        healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP
        loadBalancerSourceRanges publishNotReadyAddresses selector sessionAffinity trafficDistribution type
        """,
        read: [
            "ports": .list(.object("appProtocol name nodePort port protocol targetPort")),
            "sessionAffinityConfig": .object("", read: ["clientIP": .object("timeoutSeconds")]),
        ])

    private static let serviceStatus = object(
        "conditions",
        read: ["loadBalancer": .object("", read: ["ingress": .list(.object("hostname ip ipMode ports"))])])

    private static let endpoint = object(
        "addresses deprecatedTopology hostname nodeName zone",
        read: [
            "conditions": .object("ready serving terminating"),
            "hints": .object("", read: ["forZones": .list(.object("name")), "forNodes": .list(.object("name"))]),
            "targetRef": .object("apiVersion fieldPath kind name namespace resourceVersion uid"),
        ])

    private static let endpointPort = object("appProtocol name port protocol")
}
