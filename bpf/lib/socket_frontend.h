// Which Service a packet was for, where its destination was translated at the socket that sent it.
#pragma once

#include "flow.h"
#include "socket.h"

// The frontend that was asked for at the sending socket, if it was translated there: a record for the flow event. The
// socket's choice holds for packets of the same client too, and its namespace is that of the pod from here on.
COLD int note_socket_frontend(struct __sk_buff *skb, struct flow *flow)
{
	struct socket_destination backend;
	const struct apus_socket_translation *entry;
	struct bpf_sock *socket = skb->sk;

	socket = socket ? bpf_sk_fullsock(socket) : NULL;
	if (!socket || !flow || !flow->source.endpoint)
		return 0;
	backend.address = flow->packet.destination;
	backend.port = flow->packet.destination_port;
	entry = translation_of_backend(socket, flow->packet.protocol == IPPROTO_TCP ? bpf_get_socket_cookie(skb) : 0,
				       &backend);
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
