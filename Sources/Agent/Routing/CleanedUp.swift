/// What was removed of a node.
public struct CleanedUp: Sendable, Hashable {
    public var pins: [String] = []
    public var sockets: [String] = []
    /// How many routes to the pods of other nodes.
    public var routes = 0
    /// The devices that led to them.
    public var overlays: [String] = []

    /// Removes routes and devices too.
    func withRouting() throws -> CleanedUp {
        var kernel = try RoutingKernel()
        var all = self
        all.routes = try kernel.removeRoutes()
        all.overlays = try kernel.removeOverlays(except: nil)
        return all
    }
}
