package import GRPCCore
package import HubbleFlows

extension RequestError: RPCErrorConvertible {
    package var rpcErrorCode: RPCError.Code { .invalidArgument }
    package var rpcErrorMessage: String { description }
    package var rpcErrorMetadata: Metadata { [:] }
}
