internal import GRPCCore

/// What is wrong with a request, by the path of the field.
struct RequestError: Error, RPCErrorConvertible {
    let field: String
    let problem: String

    init(_ field: String, _ problem: String) {
        self.field = field
        self.problem = problem
    }

    var rpcErrorCode: RPCError.Code { .invalidArgument }
    var rpcErrorMessage: String { "\(field): \(problem)" }
    var rpcErrorMetadata: Metadata { [:] }
}

extension RequestError: CustomStringConvertible {
    var description: String { rpcErrorMessage }
}
