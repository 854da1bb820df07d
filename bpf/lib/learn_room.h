// Names and addresses that are let go of in the data path: names that no address has any more, and where a map is full
// addresses that have ended.
#pragma once

#include <linux/errno.h>

#include "policy.h"
#include "question.h"

// The answer that a connection has begun and not ended: see learn_stream.h.
struct answer_stream {
	__u64 opened_ns; // of the connection: another one may have its ports by now
	__u32 start; // sequence number of the first byte
	__u32 length;
};

// What is being learned. Nothing else runs on the CPU meanwhile, as tcx programs run with bottom halves disabled.
struct learning {
	__u32 endpoint;
	__u32 identity;
	__u32 policies[2]; // that it is learned for, 0: none
	__u64 now;
	struct answer_stream stream; // the connection, and an answer that begins
	__u32 first; // where in the packet the bytes begin, and where they end
	__u32 end;
	__be32 sequence; // of the first one in TCP
	__be16 word; // of the packet, at hand
	__u32 carried; // length of the message at hand, and 1 more, where the segment has not all of it; 0: it has
	__u32 padding;
	__u64 name; // hash
	__u32 set;
	__u32 place; // of the next address
	__u32 missed; // addresses for which there was no room
	__u32 claimed; // places of addresses that the name has got
	__u64 going[APUS_LEARNED_NAMES]; // names of an address that goes
	__u64 room_made_ns; // when this CPU looked for room last
	struct apus_handed_over record; // what the agent is to be told with bytes that it gets
	struct apus_learned_address fresh;
	struct apus_learned_name text;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct learning);
} learning SEC(".maps");

ALWAYS_INLINE struct learning *learning_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&learning, &first);
}

// Takes a hold of a name, unless its last one is gone: whoever let go of that is about to delete it.
ALWAYS_INLINE _Bool hold_name(struct apus_learned_name *name)
{
	__u32 holds = *(const volatile __u32 *)&name->holds;

	return holds && __sync_val_compare_and_swap(&name->holds, holds, holds + APUS_NAME_LEARNING) == holds;
}

// Lets go of a name but for some of the holds, and deletes it where none is left.
ALWAYS_INLINE void let_go_of_name(__u64 hash, __u32 holds, __u32 left)
{
	struct apus_learned_name *name = bpf_map_lookup_elem(&learned_names, &hash);

	if (name && __sync_fetch_and_add(&name->holds, left - holds) == holds - left)
		bpf_map_delete_elem(&learned_names, &hash);
}

enum {
	ROOM_INTERVAL_NS = 1000000000, // a look at all addresses takes milliseconds
};

struct bpf_map; // the kernel's

// Deletes an address that has ended and that no connection was ever judged by.
static long make_room_step(struct bpf_map *map, const struct apus_learned_key *key,
			   struct apus_learned_address *address, __attribute__((unused)) void *context)
{
	struct learning *learning = learning_here();

	if (!learning)
		return 1;
	if (address->judged)
		return 0;
	for (__u32 index = 0; index < APUS_LEARNED_NAMES; index++) {
		learning->going[index] = address->uses[index].name;
		if (learning->going[index] && address->uses[index].end_ns > learning->now)
			return 0;
	}
	if (bpf_map_delete_elem(map, key))
		return 0;
	count_dns(APUS_DNS_COUNT_MADE_ROOM);
	for (__u32 index = 0; index < APUS_LEARNED_NAMES; index++)
		if (learning->going[index])
			let_go_of_name(learning->going[index], 1, 0);
	return 0;
}

// A map is full, and the agent, which never lets it come to that, may not be there.
GLOBAL int make_room(void)
{
	struct learning *learning = learning_here();

	if (!learning || learning->now - learning->room_made_ns < ROOM_INTERVAL_NS)
		return 0;
	learning->room_made_ns = learning->now;
	bpf_for_each_map_elem(&learned_addresses, make_room_step, NULL, 0);
	return 1;
}
