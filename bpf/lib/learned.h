// Addresses that were learned under names: what they admit (docs/fqdn.md).
#pragma once

#include "domain.h"
#include "peer_bits.h"

// Not an LRU: nothing goes that a live connection was admitted by. The agent takes out what has ended; learn_room.h
// does where there is no agent.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_learned_key);
	__type(value, struct apus_learned_address);
} learned_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct apus_learned_name);
} learned_names SEC(".maps");

// What each policy has of both. What is counted here goes up and down with the entries, so the two maps are kept, or
// made anew, together.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct apus_learned_share);
} learned_shares SEC(".maps");

enum {
	LEARNED_USE_STEP_NS = 1000000000, // how exactly it is told when an address was used
	LEARNED_USES = APUS_LEARNED_PARTS * APUS_LEARNED_NAMES, // names that an address may have in one scope at a time
};

// What the class and the names of the peer that is judged admit. Nothing else runs on the CPU meanwhile, as tcx
// programs run with bottom halves disabled.
struct learned_peer {
	__u32 sets[LEARNED_USES + 1]; // classes of the peer itself and of its names that admit anything
	__u32 count;
	__u32 idle; // one that admits nothing, and that was looked at last
	__u64 pages; // one bit a page: those with any rules that they admit
	struct apus_policy_bits joined; // of the page that was asked for last, which is in place of the first one
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct learned_peer);
} learned_peer SEC(".maps");

ALWAYS_INLINE struct learned_peer *learned_peer_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&learned_peer, &first);
}

// Whether any policy of the node has names.
ALWAYS_INLINE _Bool names_in_force(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&domain_automaton, &first) != NULL;
}

// The name that has a place and has not ended, by its hash; 0: none.
ALWAYS_INLINE __u64 learned_name(const struct apus_learned_use *use, __u64 now)
{
	__u64 hash = *(const volatile __u64 *)&use->name;

	if (!hash || *(const volatile __u64 *)&use->end_ns <= now)
		return 0;
	// The end may be that of a name that takes the place just now.
	return *(const volatile __u64 *)&use->name == hash ? hash : 0;
}

ALWAYS_INLINE __u32 set_of_name(const struct apus_learned_name *name)
{
	return name ? *(const volatile __u32 *)&name->set : 0;
}

// Whether nothing is to be found out about a pattern set. Of hundreds of names of an address most have the same one.
ALWAYS_INLINE _Bool learned_knows(const struct learned_peer *found, __u32 set)
{
	if (set == found->idle)
		return 1;
#pragma clang loop unroll(disable)
	for (__u32 index = 0; index < LEARNED_USES + 1 && index < found->count; index++)
		if (found->sets[index] == set)
			return 1;
	return 0;
}

// Adds a class to what the peer is judged by. Returns whether it admits anything.
ALWAYS_INLINE _Bool learned_add(struct learned_peer *found, __u32 policy, __u32 set)
{
	__u64 pages = set ? pages_of(bits_of_class(policy, set, 0)) : 0;
	__u32 count = found->count;

	if (!pages)
		found->idle = set;
	if (!pages || count > LEARNED_USES)
		return 0;
	barrier_var(count);
	if (count > LEARNED_USES)
		return 0;
	found->sets[count] = set;
	found->count = count + 1;
	found->pages |= pages;
	return 1;
}

// Adds the pattern set of a name of the address, unless that is known. Returns whether it admits anything.
ALWAYS_INLINE _Bool learned_add_name(struct learned_peer *found, const struct apus_learned_key *key,
				     const struct apus_learned_address *address, __u64 hash)
{
	const struct apus_learned_name *name = hash ? bpf_map_lookup_elem(&learned_names, &hash) : NULL;
	__u32 set = set_of_name(name);

	if (!set || learned_knows(found, set))
		return 0;
	// Where either was deleted meanwhile, its memory may have been another one's.
	if (bpf_map_lookup_elem(&learned_names, &hash) != name ||
	    bpf_map_lookup_elem(&learned_addresses, key) != address)
		return 0;
	return learned_add(found, key->policy, set);
}

// Finds under which pattern sets an address was learned for a policy, and the pages with rules that they or its class
// admit. 0: under none. `now` of 0 makes all names count that are held, ended ones too.
GLOBAL int learned_find(__u32 policy, const struct apus_address *peer, __u32 class_id, __u64 now)
{
	struct apus_learned_key key = {.policy = policy};
	struct learned_peer *found = learned_peer_here();
	struct apus_learned_address *head, *address;
	_Bool admits = 0;

	if (!peer || !found)
		return 0;
	key.address = *peer;
	address = head = bpf_map_lookup_elem(&learned_addresses, &key);
	if (!head)
		return 0;
	found->pages = found->count = found->idle = 0;
	learned_add(found, policy, class_id);
#pragma clang loop unroll(disable)
	for (__u32 place = 0; place < LEARNED_USES; place++) {
		if (place && place % APUS_LEARNED_NAMES == 0) {
			key.part = place / APUS_LEARNED_NAMES;
			if (key.part > head->further)
				break;
			address = bpf_map_lookup_elem(&learned_addresses, &key);
		}
		if (address && learned_add_name(found, &key, address,
						learned_name(&address->uses[place % APUS_LEARNED_NAMES], now)))
			admits = 1;
	}
	if (now && (__s64)(now - head->used_ns) > LEARNED_USE_STEP_NS)
		head->used_ns = now;
	if (!admits)
		return 0;
	if (!head->judged)
		head->judged = 1;
	return 1;
}

// Joins the bits of all classes for the page whose bit is `mask`. Returns whether nothing of them is missing.
GLOBAL int learned_join(__u32 policy, __u64 mask)
{
	struct learned_peer *found = learned_peer_here();

	if (!found)
		return 0;
	__builtin_memset(&found->joined.bits, 0, sizeof(found->joined.bits));
	found->joined.pages = mask;
#pragma clang loop unroll(disable)
	for (__u32 index = 0; index < LEARNED_USES + 1 && index < found->count; index++) {
		__u32 set = found->sets[index];
		const struct apus_policy_bits *bits;

		bits = bits_of_class(policy, set, 0);
		if (!(pages_of(bits) & mask))
			continue;
		if (is_further_page(bits, mask))
			bits = bits_of_class(policy, set, first_bit(mask));
		if (!bits)
			return 0;
		for (__u32 word = 0; word < APUS_POLICY_PAGE_WORDS; word++)
			found->joined.bits.words[word] |= bits->bits.words[word];
	}
	return 1;
}

ALWAYS_INLINE __u64 learned_pages(void)
{
	const struct learned_peer *found = learned_peer_here();

	return found ? found->pages : 0;
}

ALWAYS_INLINE const struct apus_policy_bits *learned_bits(void)
{
	const struct learned_peer *found = learned_peer_here();

	return found ? &found->joined : NULL;
}
