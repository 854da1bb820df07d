import Testing

/// What packets meet: tests with real sockets and the real agent, one lab after the other.
@Suite(.serialized) enum TrafficTests {}

/// What the agent does over its life: likewise one after the other, beside the others.
@Suite(.serialized) enum AgentLifeTests {}

/// How pods are connected, by CNI, between nodes and with the world, and what crosses nodes: likewise.
@Suite(.serialized) enum PodNetworkTests {}

/// What domain names admit: likewise.
@Suite(.serialized) enum NameLabTests {}
