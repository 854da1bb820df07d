// Which rules of a policy admit a peer, by the classes that it has.
#pragma once

#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_policy_peers_key);
	__type(value, struct apus_policy_bits);
} policy_peers SEC(".maps");

ALWAYS_INLINE __u32 first_bit(__u64 word)
{
	return __builtin_ctzll(word);
}

ALWAYS_INLINE const struct apus_policy_bits *bits_of_class(__u32 policy, __u32 class_id, __u32 page)
{
	struct apus_policy_peers_key key = {.policy = policy, .class_id = class_id, .page = page};

	return bpf_map_lookup_elem(&policy_peers, &key);
}

// Of the entry that leads to the rules of a peer or port; NULL where only rules for all of them may match.
ALWAYS_INLINE __u64 pages_of(const struct apus_policy_bits *lead)
{
	return lead ? lead->pages : 0;
}

// Whether the bits of `page` are in an entry of their own: those of the first page are in the leading one.
ALWAYS_INLINE _Bool is_further_page(const struct apus_policy_bits *lead, __u64 page)
{
	return pages_of(lead) & page && pages_of(lead) & (page - 1);
}
