// Ports of the node for clients from outside whose backend is on another node: its answers have to come back here, so
// it gets to see the node's address and one of these ports instead of the client's.
//
// Each port serves every (backend, backend port, protocol) anew. Who has one is said by the translation of the answers:
// from the backend to the node's port, it leads to the client. It is read, and so kept from being evicted, with every
// packet that goes to the backend.
#pragma once

#include "flow.h"
#include "service.h"

enum {
	SOURCE_PORT_TRIES = 16,
};

// The translation of the answers that come to an address and port of the node.
ALWAYS_INLINE void answer_key(const struct packet *packet, const struct apus_address *address, __u16 port,
			      struct apus_translation_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->client = packet->destination;
	key->client_port = packet->destination_port;
	key->frontend = *address;
	key->frontend_port = port;
	key->protocol = packet->protocol;
}

ALWAYS_INLINE _Bool leads_to_sender(const struct apus_translation *translation, const struct packet *packet)
{
	return translation->backend_port == packet->source_port &&
	       address_equal(&translation->backend, &packet->source);
}

// Whether the port that the key is about belongs to a connection that lives.
GLOBAL int source_port_is_taken(const struct apus_translation_key *key, const struct apus_translation *translation,
				__u64 now)
{
	const struct apus_connection *connection;
	struct apus_connection_key connection_key;

	if (!key || !translation)
		return 1;
	connection_key_of(&translation->backend, translation->backend_port, &key->client, key->client_port,
			  key->protocol, &connection_key);
	connection = bpf_map_lookup_elem(&connections, &connection_key);
	if (!connection)
		connection = bpf_map_lookup_elem(&half_open, &connection_key);
	return connection && connection->source_port == key->frontend_port &&
	       !(connection->flags & APUS_CONNECTION_CLOSED) && !connection_is_expired(connection, key->protocol, now);
}

// Takes a port for the packet's connection if it is free.
ALWAYS_INLINE _Bool take_source_port(struct apus_translation_key *key, const struct apus_translation *wanted, __u64 now)
{
	const struct apus_translation *known;

	// A node port may be among them.
	if (service_find(&key->frontend, key->frontend_port, key->protocol))
		return 0;
	known = translation_find(key);
	if (!known)
		return bpf_map_update_elem(&disposable_translations, key, wanted, BPF_NOEXIST) == 0;
	if (source_port_is_taken(key, known, now))
		return 0;
	// What is recorded next must not be hidden by it.
	bpf_map_delete_elem(&translations, key);
	return bpf_map_update_elem(&disposable_translations, key, wanted, BPF_ANY) == 0;
}

// The port in network byte order that a packet to a backend gets as its source; 0: none is free.
//
// `present`: the port that its connection has already, which somebody may have taken whose record was gone; 0: none.
GLOBAL int source_port(const struct packet *packet, const struct apus_address *address, __u32 present, __u64 now)
{
	struct apus_translation_key key;
	struct apus_translation wanted = {};
	const struct apus_translation *known;

	if (!packet || !address || !config.source_port_count)
		return 0;
	wanted.backend = packet->source;
	wanted.backend_port = packet->source_port;
	answer_key(packet, address, present, &key);
	if (likely(present)) {
		known = translation_find(&key);
		if (likely(known && leads_to_sender(known, packet)))
			return present;
		if (take_source_port(&key, &wanted, now))
			return present;
	}
	for (int i = 0; i < SOURCE_PORT_TRIES; i++) {
		key.frontend_port =
			bpf_htons(config.source_port_first + bpf_get_prandom_u32() % config.source_port_count);
		if (take_source_port(&key, &wanted, now))
			return key.frontend_port;
	}
	return 0;
}

// The first answer has come: a flood of openings can't push its translation out any more.
COLD int source_port_answered(const struct flow *flow)
{
	struct apus_translation_key key = {};
	struct apus_translation leads = {};

	if (!flow)
		return 0;
	key.client = flow->packet.source;
	key.client_port = flow->packet.source_port;
	key.frontend = flow->frontend;
	key.frontend_port = flow->frontend_port;
	key.protocol = flow->packet.protocol;
	leads.backend = flow->packet.destination;
	leads.backend_port = flow->packet.destination_port;
	if (!bpf_map_update_elem(&translations, &key, &leads, BPF_ANY))
		bpf_map_delete_elem(&disposable_translations, &key);
	return 0;
}
