// The interfaces that lead out of the node, and what leaves by them in its name comes from.
#pragma once

#include "packet.h"

// Keyed by the index of the interface.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct apus_uplink);
} uplinks SEC(".maps");

ALWAYS_INLINE const struct apus_uplink *uplink_of(const frame_t *frame)
{
	__u32 index = frame_interface(frame);

	return bpf_map_lookup_elem(&uplinks, &index);
}

ALWAYS_INLINE const struct apus_address *address_of_uplink(const struct apus_uplink *uplink,
							   const struct packet *packet)
{
	return packet->flags & PACKET_V6 ? &uplink->v6 : &uplink->v4;
}
