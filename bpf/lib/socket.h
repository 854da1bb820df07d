// Service translation at the socket: once per connection instead of once per packet.
#pragma once

#include "drop.h"
#include "socket_backend.h"

#include <linux/errno.h>

enum socket_result {
	SOCKET_UNCHANGED,
	SOCKET_TRANSLATED,
	SOCKET_REFUSED,
	SOCKET_DENIED,
};

// What becomes of a socket's connection to a Service that is not for all clients. Of a pod's socket the address that it
// will send from is not known here: its packets are judged by it. SOCKET_TRANSLATED: it goes on.
ALWAYS_INLINE enum socket_result socket_check_client(struct bpf_sock_addr *context, const struct apus_service *service)
{
	if (bpf_get_netns_cookie(context) != config.node_namespace)
		return SOCKET_UNCHANGED;
	return service->flags & APUS_SERVICE_NODE_DENIED && service->slot_count ? SOCKET_DENIED : SOCKET_TRANSLATED;
}

// Whether a call is refused where its destination is a Service's address with a port that no Service has. A pod's
// connected datagram socket is not: resolvers connect one to each address of a name, with any port, only to learn which
// source address it would have, and take a refusal for an address that can't be reached. Its packets are refused.
ALWAYS_INLINE _Bool refuses_ports(struct bpf_sock_addr *context, _Bool connects)
{
	if (context->protocol == IPPROTO_TCP)
		return 1;
	return context->protocol == IPPROTO_UDP &&
	       (!connects || bpf_get_netns_cookie(context) == config.node_namespace);
}

// Replaces a frontend in `destination` by one of its backends and notes it in the socket's storage.
ALWAYS_INLINE enum socket_result socket_translate(struct bpf_sock_addr *context, struct socket_destination *destination,
						  _Bool connects)
{
	const struct apus_service *service;
	const struct apus_backend *backend;
	struct socket_opening opening;
	enum socket_result admitted;
	struct apus_service copy;

	service = NULL;
	if (service_copy(&copy, &destination->address, destination->port, context->protocol))
		service = &copy;
	else if (refuses_ports(context, connects))
		service = service_of_address(&destination->address);
	if (service && unlikely(service->flags & APUS_SERVICE_NODE_ONLY) &&
	    bpf_get_netns_cookie(context) != config.node_namespace)
		service = NULL;
	admitted =
		service && unlikely(service->source_ranges) ? socket_check_client(context, service) : SOCKET_TRANSLATED;
	if (admitted == SOCKET_DENIED) {
		// A call counts as a packet; how long one would have been is not known yet.
		count_drop(APUS_REASON_SOURCE_RANGE, APUS_DIRECTION_EGRESS, 0);
		return admitted;
	}
	if (!service || admitted == SOCKET_UNCHANGED) {
		if (connects) {
			record_forget(cookie_of_tcp(context));
			bpf_sk_storage_delete(&connected_sockets, context->sk);
		}
		return SOCKET_UNCHANGED;
	}
	if (!service->slot_count)
		return SOCKET_REFUSED;
	opening.service = service;
	opening.frontend = destination;
	opening.network_namespace = bpf_get_netns_cookie(context);
	backend = connects ? connect_to(context, &opening) : send_to(context->sk, &opening);
	if (!backend)
		return SOCKET_REFUSED;
	destination->address = backend->address;
	destination->port = backend->port;
	return SOCKET_TRANSLATED;
}

// Gives an answer of a backend (recvmsg) or a peer's name (getpeername) the frontend that was asked for.
ALWAYS_INLINE _Bool socket_reverse(struct bpf_sock_addr *context, const struct apus_address *local,
				   struct socket_destination *peer)
{
	__u64 cookie = cookie_of_tcp(context);
	const struct apus_socket_translation *entry = translation_of_backend(context->sk, cookie, peer);
	const struct apus_connection *connection;

	if (entry) {
		peer->address = entry->frontend;
		peer->port = entry->frontend_port;
		return 1;
	}
	connection = cookie ? connection_of_socket(local, bpf_htons(context->sk->src_port), &peer->address, peer->port)
			    : NULL;
	if (!connection)
		return 0;
	peer->address = connection->frontend;
	peer->port = connection->frontend_port;
	return 1;
}

ALWAYS_INLINE void load_v4(struct bpf_sock_addr *context, struct socket_destination *destination)
{
	destination->address = address_from_v4(context->user_ip4);
	destination->port = context->user_port;
}

ALWAYS_INLINE void store_v4(struct bpf_sock_addr *context, const struct socket_destination *destination)
{
	context->user_ip4 = address_v4_bits(&destination->address);
	context->user_port = destination->port;
}

ALWAYS_INLINE void load_v6(struct bpf_sock_addr *context, struct socket_destination *destination)
{
	__be32 words[4] = {context->user_ip6[0], context->user_ip6[1], context->user_ip6[2], context->user_ip6[3]};

	destination->address = address_from_v6(words);
	destination->port = context->user_port;
}

ALWAYS_INLINE void store_v6(struct bpf_sock_addr *context, const struct socket_destination *destination)
{
	context->user_ip6[0] = (__u32)destination->address.high;
	context->user_ip6[1] = destination->address.high >> 32;
	context->user_ip6[2] = (__u32)destination->address.low;
	context->user_ip6[3] = destination->address.low >> 32;
	context->user_port = destination->port;
}

// The program's return value: 1 goes on, 0 fails with the errno that was set.
ALWAYS_INLINE int socket_finish(enum socket_result result)
{
	if (result == SOCKET_REFUSED)
		bpf_set_retval(-ECONNREFUSED);
	// Without a value of its own it is EPERM, as of a packet that a firewall drops.
	return result != SOCKET_REFUSED && result != SOCKET_DENIED;
}

ALWAYS_INLINE int socket_send_v4(struct bpf_sock_addr *context, _Bool connects)
{
	struct socket_destination destination;
	enum socket_result result;

	load_v4(context, &destination);
	result = socket_translate(context, &destination, connects);
	if (result == SOCKET_TRANSLATED)
		store_v4(context, &destination);
	return socket_finish(result);
}

ALWAYS_INLINE int socket_send_v6(struct bpf_sock_addr *context, _Bool connects)
{
	struct socket_destination destination;
	enum socket_result result;

	load_v6(context, &destination);
	result = socket_translate(context, &destination, connects);
	if (result == SOCKET_TRANSLATED)
		store_v6(context, &destination);
	return socket_finish(result);
}

ALWAYS_INLINE int socket_receive_v4(struct bpf_sock_addr *context)
{
	struct apus_address local = address_from_v4(context->sk->src_ip4);
	struct socket_destination peer;

	load_v4(context, &peer);
	if (socket_reverse(context, &local, &peer))
		store_v4(context, &peer);
	return 1;
}

ALWAYS_INLINE int socket_receive_v6(struct bpf_sock_addr *context)
{
	struct bpf_sock *socket = context->sk;
	__be32 words[4] = {socket->src_ip6[0], socket->src_ip6[1], socket->src_ip6[2], socket->src_ip6[3]};
	struct apus_address local = address_from_v6(words);
	struct socket_destination peer;

	load_v6(context, &peer);
	if (socket_reverse(context, &local, &peer))
		store_v6(context, &peer);
	return 1;
}
