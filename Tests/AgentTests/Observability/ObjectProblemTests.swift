import Kubernetes
import LoadBalancing
import NetworkPolicy
import Testing

@testable import Agent
@testable import Datapath

@Suite struct ObjectProblems {
    @Test(arguments: [
        ("service shop/cart/http (TCP 10.96.0.10:80)", "Service", "shop", "cart"),
        ("service shop/cart (TCP 10.96.0.10:80)", "Service", "shop", "cart"),
        ("endpoint shop/web-1", "Pod", "shop", "web-1"),
        ("policy NetworkPolicy/shop/web/ingress/0 7", "NetworkPolicy", "shop", "web"),
        ("FQDNNetworkPolicy/shop/web", "FQDNNetworkPolicy", "shop", "web"),
        ("ClusterNetworkPolicy/guard", "ClusterNetworkPolicy", "", "guard"),
        ("policy ClusterNetworkPolicy//guard/ingress/0/name 7", "ClusterNetworkPolicy", "", "guard"),
    ])
    func entriesOfMapsBelongToObjects(text: String, kind: String, namespace: String, name: String) {
        #expect(ObjectReference(datapath: text) == ObjectReference(kind: kind, namespace: namespace, name: name))
    }

    @Test(arguments: [
        "", "peer 10.0.0.1", "endpoint slot 7", "endpoint address 10.0.0.1", "service - (TCP 10.96.0.10:80)",
        "policy 7", "names 3", "datapath_info 0", "FQDNNetworkPolicy/web", "NetworkPolicy/", "Pod/shop/web-1",
    ])
    func othersBelongToNoSingleOne(text: String) { #expect(ObjectReference(datapath: text) == nil) }

    @Test func whatLoadBalancingNamesIsRead() {
        let slice = ObjectReference(kind: "EndpointSlice", namespace: "shop", name: "cart-x7")
        #expect(ObjectReference(words: "EndpointSlice shop/cart-x7") == slice)
        #expect(ObjectReference(words: "EndpointSlice") == nil)
        #expect(ObjectReference(words: "a b/c d") == nil)
    }

    @Test func whatAFieldDoesToManyPodsIsOneProblem() {
        let policy = PolicyName(kind: .networkPolicy, namespace: "a", name: "b")
        let problems = ["pod a/1 has too many rules", "pod a/2 has too many rules"].map {
            ObjectProblem(PolicyProblem(object: policy, field: "spec.ingress", message: $0))
        }
        #expect(problems[0].key == problems[1].key && problems[0] != problems[1])
    }

    @Test func everyPlaceOfTroubleHasAReason() {
        let pod = PodKey(namespace: "shop", name: "web-1")
        let full = MapError(code: 7, description: "full")
        let broken = MapError(code: 1, description: "no")
        let found: [ObjectProblem.Reason?] = [
            ObjectProblem(
                SourceDiagnostic(
                    .invalidObject, source: "a", key: ObjectKey(.pod, namespace: "a", name: "b"), message: "m"))?
                .reason,
            ObjectProblem(SourceDiagnostic(.syntax, source: "a", message: "no object"))?.reason,
            ObjectProblem(
                PolicyProblem(
                    object: PolicyName(kind: .networkPolicy, namespace: "a", name: "b"), field: "spec", message: "m")
            ).reason,
            ObjectProblem(ServiceProblem(object: "Service a/b", reason: "r"))?.reason,
            ObjectProblem(pod, .uplink("eth0")).reason,
            ObjectProblem(DatapathProblem(object: "endpoint a/b", reason: .endpointsExhausted))?.reason,
            ObjectProblem(DatapathProblem(object: "endpoint a/b", reason: .refused(.endpoints, full)))?.reason,
            ObjectProblem(DatapathProblem(object: "endpoint a/b", reason: .refused(.endpoints, broken)))?.reason,
            ObjectProblem(DatapathProblem(object: "endpoint a/b", reason: .closed(.ingress, policy: "p")))?.reason,
            ObjectProblem(
                DatapathProblem(
                    object: "FQDNNetworkPolicy/a/b", reason: .patternRefused("*.a.test", field: nil, states: 9)))?
                .reason,
            ObjectProblem(DatapathProblem(object: "ClusterNetworkPolicy/b", reason: .names(broken)))?.reason,
            ObjectProblem(pod, notAttached: "no").reason,
        ]
        #expect(
            found == [
                .invalid, nil, .invalid, .invalid, .noInterface, .mapFull, .mapFull, .refused, .closed, .invalid,
                .refused,
                .notAttached,
            ])
    }
}
