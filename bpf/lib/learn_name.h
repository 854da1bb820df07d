// How a name is noted that is being learned.
#pragma once

#include "learn_room.h"

// Whether a name is the one that was put together.
GLOBAL int is_same_text(const struct apus_learned_name *known)
{
	const struct learning *learning = learning_here();
	__u64 different;

	if (!known || !learning)
		return 0;
	different = known->length ^ learning->text.length;
#pragma clang loop unroll(disable)
	for (__u32 place = 0; place < APUS_DNS_NAME_MAX; place += 8)
		different |= *(const __u64 *)&known->text[place] ^ *(const __u64 *)&learning->text.text[place];
	return !different;
}

// Which bytes of eight are of a name of which so many are left.
ALWAYS_INLINE __u64 bytes_of_name(__u32 left)
{
	return left < 8 ? ~(~0ULL >> left * 8) : ~0ULL;
}

enum name_outcome {
	NAME_NOTED,
	NAME_COLLIDES, // another one has its hash
	NAME_HAS_NO_ROOM,
	NAME_IS_GOING, // another CPU deletes it just now, or changes its holds
};

enum {
	NAME_ATTEMPTS = 32,
};

ALWAYS_INLINE int try_name(const struct learning *learning)
{
	__u64 hash = learning->name;
	struct apus_learned_name *known = bpf_map_lookup_elem(&learned_names, &hash);

	if (!known) {
		long failed = bpf_map_update_elem(&learned_names, &hash, &learning->text, BPF_NOEXIST);

		// Another CPU may have been first; where there is no room, there may be some now.
		if (failed && failed != -EEXIST && !make_room()) {
			count_dns(APUS_DNS_COUNT_NO_ROOM);
			return NAME_HAS_NO_ROOM;
		}
		return failed ? NAME_IS_GOING : NAME_NOTED;
	}
	// Where it was deleted meanwhile, its memory may be another name's.
	if (!is_same_text(known))
		return bpf_map_lookup_elem(&learned_names, &hash) == known ? NAME_COLLIDES : NAME_IS_GOING;
	if (!hold_name(hash, known))
		return NAME_IS_GOING;
	if (known->seen_ns < learning->now)
		known->seen_ns = learning->now;
	known->set = learning->set;
	return NAME_NOTED;
}

// Puts the name in question together as it is held.
GLOBAL int fill_name(void)
{
	struct dns_message *message = dns_message_here();
	struct learning *learning = learning_here();

	if (!message || !learning)
		return 0;
	learning->text.seen_ns = learning->now;
	learning->text.set = learning->set;
	learning->text.length = message->answer.name_length;
	learning->text.holds = APUS_NAME_LEARNING;
	// Padded with zero bytes: behind the name in question lie parts of others.
#pragma clang loop unroll(disable)
	for (__u32 place = 0; place < APUS_DNS_NAME_MAX; place += 8) {
		__u32 left = place < message->answer.name_length ? message->answer.name_length - place : 0;

		*(__u64 *)&learning->text.text[place] =
			*(const __u64 *)&message->name[place] & bpf_cpu_to_be64(bytes_of_name(left));
	}
	return 1;
}

// Makes sure that the name in question is held with the patterns that match it, and stays so while it is learned.
GLOBAL int note_name(void)
{
	struct learning *learning = learning_here();

	if (!learning || !fill_name())
		return NAME_HAS_NO_ROOM;
#pragma clang loop unroll(disable)
	for (__u32 attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
		int outcome = try_name(learning);

		if (outcome != NAME_IS_GOING)
			return outcome;
	}
	count_dns(APUS_DNS_COUNT_BUSY);
	return NAME_IS_GOING;
}
