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

// A datagram of a socket that was connected at the socket's hooks: the kernel asks no program about it again, and it
// goes on to a backend that serves no more. From here on it is led to another one packet by packet, the former one's
// address being the frontend: from there the socket takes answers (docs/decisions/0015).
//
// A socket that has connected anew, from the same port, to where it was led like this before needs it no more.
COLD int find_cut_off(struct __sk_buff *skb, struct flow *flow)
{
	const struct apus_socket_translation *entry;

	if (!flow)
		return 0;
	entry = translation_at_socket(skb, &flow->packet);
	if (!entry)
		return 0;
	if (likely(backend_used_before(entry))) {
		if (flow->found.connection && flow->found.connection->flags & APUS_CONNECTION_TRANSLATED &&
		    is_from_opener(&flow->found))
			leave_connection(flow);
		return 0;
	}
	flow->cut_off = 1;
	flow->service = service_find(&entry->frontend, entry->frontend_port, IPPROTO_UDP);
	// The connection with the former one is over, which nobody says: it expires.
	flow->found.connection = NULL;
	return 0;
}

// Whether it is time to look after that: with what opens, and then in each step of the coarse clock.
ALWAYS_INLINE _Bool may_be_cut_off(const struct flow *flow)
{
	const struct apus_connection *connection = flow->found.connection;

	if (flow->packet.protocol != IPPROTO_UDP)
		return 0;
	if (!connection || connection->flags & APUS_CONNECTION_TRANSLATED)
		return 1;
	return connection->flags & APUS_CONNECTION_SOCKET_TRANSLATED && connection->last_seen_ns < flow->now;
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
	flow->connection_flags = APUS_CONNECTION_SOCKET_TRANSLATED;
	learn_namespace(entry->network_namespace, flow->source.slot, flow->source.endpoint->identity);
	if (unlikely(entry->affinity))
		affinity_note(&flow->packet.source, entry->affinity, &entry->backend, flow->now);
	return 0;
}
