// Segments that TCP sends again, counted where the kernel says so: packets cost nothing by it (docs/decisions/0024).
#pragma once

#include "connection.h"
#include "socket_ends.h"
#include "translation.h"

enum {
	RETRANSMISSIONS_MOST = 0xffff,
};

// What is read of the kernel's structures; where it lies the kernel's BTF says when the program is loaded.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock;

struct tcp_sock {
	__u32 total_retrans;
};

struct request_sock {
	__u8 num_retrans;
};

#pragma clang attribute pop

ALWAYS_INLINE struct found_connection connection_of_ends(const struct socket_ends *ends)
{
	struct apus_connection_key key;
	_Bool from_high =
		connection_key_of(&ends->local, ends->local_port, &ends->peer, ends->peer_port, IPPROTO_TCP, &key);
	struct found_connection found = connection_with(&key);

	found.from_high = from_high;
	return found;
}

// Where packets are translated on their way, the socket knows another peer than the connection's entry does.
ALWAYS_INLINE _Bool translate_peer(struct socket_ends *ends)
{
	struct apus_translation_key key = {
		.client = ends->local,
		.frontend = ends->peer,
		.client_port = ends->local_port,
		.frontend_port = ends->peer_port,
		.protocol = IPPROTO_TCP,
	};
	const struct apus_translation *translation = translation_find(&key);

	if (!translation || translation->flags & APUS_TRANSLATION_OTHER_PORT)
		return 0;
	ends->peer = translation->backend;
	ends->peer_port = translation->backend_port;
	return 1;
}

// Whether the connection with a socket's ends is another one's of its pod, which asks for a Service: this one's has
// another port (other_port.h).
ALWAYS_INLINE _Bool is_translated_opener(const struct found_connection *found)
{
	return found->connection->flags & APUS_CONNECTION_TRANSLATED && is_from_opener(found);
}

// A socket has sent segments again, so many in all. What it says is noted and not added up: so nothing is lost where
// the entry has just moved to another map, and a segment that could not be sent counts as little as to the socket.
//
// The kernel tells of all sockets of the machine, among them those of hosts that are namespaces of it: only those of
// this node's pods and of the node itself count.
ALWAYS_INLINE int note_retransmissions(struct sock_common *socket, __u32 total)
{
	struct socket_ends ends = {};
	struct apus_connection_side *side;
	struct found_connection found;

	read_ends(socket, &ends);
	found = connection_of_ends(&ends);
	if (!found.connection && translate_peer(&ends))
		found = connection_of_ends(&ends);
	else if (found.connection && is_translated_opener(&found))
		return 0;
	if (!found.connection)
		return 0;
	side = connection_side(found.connection, found.from_high);
	if (side->flags & APUS_SIDE_OTHER_PORT)
		return 0;
	if (!side->endpoint && BPF_CORE_READ(socket, skc_net.net, net_cookie) != config.node_namespace)
		return 0;
	side->retransmissions = total < RETRANSMISSIONS_MOST ? total : RETRANSMISSIONS_MOST;
	return 0;
}

ALWAYS_INLINE int note_segments(struct sock *socket)
{
	__u32 total = BPF_CORE_READ((struct tcp_sock *)socket, total_retrans);

	return note_retransmissions((struct sock_common *)socket, total);
}

// The kernel counts the answer to an opening after it has told of it; the socket that comes of it goes on from there.
ALWAYS_INLINE int note_answer(struct request_sock *request)
{
	__u32 total = BPF_CORE_READ(request, num_retrans);

	return note_retransmissions((struct sock_common *)request, total + 1);
}
