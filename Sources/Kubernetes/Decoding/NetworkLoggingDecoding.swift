extension NetworkLogging {
    init(_ fields: Fields, meta: ObjectMeta) throws(FieldError) {
        self = try fields.within("spec") { (spec) throws(FieldError) in
            try spec.within("cluster") { (cluster) throws(FieldError) in
                NetworkLogging(
                    meta: meta, allow: try cluster.optional("allow", Choice.init) ?? Choice(),
                    deny: try cluster.optional("deny", Choice.init) ?? Choice())
            }
        }
    }
}

extension NetworkLogging.Choice {
    fileprivate init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        self.init(
            log: try fields.optional("log", Read.boolean) ?? false,
            delegate: try fields.optional("delegate", Read.boolean) ?? false)
        if delegate && !log { throw FieldError("needs log: true").inside(.field("delegate")) }
    }
}
