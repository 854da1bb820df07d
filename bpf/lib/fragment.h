// Fragments: later ones carry no ports, so the first one leaves them here.
#pragma once

#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct apus_fragment_key);
	__type(value, struct apus_fragment);
} fragments SEC(".maps");

ALWAYS_INLINE void fragment_key(const struct packet *packet, struct apus_fragment_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->source = packet->source;
	key->destination = packet->destination;
	key->identification = packet->identification;
	// IPv4 tells datagrams apart by it (RFC 791); later fragments of IPv6 may not know it.
	key->protocol = packet->flags & PACKET_V6 ? 0 : packet->protocol;
}

// Fills in the ports of a later fragment, or remembers those of a first one.
GLOBAL int resolve_fragment(struct packet *packet, __u64 now)
{
	struct apus_fragment_key key;
	struct apus_fragment *known;

	if (!packet)
		return APUS_REASON_MALFORMED;
	fragment_key(packet, &key);
	if (!(packet->flags & PACKET_LATER_FRAGMENT)) {
		struct apus_fragment first = {
			.source_port = packet->source_port,
			.destination_port = packet->destination_port,
			.protocol = packet->protocol,
			.seen_ns = now,
		};

		bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
		return APUS_REASON_NONE;
	}
	known = bpf_map_lookup_elem(&fragments, &key);
	// Another CPU may have seen the first one after this packet took its time.
	if (!known || (__s64)(now - known->seen_ns) > (__s64)config.fragment_timeout_ns)
		return APUS_REASON_FRAGMENT;
	packet->source_port = known->source_port;
	packet->destination_port = known->destination_port;
	packet->protocol = known->protocol;
	return APUS_REASON_NONE;
}
