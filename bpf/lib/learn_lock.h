// What is being learned, and how its addresses are changed by one CPU at a time (docs/decisions/0006).
#pragma once

#include <linux/errno.h>

#include "policy.h"
#include "question.h"

enum stream_state {
	STREAM_LENGTH = 0xffff, // of the answer that is under way, or the upper byte of a length
	STREAM_WITHIN = 1 << 16, // an answer is under way: `next` is behind it
	STREAM_UNASKED = 1 << 17, // which nobody asked for
	STREAM_HALF = 1 << 18, // the upper byte of a length came: `next` is the lower one
};

// How far the answers of a TCP connection came: see learn_stream.h.
struct answer_stream {
	__u64 opened_ns; // of the connection: another one may have its ports by now
	__u32 next; // sequence number at which the next answer begins, with its length
	__u32 state; // enum stream_state
	__u32 id; // of the answer under way, and 1 more; 0: its first bytes came apart
	// The last answer of several segments that lies before `next`, as one of those may have been lost, and come
	// yet.
	__u32 late; // sequence number of its first byte
	__u32 late_length; // 0: there is none
	__u32 late_id; // as `id`
};

// What is being learned. Nothing else runs on the CPU meanwhile, as tcx programs and test runs have bottom halves
// disabled.
struct learning {
	__u32 endpoint;
	__u32 identity;
	__u32 policies[2]; // that it is learned for, 0: none
	__u64 now;
	struct answer_stream stream;
	__u32 first; // where in the packet the bytes begin, and where they end
	__u32 end;
	__be32 sequence; // of the first one in TCP
	__be16 word; // of the packet, at hand
	__u32 carried; // length of the message at hand, and 1 more, where that was read already; 0: it was not
	__u32 record_place; // of the next part of what is handed over
	__u32 row_is_asked; // whether any answer of a row is to a question that waits
	__u64 name; // hash
	__u32 set;
	__u32 place; // of the next address, or of the next answer in a row
	__u32 missed; // addresses for which there was no room
	__u32 claimed; // places of addresses that the name has got
	// The address at hand.
	struct apus_learned_key key; // of its first part
	struct apus_learned_key part; // of the one at hand
	__u64 end_ns;
	__u64 used_ns;
	__u32 judged;
	__u32 busy; // whether another CPU did not let go of it
	__u32 loss; // enum loss of the place of another name that the one at hand may take
	__u32 covered; // whether the address has a name of the same patterns that ends no sooner
	__u32 taken_part; // where that is
	__u32 taken_place;
	__u64 taken_end_ns; // when the name ends that has it
	__u32 full; // whether the map had no room for it, or a further part of it
	__u32 crammed; // whether anything of the lesson found no room, once some was made
	__u64 going[APUS_LEARNED_NAMES]; // names of an address that goes
	__u64 room_made_ns; // when this CPU looked for room last, of the exact clock
	__u32 over_share; // whether the policy has as much as it may
	struct apus_handed_over record; // what the agent is to be told with bytes that it gets
	struct apus_learned_address fresh; // all zero but for its first use, while an address is added
	struct apus_learned_name text;
	// From the agent: see learn_lesson.h.
	struct apus_lesson lesson;
	struct apus_lesson_address lesson_address;
	struct apus_let_go leaving;
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

enum {
	LOCK_ATTEMPTS = 16,
	LOCK_WAIT = 4096, // looks at a lock, some tens of nanoseconds each; its holder needs less than a microsecond
};

// Who holds locks here.
ALWAYS_INLINE __u32 lock_token(void)
{
	return bpf_get_smp_processor_id() + 1;
}

ALWAYS_INLINE void unlock_address(struct apus_learned_address *head)
{
	__u32 token = lock_token();

	// Not a store: a map gives the memory of what was deleted to another entry at once, so what is locked by
	// mistake may have been written, and locked by somebody else, meanwhile.
	__sync_val_compare_and_swap(&head->lock, token, 0);
}

static long wait_for_lock(__attribute__((unused)) __u64 index, void *context)
{
	struct learning *learning = *(struct learning **)context;
	const struct apus_learned_address *head = bpf_map_lookup_elem(&learned_addresses, &learning->key);

	return !head || !*(const volatile __u32 *)&head->lock;
}

// Locks the address of the key in `learning`: until it is unlocked nobody else adds or removes a part of it, or changes
// one. NULL: there is none, or it is busy for too long.
ALWAYS_INLINE struct apus_learned_address *lock_address(struct learning *learning)
{
	learning->busy = 0;
#pragma clang loop unroll(disable)
	for (__u32 attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
		struct apus_learned_address *head = bpf_map_lookup_elem(&learned_addresses, &learning->key);

		if (!head)
			return NULL;
		if (__sync_val_compare_and_swap(&head->lock, 0, lock_token()) == 0) {
			// Its memory may be another entry's by now; once it is locked it can't become that.
			if (bpf_map_lookup_elem(&learned_addresses, &learning->key) == head)
				return head;
			unlock_address(head);
			continue;
		}
		bpf_loop(LOCK_WAIT, wait_for_lock, &learning, 0);
	}
	learning->busy = 1;
	count_dns(APUS_DNS_COUNT_BUSY);
	return NULL;
}
