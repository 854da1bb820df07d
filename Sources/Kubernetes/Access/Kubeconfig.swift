extension ClusterAccess {
    /// Access as the current context of a kubeconfig file has it.
    package static func kubeconfig(_ path: String) throws(AccessError) -> ClusterAccess {
        let bytes = try AccessFile.read(path, as: "the kubeconfig")
        do throws(FieldError) {
            return try Kubeconfig(bytes, path: path).access()
        } catch {
            throw AccessError([path, error.path, error.message].compactMap { $0 }.joined(separator: ": "))
        }
    }
}

/// A kubeconfig file: the parts of it that say how to reach one API server.
private struct Kubeconfig {
    let root: Fields
    /// What names of files in it are relative to.
    let directory: String

    init(_ bytes: [UInt8], path: String) throws(FieldError) {
        let value: ManifestValue?
        do throws(YAMLParser.Failure) { value = try YAMLParser.parse(bytes[...]) } catch {
            throw FieldError(error.line.map { "line \($0): \(error.message)" } ?? error.message)
        }
        root = try Fields(value ?? .null)
        directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }

    func access() throws(FieldError) -> ClusterAccess {
        let current = try root.required("current-context", Read.nonEmptyString)
        let names = try entry("contexts", named: current, "context") { (context) throws(FieldError) in
            (
                cluster: try context.required("cluster", Read.nonEmptyString),
                user: try context.optional("user", Read.string) ?? ""
            )
        }
        var access = try entry("clusters", named: names.cluster, "cluster", cluster)
        if names.user.isEmpty { return access }
        (access.token, access.certificate) = try entry("users", named: names.user, "user") {
            (user) throws(FieldError) in
            try refuseUnsupported(user)
            return (try token(user), try certificate(user))
        }
        return access
    }

    /// What `read` makes of the entry with a name in one of the file's lists.
    private func entry<T>(
        _ list: String, named name: String, _ field: String, _ read: (Fields) throws(FieldError) -> T
    ) throws(FieldError) -> T {
        let found = try root.list(list) { (value) throws(FieldError) -> T? in
            let entry = try Fields(value)
            guard try entry.required("name", Read.string) == name else { return nil }
            return try entry.within(field, read)
        }
        guard let first = found.compactMap({ $0 }).first else {
            throw FieldError("there is none named \"\(name)\"").inside(.field(list))
        }
        return first
    }

    private func cluster(_ cluster: Fields) throws(FieldError) -> ClusterAccess {
        for field in ["proxy-url", "tls-server-name"] where try !(cluster.optional(field, Read.string) ?? "").isEmpty {
            throw FieldError("is not supported").inside(.field(field))
        }
        let server = try cluster.required("server") { (value) throws(FieldError) in
            let text = try Read.nonEmptyString(value)
            guard text.hasPrefix("https://") || text.hasPrefix("http://") else {
                throw .expected("an address that begins with https://", got: value)
            }
            return text.hasSuffix("/") ? String(text.dropLast()) : text
        }
        if try cluster.optional("insecure-skip-tls-verify", Read.boolean) ?? false {
            return ClusterAccess(server: server, authority: .anybody)
        }
        let authority = try bytes(cluster, "certificate-authority")
        return ClusterAccess(server: server, authority: authority.map(ClusterAccess.Authority.certificates) ?? .system)
    }

    /// The ways to be let in that are not there: a program to run, a plugin, a password.
    private func refuseUnsupported(_ user: Fields) throws(FieldError) {
        for field in ["exec", "auth-provider"] where !(user.object[field]?.isNull ?? true) {
            throw FieldError(
                "is not supported: use a token, a tokenFile or a client certificate, as of a ServiceAccount"
            ).inside(.field(field))
        }
        for field in ["username", "password"] where try !(user.optional(field, Read.string) ?? "").isEmpty {
            throw FieldError("is not supported, nor is it by API servers").inside(.field(field))
        }
    }

    private func token(_ user: Fields) throws(FieldError) -> ClusterAccess.Token? {
        if let file = try user.optional("tokenFile", Read.nonEmptyString) { return .file(path(file)) }
        let token = try user.optional("token", Read.string) ?? ""
        return token.isEmpty ? nil : .text(token)
    }

    private func certificate(_ user: Fields) throws(FieldError) -> ClusterAccess.ClientCertificate? {
        switch (try bytes(user, "client-certificate"), try bytes(user, "client-key")) {
        case (let certificates?, let key?): return ClusterAccess.ClientCertificate(certificates: certificates, key: key)
        case (nil, nil): return nil
        case (_?, nil): throw FieldError("required with client-certificate").inside(.field("client-key"))
        case (nil, _?): throw FieldError("required with client-key").inside(.field("client-certificate"))
        }
    }

    /// What stands in the file as `FIELD-data`, or else in the file that `FIELD` names.
    private func bytes(_ fields: Fields, _ field: String) throws(FieldError) -> [UInt8]? {
        let inline = try fields.optional("\(field)-data") { (value) throws(FieldError) in
            guard let bytes = AccessFile.decodeBase64(try Read.string(value)) else { throw FieldError("is no base64") }
            return bytes
        }
        if let inline, !inline.isEmpty { return inline }
        return try fields.optional(field) { (value) throws(FieldError) in
            let path = path(try Read.nonEmptyString(value))
            do throws(AccessError) { return try AccessFile.read(path, as: "it") } catch {
                throw FieldError(error.description)
            }
        }
    }

    private func path(_ written: String) -> String { written.hasPrefix("/") ? written : directory + written }
}
