// Ports of the node for what leaves in its name, as the answers have to come back here: from clients outside to
// backends on other nodes, and from pods to the world. The other end gets to see the node's address and one of these
// ports instead of the opener's.
//
// Each port serves every (other end, its port, protocol) anew. Who has one is said by the translation of the answers:
// from the other end to the node's port, it leads to the opener. It is read, and so kept from being evicted, with every
// packet that leaves. The identifier of an echo is its port.
#pragma once

#include "answer_translation.h"
#include "flow.h"
#include "service.h"

enum {
	SOURCE_PORT_TRIES = 32,
};

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

// Whether a socket of the node gets what comes to the port from the other end. Those of pings and of SCTP can't be
// asked for.
GLOBAL int is_port_of_socket(struct __sk_buff *skb, const struct apus_translation_key *key)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket = NULL;
	__u32 size = sizeof(tuple.ipv6);

	if (!key)
		return 1;
	if (address_is_v4(&key->client)) {
		size = sizeof(tuple.ipv4);
		tuple.ipv4.saddr = address_v4_bits(&key->client);
		tuple.ipv4.daddr = address_v4_bits(&key->frontend);
		tuple.ipv4.sport = key->client_port;
		tuple.ipv4.dport = key->frontend_port;
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &key->client, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, &key->frontend, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = key->client_port;
		tuple.ipv6.dport = key->frontend_port;
	}
	if (key->protocol == IPPROTO_TCP)
		socket = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else if (key->protocol == IPPROTO_UDP)
		socket = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	bpf_sk_release(socket);
	return 1;
}

// Takes a port for the packet's connection if it is free.
ALWAYS_INLINE _Bool take_source_port(struct __sk_buff *skb, const struct packet *packet,
				     struct apus_translation_key *key, const struct apus_translation *wanted, __u64 now)
{
	const struct apus_translation *known;

	// A node port may be among them.
	if (service_find(&key->frontend, key->frontend_port, key->protocol))
		return 0;
	known = translation_find(key);
	if (known && leads_to_sender(known, packet))
		return 1;
	if (is_port_of_socket(skb, key))
		return 0;
	if (!known)
		return bpf_map_update_elem(&disposable_translations, key, wanted, BPF_NOEXIST) == 0;
	if (source_port_is_taken(key, known, now))
		return 0;
	// What is recorded next must not be hidden by it.
	bpf_map_delete_elem(&translations, key);
	return bpf_map_update_elem(&disposable_translations, key, wanted, BPF_ANY) == 0;
}

// A number that is the same whenever the packet's connection asks: one whose record was lost gets its port again.
ALWAYS_INLINE __u32 opener_hash(const struct packet *packet)
{
	__u64 hash = mix_in(packet->protocol, packet->source.high);

	hash = mix_in(mix_in(hash, packet->source.low), packet->destination.high);
	hash = mix_in(hash, packet->destination.low);
	return mix_in(hash, (__u64)packet->source_port << 16 | packet->destination_port);
}

// Which port is tried. After the first one the tries are spread over all, from anywhere: of few, none is left out.
ALWAYS_INLINE __u16 source_port_to_try(__u32 hash, __u32 start, __u32 number)
{
	__u32 step = config.source_port_count > SOURCE_PORT_TRIES ? config.source_port_count / SOURCE_PORT_TRIES : 1;

	if (!number)
		return bpf_htons(config.source_port_first + hash % config.source_port_count);
	return bpf_htons(config.source_port_first + (start + number * step) % config.source_port_count);
}

// The port in network byte order that a packet which leaves in the node's name gets as its source; 0: none is free.
//
// `present`: the port that its connection has already, which somebody may have taken whose record was gone; 0: none.
GLOBAL int source_port(struct __sk_buff *skb, const struct packet *packet, const struct apus_address *address,
		       __u32 present, __u64 now)
{
	struct apus_translation_key key;
	struct apus_translation wanted = {};
	const struct apus_translation *known;
	__u32 hash, start;

	if (!packet || !address || !config.source_port_count)
		return 0;
	wanted.backend = packet->source;
	wanted.backend_port = packet->source_port;
	answer_key(packet, address, present, &key);
	if (likely(present)) {
		known = translation_find(&key);
		if (likely(known && leads_to_sender(known, packet)))
			return present;
		if (take_source_port(skb, packet, &key, &wanted, now))
			return present;
	}
	hash = opener_hash(packet);
	start = bpf_get_prandom_u32() % config.source_port_count;
	for (__u32 i = 0; i <= SOURCE_PORT_TRIES; i++) {
		key.frontend_port = source_port_to_try(hash, start, i);
		if (take_source_port(skb, packet, &key, &wanted, now))
			return key.frontend_port;
	}
	return 0;
}

// A process of the node sends from a port that the data path may have given away: the process has it first, and whoever
// it was given to takes another one with its next packet.
COLD int source_port_give_back(const struct packet *packet)
{
	struct apus_translation_key key;

	if (!packet)
		return 0;
	answer_key(packet, &packet->source, packet->source_port, &key);
	bpf_map_delete_elem(&translations, &key);
	bpf_map_delete_elem(&disposable_translations, &key);
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
