// What pods send to the world leaves in the node's name, as the way back to their own addresses is not known there.
//
// A pod's packet is judged, counted and reported under the pod's address, where it leaves the pod; only its last step
// is here. Its connection remembers the port that it got, and decides by that from then on.
#pragma once

#include "outside.h"

// Where to packets keep a pod's address; the values have no meaning.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_prefix_key);
	__type(value, __u32);
} non_masquerade SEC(".maps");

GLOBAL int is_non_masquerade(const struct apus_address *destination)
{
	struct apus_prefix_key key = {.prefix_length = 128};

	if (!destination)
		return 1;
	__builtin_memcpy(key.address, destination, sizeof(key.address));
	return bpf_map_lookup_elem(&non_masquerade, &key) != NULL;
}

// Whether the packet leaves in the node's name: a pod of this node has opened its connection. One that was answered
// without goes on as it is, whatever has changed since.
ALWAYS_INLINE _Bool is_masqueraded(struct flow *flow, const struct apus_uplink *uplink)
{
	const struct apus_connection *connection = flow->found.connection;

	if (!is_from_opener(&flow->found) || !opener_is_local(connection))
		return 0;
	if (likely(connection->source_port))
		return 1;
	return uplink->flags & APUS_UPLINK_MASQUERADES && connection->flags & APUS_CONNECTION_UNANSWERED &&
	       !is_non_masquerade(&flow->packet.destination);
}

// An ICMP error that comes in for no pod of this node. Where it was led to somebody, the stack brings it there; a pod's
// own hook judges it by the connection that it is about.
ALWAYS_INLINE int take_in_error(struct __sk_buff *skb, struct flow *flow)
{
	if (lead_error(skb, &flow->packet, 1, flow->now) && claims_local_source(flow))
		return drop_spoofed(flow);
	return TCX_NEXT_PROGRAM;
}

ALWAYS_INLINE int send_error(struct __sk_buff *skb, const struct packet *error, const struct apus_uplink *uplink,
			     __u64 now)
{
	name_in_error(skb, error, address_of_uplink(uplink, error), now);
	return TCX_NEXT_PROGRAM;
}
