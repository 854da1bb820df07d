// The clients that a Service's load balancer is for (loadBalancerSourceRanges).
#pragma once

#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_source_range_key);
	__type(value, __u32);
} source_ranges SEC(".maps");

// Whether an address is in one of the ranges of a Service, by its id.
GLOBAL int source_is_in_range(__u32 service, const struct apus_address *address)
{
	struct apus_source_range_key key = {
		.prefix_length = APUS_SOURCE_RANGE_FIXED_BITS + 128,
		.service = service,
	};

	if (!address)
		return 0;
	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&source_ranges, &key) != NULL;
}
