package import AgentAPI
package import Datapath
package import Flows

/// What the pinned maps tell, as the rows that the commands print.
///
/// Nothing here needs the agent; names come from the maps themselves.
package protocol DatapathView: Sendable {
    func status() throws -> DatapathStatus
    func endpoints() throws -> [EndpointRow]
    func services() throws -> [ServiceRow]
    func policies() throws -> [PolicyRow]
    /// What an endpoint's policy says of a packet; nil when no endpoint of this node has the address.
    func judge(_ question: VerdictQuestion) throws -> PolicyJudgement?
    /// The patterns of names in policies, with what was learned under each.
    func domains() throws -> [DomainRow]
    /// What is known of a name, which is in lower case and without a trailing dot.
    func domain(named name: String) throws -> DomainExplanation
    func connections() throws -> [ConnectionRow]
    func maps() throws -> [MapRow]
    /// The entries of a map; throws when there is no such map.
    func dump(_ map: String) throws -> [MapEntryRow]
    /// The newest flows that match, oldest first, as far as the ring buffer remembers them.
    func flows(last: Int, _ filter: FlowFilter) throws -> [Flow]
}
