// Names and addresses that are let go of in the data path: names that no address has any more, and where a map is full
// addresses that have ended.
#pragma once

#include "learn_lock.h"

// Takes a hold of a name, unless its last one is gone: whoever let go of that is about to delete it. It may be deleted
// already, and its memory another name's: then nothing is held.
ALWAYS_INLINE _Bool hold_name(__u64 hash, struct apus_learned_name *name)
{
	__u32 holds = *(const volatile __u32 *)&name->holds;

	if (!holds || __sync_val_compare_and_swap(&name->holds, holds, holds + APUS_NAME_LEARNING) != holds)
		return 0;
	if (bpf_map_lookup_elem(&learned_names, &hash) == name)
		return 1;
	__sync_fetch_and_add(&name->holds, -APUS_NAME_LEARNING);
	return 0;
}

// Lets go of a name but for some of the holds, and deletes it where none is left.
ALWAYS_INLINE void let_go_of_name(__u64 hash, __u32 holds, __u32 left)
{
	struct apus_learned_name *name = bpf_map_lookup_elem(&learned_names, &hash);

	if (name && __sync_fetch_and_add(&name->holds, left - holds) == holds - left)
		bpf_map_delete_elem(&learned_names, &hash);
}

// Takes room for a name, and for an entry if it needs one, of what the policy may have. Returns whether it has that.
GLOBAL int take_learned_share(__u32 policy, __u32 entries)
{
	struct apus_learned_share none = {}, *share = bpf_map_lookup_elem(&learned_shares, &policy);

	if (!share) {
		bpf_map_update_elem(&learned_shares, &policy, &none, BPF_NOEXIST);
		share = bpf_map_lookup_elem(&learned_shares, &policy);
	}
	if (!share) // more policies than any node has: none of them is held to a share
		return 1;
	if (share->entries + entries > config.address_share || share->names >= config.name_share)
		return 0;
	__sync_fetch_and_add(&share->entries, entries);
	__sync_fetch_and_add(&share->names, 1);
	return 1;
}

ALWAYS_INLINE void give_learned_share_back(__u32 policy, __u32 entries, __u32 names)
{
	struct apus_learned_share *share = bpf_map_lookup_elem(&learned_shares, &policy);

	if (!share)
		return;
	// What was forgotten of a policy that was gone must not become a debt.
	if (share->entries >= entries)
		__sync_fetch_and_add(&share->entries, -entries);
	if (share->names >= names)
		__sync_fetch_and_add(&share->names, -names);
}

enum {
	ROOM_INTERVAL_NS = 1000000000, // a look at all addresses takes milliseconds
};

struct bpf_map; // the kernel's

// Whether all names of the address have ended, and no connection was ever judged by it. Notes the names.
ALWAYS_INLINE _Bool is_of_no_use(const struct apus_learned_address *address, struct learning *learning)
{
	if (address->judged)
		return 0;
	for (__u32 index = 0; index < APUS_LEARNED_NAMES; index++) {
		learning->going[index] = address->uses[index].name;
		if (learning->going[index] && address->uses[index].end_ns > learning->room_made_ns)
			return 0;
	}
	return 1;
}

// Deletes an address that has ended and that no connection was ever judged by. Those of more than one part, and what
// another CPU is at, are left alone.
static long make_room_step(struct bpf_map *map, const struct apus_learned_key *key,
			   struct apus_learned_address *address, __attribute__((unused)) void *context)
{
	struct learning *learning = learning_here();
	__u32 policy = key->policy, names = 0;

	if (!learning)
		return 1;
	if (key->part || address->further || !is_of_no_use(address, learning))
		return 0;
	if (__sync_val_compare_and_swap(&address->lock, 0, lock_token()) != 0)
		return 0;
	// Once more: it may have been renewed before it was locked.
	if (bpf_map_lookup_elem(map, key) != address || address->further || !is_of_no_use(address, learning) ||
	    bpf_map_delete_elem(map, key)) {
		unlock_address(address);
		return 0;
	}
	count_dns(APUS_DNS_COUNT_MADE_ROOM);
	for (__u32 index = 0; index < APUS_LEARNED_NAMES; index++) {
		if (!learning->going[index])
			continue;
		let_go_of_name(learning->going[index], 1, 0);
		names++;
	}
	give_learned_share_back(policy, 1, names);
	return 0;
}

// A map is full, and the agent, which never lets it come to that, may not be there.
GLOBAL int make_room(void)
{
	struct learning *learning = learning_here();
	// Not `now` of what is learned: that of a lesson is the time of an answer that may be old.
	__u64 now = bpf_ktime_get_ns();

	if (!learning || (__s64)(now - learning->room_made_ns) < ROOM_INTERVAL_NS)
		return 0;
	learning->room_made_ns = now;
	bpf_for_each_map_elem(&learned_addresses, make_room_step, NULL, 0);
	return 1;
}
