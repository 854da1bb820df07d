extension ClusterAccess {
    /// Where Kubernetes puts what a pod's ServiceAccount has.
    package static let serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// Access as a pod of the cluster has it.
    /// - Parameters:
    ///   - environment: looks up a variable.
    ///   - directory: where the token and the certificate authority of the ServiceAccount are.
    package static func inCluster(
        environment: (String) -> String?, directory: String = serviceAccountDirectory
    ) throws(AccessError) -> ClusterAccess {
        guard let host = environment("KUBERNETES_SERVICE_HOST"), !host.isEmpty,
            let port = environment("KUBERNETES_SERVICE_PORT"), !port.isEmpty
        else {
            if environment("KUBERNETES_SERVICE_HOST") == "" {
                throw AccessError(
                    "KUBERNETES_SERVICE_HOST is empty: set it to an address of the API server that needs no Service, "
                        + "in the ConfigMap of the agent")
            }
            throw AccessError(
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is no pod of a cluster: name "
                    + "a source with --kubeconfig or --manifests")
        }
        let token = Token.file("\(directory)/token")
        // What is missing at the start is told at the start.
        _ = try token.read()
        let authority = try AccessFile.read("\(directory)/ca.crt", as: "the cluster's certificate authority")
        let name = host.contains(":") ? "[\(host)]" : host
        return ClusterAccess(server: "https://\(name):\(port)", authority: .certificates(authority), token: token)
    }
}
