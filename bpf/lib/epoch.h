// Which of the values counts that policies' pointers have: docs/datapath.md, "Order of programming".
#pragma once

#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} policy_epoch SEC(".maps");

// The epoch in force. To be read once a packet, and used for all that judges it: both ends, and what their peers are.
// No call: the kernel inlines the look-up of an array's element.
ALWAYS_INLINE __u8 current_epoch(void)
{
	__u32 first = 0;
	const __u32 *epoch = bpf_map_lookup_elem(&policy_epoch, &first);

	return epoch ? *(const volatile __u32 *)epoch & (APUS_EPOCHS - 1) : 0;
}
