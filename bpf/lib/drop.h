// Counting what is dropped, by reason and direction.
#pragma once

#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, APUS_REASON_COUNT * 2);
	__type(key, __u32);
	__type(value, struct apus_drop_counter);
} drops SEC(".maps");

ALWAYS_INLINE void count_drop(enum apus_reason reason, enum apus_direction direction, __u32 bytes)
{
	__u32 index = reason * 2 + direction;
	struct apus_drop_counter *counter = bpf_map_lookup_elem(&drops, &index);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += bytes;
}
