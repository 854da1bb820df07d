// The translation of the answers to what leaves in the node's name: source_port.h says how it comes to be.
#pragma once

#include "translation.h"

// Whether a port in network byte order is one that the node gives away.
ALWAYS_INLINE _Bool is_source_port(__u16 port)
{
	return (__u16)(bpf_ntohs(port) - config.source_port_first) < config.source_port_count;
}

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
