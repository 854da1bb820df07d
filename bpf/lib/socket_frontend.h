// Which Service a packet was for, where its destination was translated at the socket that sent it.
#pragma once

#include "flow.h"
#include "socket.h"

// What the sending socket was led through to the packet's destination; NULL: nothing is known of it.
ALWAYS_INLINE const struct apus_socket_translation *translation_at_socket(struct __sk_buff *skb,
									  const struct packet *packet)
{
	struct bpf_sock *socket = skb->sk;
	struct socket_destination backend;

	socket = socket ? bpf_sk_fullsock(socket) : NULL;
	if (!socket)
		return NULL;
	backend.address = packet->destination;
	backend.port = packet->destination_port;
	return translation_of_backend(socket, packet->protocol == IPPROTO_TCP ? bpf_get_socket_cookie(skb) : 0,
				      &backend);
}

enum {
	DETAIL_LED_ON = 1, // in `detail` of a connection of datagrams
};

// The record of the sending socket, if it was connected to the packet's destination through a Service; NULL: it was
// not. One that sends without connecting is asked about at its hook, and may send to the same address by itself, too.
ALWAYS_INLINE struct apus_socket_translation *connection_at_socket(struct __sk_buff *skb, const struct packet *packet)
{
	struct socket_destination backend = {.address = packet->destination, .port = packet->destination_port};
	struct apus_socket_translation *entry;
	struct bpf_sock *socket = skb->sk;

	socket = socket ? bpf_sk_fullsock(socket) : NULL;
	entry = socket ? bpf_sk_storage_get(&connected_sockets, socket, NULL, 0) : NULL;
	return entry && is_backend_of(entry, &backend) ? entry : NULL;
}

// Whether the Service leads to the backend again, or has it under another index since; the record gets that.
ALWAYS_INLINE _Bool is_back(const struct apus_service *service, struct apus_socket_translation *entry)
{
	__u32 index = backend_index_of(service, 0, &entry->backend);
	const struct apus_backend *backend = backend_at(index);

	if (!backend || backend->port != entry->backend_port)
		return 0;
	entry->backend_index = index;
	return 1;
}

// A datagram of a socket that was connected at the socket's hooks: the kernel asks no program about it again, and it
// goes on to a backend that serves no more. From here on it is led to another one packet by packet, the former one's
// address being the frontend: from there the socket takes answers (docs/decisions/0015).
//
// A socket that has connected anew, from the same port, to where it was led like this before needs it no more.
COLD int find_cut_off(struct __sk_buff *skb, struct flow *flow)
{
	struct apus_connection *connection;
	struct apus_socket_translation *entry;
	const struct apus_backend *backend;
	const struct apus_service *service;

	if (!flow)
		return 0;
	connection = flow->found.connection;
	entry = connection_at_socket(skb, &flow->packet);
	if (!entry)
		return 0;
	backend = backend_used_before(entry);
	service = NULL;
	if (!backend || backend->protocol != IPPROTO_UDP) {
		service = service_settled(&entry->frontend, entry->frontend_port, IPPROTO_UDP);
		if (!service || !is_back(service, entry))
			flow->cut_off = 1;
	}
	if (likely(!flow->cut_off)) {
		if (connection && connection->flags & APUS_CONNECTION_TRANSLATED)
			leave_connection(flow);
		else if (connection)
			connection->detail = 0;
		return 0;
	}
	// Where names are learned it matters who answers: a resolver's client asks anew when it is refused.
	flow->service = entry->frontend_port == DNS_PORT && names_in_force() ? NULL : service;
	// The connection with the former one is over, which nobody says: it expires.
	if (connection && !(connection->flags & APUS_CONNECTION_TRANSLATED))
		connection->detail = DETAIL_LED_ON;
	flow->found.connection = NULL;
	return 0;
}

// Whether it is time to look after that: with what opens, and then in each step of the coarse clock.
ALWAYS_INLINE _Bool may_be_cut_off(const struct flow *flow)
{
	const struct apus_connection *connection = flow->found.connection;

	if (flow->packet.protocol != IPPROTO_UDP)
		return 0;
	if (!connection)
		return 1;
	if (!is_from_opener(&flow->found))
		return 0;
	if (connection->flags & APUS_CONNECTION_TRANSLATED)
		return 1;
	return connection->flags & APUS_CONNECTION_SOCKET_TRANSLATED &&
	       (connection->detail || connection->last_seen_ns < flow->now);
}

// The frontend that was asked for at the sending socket, if it was translated there: a record for the flow event. The
// socket's choice holds for packets of the same client too, and its namespace is that of the pod from here on.
COLD int note_socket_frontend(struct __sk_buff *skb, struct flow *flow)
{
	const struct apus_socket_translation *entry;

	if (!flow || !flow->source.endpoint)
		return 0;
	entry = translation_at_socket(skb, &flow->packet);
	if (!entry)
		return 0;
	flow->frontend = entry->frontend;
	flow->frontend_port = entry->frontend_port;
	flow->connection_flags |= APUS_CONNECTION_SOCKET_TRANSLATED;
	learn_namespace(entry->network_namespace, flow->source.slot, flow->source.endpoint->identity);
	if (unlikely(entry->affinity))
		affinity_note(&flow->packet.source, entry->affinity, &entry->backend, flow->now);
	return 0;
}
