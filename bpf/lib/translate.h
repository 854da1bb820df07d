// Service translation packet by packet, for pods whose sockets no cgroup program sees.
#pragma once

#include "flow.h"
#include "service.h"
#include "socket.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct apus_translation_key);
	__type(value, struct apus_translation);
} translations SEC(".maps");

enum {
	BACKEND_TRIES = 4,
};

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

ALWAYS_INLINE _Bool is_live(const struct flow *flow)
{
	return flow->found.connection && !(flow->found.connection->flags & APUS_CONNECTION_CLOSED) &&
	       !connection_is_expired(&flow->found, flow->key.protocol, flow->now);
}

// Tries backends until one is found towards which the client's port is free and which is not the client itself.
ALWAYS_INLINE enum apus_reason search_backend(struct flow *flow, const struct apus_service *service)
{
	enum apus_reason reason = APUS_REASON_NO_BACKEND;

	for (int i = 0; i < BACKEND_TRIES; i++) {
		struct picked_backend picked = service_pick(service, flow->random, i);

		if (!picked.backend)
			return reason;
		aim_at(flow, &picked.backend->address, picked.backend->port);
		if (!is_live(flow) && !address_equal(&flow->packet.source, &flow->packet.destination))
			return APUS_REASON_NONE;
		reason = APUS_REASON_SOURCE_PORT;
	}
	return reason;
}

// Whether the found connection was opened through the packet's frontend. The client's port may have gone to a
// connection of its own to the backend, or to one through another frontend: neither is this packet's.
ALWAYS_INLINE _Bool came_through_frontend(const struct flow *flow)
{
	const struct apus_connection *connection = flow->found.connection;

	return connection->flags & APUS_CONNECTION_TRANSLATED && connection->frontend_port == flow->frontend_port &&
	       address_equal(&connection->frontend, &flow->frontend);
}

// Chooses where the packet goes: the backend of its live connection, or a fresh one.
ALWAYS_INLINE enum apus_reason choose_backend(struct flow *flow, const struct apus_service *service,
					      const struct apus_translation_key *key)
{
	const struct apus_translation *known = bpf_map_lookup_elem(&translations, key);
	struct apus_translation fresh = {};
	enum apus_reason reason;

	if (known) {
		aim_at(flow, &known->backend, known->backend_port);
		// A closed one has stragglers: they go where the connection was, not to another backend.
		if (flow->found.connection && came_through_frontend(flow) && continues(flow))
			return APUS_REASON_NONE;
	}
	if (!service)
		return APUS_REASON_NO_BACKEND;
	reason = search_backend(flow, service);
	if (reason)
		return reason;
	fresh.backend = flow->packet.destination;
	fresh.backend_port = flow->packet.destination_port;
	return bpf_map_update_elem(&translations, key, &fresh, BPF_ANY) < 0 ? APUS_REASON_CONNECTION_FAILED
									    : APUS_REASON_NONE;
}

COLD int rewrite_to_backend(struct __sk_buff *skb, const struct flow *flow)
{
	struct rewrite rewrite = {.destination = 1};

	if (!flow)
		return -1;
	rewrite.from = flow->frontend;
	rewrite.from_port = flow->frontend_port;
	rewrite.to = flow->packet.destination;
	rewrite.to_port = flow->packet.destination_port;
	return rewrite_packet(skb, &flow->packet, &rewrite);
}

// Points a packet to a Service at a backend, and finds its connection there; flow->connection_flags says whether it was
// one. Returns APUS_REASON_NONE, or why the packet can't go on.
COLD int aim_at_backend(struct flow *flow)
{
	struct apus_translation_key key;
	const struct apus_service *service;
	enum apus_reason reason;

	if (!flow)
		return APUS_REASON_MALFORMED;
	service = service_find(&flow->packet.destination, flow->packet.destination_port, flow->packet.protocol);
	translation_key(&flow->packet, &key);
	// A connection outlives its Service, but no connection opens without one.
	if (!service && (is_connection_opening(&flow->packet) || !bpf_map_lookup_elem(&translations, &key)))
		return APUS_REASON_NONE;
	flow->frontend = flow->packet.destination;
	flow->frontend_port = flow->packet.destination_port;
	reason = choose_backend(flow, service, &key);
	if (reason) {
		flow->packet.destination = flow->frontend;
		flow->packet.destination_port = flow->frontend_port;
		return reason;
	}
	flow->connection_flags = APUS_CONNECTION_TRANSLATED;
	find_connection(flow);
	return APUS_REASON_NONE;
}

// Translates a packet to a Service; anything else stays as it is.
ALWAYS_INLINE enum apus_reason translate_packet(struct __sk_buff *skb, struct flow *flow)
{
	enum apus_reason reason = aim_at_backend(flow);

	if (!reason && flow->connection_flags & APUS_CONNECTION_TRANSLATED && rewrite_to_backend(skb, flow) < 0)
		return APUS_REASON_MALFORMED;
	return reason;
}

// The frontend that was asked for at the sending socket, if it was translated there: a record for the flow event.
COLD int note_socket_frontend(struct __sk_buff *skb, struct flow *flow)
{
	struct socket_destination backend;
	const struct apus_socket_translation *entry;
	struct bpf_sock *socket = skb->sk;

	socket = socket ? bpf_sk_fullsock(socket) : NULL;
	if (!flow || !socket)
		return 0;
	backend.address = flow->packet.destination;
	backend.port = flow->packet.destination_port;
	entry = translation_of_backend(socket, &backend);
	if (!entry)
		return 0;
	flow->frontend = entry->frontend;
	flow->frontend_port = entry->frontend_port;
	flow->connection_flags = APUS_CONNECTION_SOCKET_TRANSLATED;
	return 0;
}
