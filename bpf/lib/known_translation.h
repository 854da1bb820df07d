// Which packets go on where their ports were translated to before. Nothing here changes a record.
#pragma once

#include "answer_translation.h"
#include "flow_state.h"
#include "other_port.h"
#include "service.h"

enum translation_state {
	TRANSLATION_NONE, // the packet is not to a Service
	TRANSLATION_KNOWN, // it continues a connection to one
	TRANSLATION_FRESH, // it opens one to flow->service
	TRANSLATION_GONE, // a pod's that continues none, and its Service is gone
	TRANSLATION_ANSWER, // it answers one whose opener the node has sent in its own name
	TRANSLATION_TAKEN, // its port is another connection's, and there is no other one for it
};

#ifndef CLIENTS_OUTSIDE
#error "a program says whether the clients that it leads are outside of the node, or its pods"
#endif

// Whether the packet came in by an uplink, from a client that is no pod of this node: so all do in a program, or none.
// The verifier would follow both.
ALWAYS_INLINE _Bool is_from_outside(void)
{
	return CLIENTS_OUTSIDE;
}

ALWAYS_INLINE void translation_key(const struct packet *packet, struct apus_translation_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->client = packet->source;
	key->frontend = packet->destination;
	key->client_port = packet->source_port;
	key->frontend_port = packet->destination_port;
	key->protocol = packet->protocol;
}

// Points the parsed packet at a backend and finds the connection that it would belong to there.
ALWAYS_INLINE void aim_at(struct flow *flow, const struct apus_address *backend, __u16 port)
{
	flow->packet.destination = *backend;
	flow->packet.destination_port = port;
	flow->found = connection_find(&flow->packet, &flow->key);
}

// The packet has its own port again.
ALWAYS_INLINE void take_own_port(struct flow *flow)
{
	flow->packet.source_port = flow->own_port;
}

ALWAYS_INLINE _Bool is_live(const struct flow *flow)
{
	return flow->found.connection && !(flow->found.connection->flags & APUS_CONNECTION_CLOSED) &&
	       !connection_is_expired(flow->found.connection, flow->key.protocol, flow->now);
}

// Whether the found connection was opened through the packet's frontend. The client's port may have gone to a
// connection of its own to the backend, or to one through another frontend: neither is this packet's.
ALWAYS_INLINE _Bool came_through_frontend(const struct flow *flow)
{
	const struct apus_connection *connection = flow->found.connection;

	return connection->flags & APUS_CONNECTION_TRANSLATED && connection->frontend_port == flow->frontend_port &&
	       address_equal(&connection->frontend, &flow->frontend);
}

// Whether the packet goes on with the found connection.
ALWAYS_INLINE _Bool is_own(const struct flow *flow)
{
	return flow->found.connection && came_through_frontend(flow) && continues(flow);
}

// Whether the opener of the found connection has the node's port that the packet came to.
ALWAYS_INLINE _Bool has_port_of_packet(const struct flow *flow)
{
	return flow->found.connection && flow->found.connection->source_port == flow->frontend_port;
}

// Whether the packet answers the found connection, in which the other end has met the node instead of the opener.
ALWAYS_INLINE _Bool is_answer_to_node(const struct flow *flow)
{
	return is_from_outside() && has_port_of_packet(flow) && !is_from_opener(&flow->found) && continues(flow);
}

// Whether the found connection lives on although the Service is gone that it was opened through. That of TCP or SCTP
// does, as kube-proxy has it, once it was answered: a SYN alone does not end it, but goes where the connection is,
// whose answer its client resets if it knows nothing of it any more (RFC 5961, section 4); an INIT takes an association
// up again that its client has lost (RFC 9260, section 5.2.4.1). A datagram belongs to nothing but what its address
// stands for now.
ALWAYS_INLINE _Bool outlives_service(const struct flow *flow)
{
	return tells_openings(flow->packet.protocol) &&
	       (!is_connection_opening(&flow->packet) ||
		!(flow->found.connection->flags & (APUS_CONNECTION_UNANSWERED | APUS_CONNECTION_CLOSED)));
}

// Whether nobody here sees the answers of the found connection's other end, and so not its resets either.
ALWAYS_INLINE _Bool is_wrapped(const struct flow *flow)
{
	const struct apus_connection *connection = flow->found.connection;

	return connection && (connection->sides[0].flags | connection->sides[1].flags) & APUS_SIDE_WRAPPED;
}

// Whether the packet was led to what serves no more, its Service in the case of UDP and none at all in others', and can
// go to another one: a datagram, which nothing tells from the first of a client, or an INIT, as peers of SCTP mostly
// have a port that does not change.
ALWAYS_INLINE _Bool is_cut_off(const struct flow *flow, const struct apus_translation *known)
{
	const struct apus_backend *backend;

	if (!known->backend_index ||
	    !(flow->packet.protocol == IPPROTO_UDP || (flow->service && is_connection_opening(&flow->packet) &&
						       (flow->packet.chunk == SCTP_INIT || is_wrapped(flow)))))
		return 0;
	backend = serving_backend_at(known->backend_index);
	return !backend || backend->protocol != flow->packet.protocol || backend->port != known->backend_port ||
	       !address_equal(&backend->address, &known->backend);
}

// Whether the packet goes on to the backend that its ports were translated to before, which it is pointed at.
ALWAYS_INLINE enum translation_state continue_known(struct flow *flow, const struct apus_translation_key *key,
						    const struct apus_translation *known)
{
	flow->frontend = key->frontend;
	flow->frontend_port = key->frontend_port;
	flow->packet.source_port = known_port(key, known, flow->now);
	aim_at(flow, &known->backend, known->backend_port);
	// A closed one has stragglers: they go where the connection was, not to another backend.
	if (is_own(flow) && !is_cut_off(flow, known) && (flow->service || !is_from_outside() || outlives_service(flow)))
		return TRANSLATION_KNOWN;
	return is_answer_to_node(flow) ? TRANSLATION_ANSWER : TRANSLATION_NONE;
}

// Whether the packet of a client outside, or one that comes from a backend, goes on where its ports were translated to
// whatever has become of the Service: only what opens asks for that, and the client's datagrams. Those to a port that
// the node gives away are answers.
ALWAYS_INLINE _Bool goes_on_without_service(const struct flow *flow)
{
	if (!is_from_outside() || unlikely(is_connection_opening(&flow->packet)))
		return 0;
	return tells_openings(flow->packet.protocol) || is_source_port(flow->packet.destination_port);
}

// Whether the packet's sender can't use the frontend: another namespace's loopback is its own, and ClusterIPs may be
// for those inside alone.
ALWAYS_INLINE _Bool is_not_for_sender(const struct apus_service *service)
{
	return service->flags & APUS_SERVICE_NODE_ONLY ||
	       // The kind of a ClusterIP is 0: as one condition it is followed once.
	       (is_from_outside() && !(service->kind | (service->flags & APUS_SERVICE_FOR_OUTSIDE)));
}

// Whether the frontend is for nobody who is where the sender is, by a look at its entry alone: that which was found may
// have become another frontend's.
COLD int is_closed_frontend(const struct flow *flow, const struct apus_translation_key *key)
{
	const struct apus_service *service;

	if (!flow || !key || flow->cut_off)
		return 1;
	service = service_settled(&key->frontend, key->frontend_port, key->protocol);
	return !service || is_not_for_sender(service);
}

// A Service whose frontend the sender can't use is none to it.
ALWAYS_INLINE void leave_others_service(struct flow *flow, const struct apus_translation_key *key)
{
	if (flow->service && unlikely(is_not_for_sender(flow->service)) && is_closed_frontend(flow, key))
		flow->service = NULL;
}
