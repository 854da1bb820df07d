// How an address is learned under a name, or renewed (docs/fqdn.md).
#pragma once

#include "learn_room.h"

ALWAYS_INLINE _Bool is_same_text(const struct apus_learned_name *left, const struct apus_learned_name *right)
{
	__u64 different = left->length ^ right->length;

#pragma clang loop unroll(disable)
	for (__u32 place = 0; place < APUS_DNS_NAME_MAX; place += 8)
		different |= *(const __u64 *)&left->text[place] ^ *(const __u64 *)&right->text[place];
	return !different;
}

// Copies the name in question, padded with zero bytes.
static long copy_name_step(__attribute__((unused)) __u64 index, void *context)
{
	struct dns_message *message = *(struct dns_message **)context;
	struct learning *learning = learning_here();
	__u32 place = message->place++;

	if (!learning || place >= APUS_DNS_NAME_MAX)
		return 1;
	barrier_var(place);
	learning->text.text[place & (APUS_DNS_NAME_MAX - 1)] =
		place < message->answer.name_length ? message->name[place & (APUS_DNS_NAME_MAX - 1)] : 0;
	return 0;
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
	struct apus_learned_name *known = bpf_map_lookup_elem(&learned_names, &learning->name);

	if (!known) {
		long failed = bpf_map_update_elem(&learned_names, &learning->name, &learning->text, BPF_NOEXIST);

		// Another CPU may have been first; where there is no room, there may be some now.
		if (failed && failed != -EEXIST && !make_room())
			return NAME_HAS_NO_ROOM;
		return failed ? NAME_IS_GOING : NAME_NOTED;
	}
	if (!is_same_text(known, &learning->text))
		return NAME_COLLIDES;
	if (!hold_name(known))
		return NAME_IS_GOING;
	known->seen_ns = learning->now;
	known->set = learning->set;
	return NAME_NOTED;
}

// Makes sure that the name in question is held with the patterns that match it, and stays so while it is learned.
GLOBAL int note_name(void)
{
	struct dns_message *message = dns_message_here();
	struct learning *learning = learning_here();

	if (!message || !learning)
		return NAME_HAS_NO_ROOM;
	learning->text.seen_ns = learning->now;
	learning->text.set = learning->set;
	learning->text.length = message->answer.name_length;
	learning->text.holds = APUS_NAME_LEARNING;
	message->place = 0;
	bpf_loop(APUS_DNS_NAME_MAX, copy_name_step, &message, 0);
#pragma clang loop unroll(disable)
	for (__u32 attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
		int outcome = try_name(learning);

		if (outcome != NAME_IS_GOING)
			return outcome;
	}
	return NAME_HAS_NO_ROOM;
}

// Takes a use over for the name. Its end comes after its name: until then it does not count. Returns whether another
// CPU was not there first.
ALWAYS_INLINE _Bool claim_use(struct apus_learned_use *use, __u64 old, __u64 name, __u64 end)
{
	if (__sync_val_compare_and_swap(&use->name, old, name) != old)
		return 0;
	*(volatile __u64 *)&use->end_ns = end;
	return 1;
}

// Whether a name may take the place of another: of none, of one that has ended, of one of the same patterns that ends
// before. In this order, as what has ended may still be what a live connection was admitted by.
ALWAYS_INLINE _Bool may_replace(const struct apus_learned_use *use, __u32 round, const struct learning *learning,
				__u64 end)
{
	if (!use->name)
		return 1;
	if (round == 1)
		return use->end_ns <= learning->now;
	return round == 2 && use->end_ns < end && learned_set(use, 0) == learning->set;
}

enum {
	USE_ROUNDS = 3,
};

// Adds the name to an address, or renews it. Returns whether there was room.
GLOBAL int renew_address(struct apus_learned_address *address, __u64 end)
{
	struct learning *learning = learning_here();

	if (!address || !learning)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 index = 0; index < APUS_LEARNED_NAMES; index++) {
		if (address->uses[index].name != learning->name)
			continue;
		if (address->uses[index].end_ns < end)
			address->uses[index].end_ns = end;
		return 1;
	}
#pragma clang loop unroll(disable)
	for (__u32 place = 0; place < USE_ROUNDS * APUS_LEARNED_NAMES; place++) {
		struct apus_learned_use *use = &address->uses[place % APUS_LEARNED_NAMES];

		__u64 old = use->name;

		if (!may_replace(use, place / APUS_LEARNED_NAMES, learning, end) ||
		    !claim_use(use, old, learning->name, end))
			continue;
		learning->claimed++;
		if (old)
			let_go_of_name(old, 1, 0);
		return 1;
	}
	return 0;
}

// Returns whether the address is new and there was room for it, if need be once there is some.
ALWAYS_INLINE _Bool add_address(const struct apus_learned_key *key, const struct apus_learned_address *fresh)
{
	long failed = bpf_map_update_elem(&learned_addresses, key, fresh, BPF_NOEXIST);

	if (failed && failed != -EEXIST && make_room())
		failed = bpf_map_update_elem(&learned_addresses, key, fresh, BPF_NOEXIST);
	return !failed;
}

// Learns an address for one policy. Returns whether there was room.
ALWAYS_INLINE _Bool learn_for(struct learning *learning, __u32 policy, const struct apus_address *address, __u64 end)
{
	struct apus_learned_key key = {.address = *address, .policy = policy};
	struct apus_learned_address *known = bpf_map_lookup_elem(&learned_addresses, &key);

	if (!known) {
		learning->fresh.uses[0].name = learning->name;
		learning->fresh.uses[0].end_ns = end;
		learning->fresh.used_ns = learning->now;
		if (add_address(&key, &learning->fresh)) {
			learning->claimed++;
			return 1;
		}
		known = bpf_map_lookup_elem(&learned_addresses, &key);
		if (!known) {
			count_dns(APUS_DNS_COUNT_NO_ROOM);
			return 0;
		}
	}
	if (renew_address(known, end))
		return 1;
	count_dns(APUS_DNS_COUNT_CROWDED);
	return 1; // the agent could do no more about it
}

static long learn_step(__attribute__((unused)) __u64 index, void *context)
{
	struct dns_message *message = *(struct dns_message **)context;
	struct learning *learning = learning_here();
	const struct apus_dns_address *address;
	__u64 end;
	__u32 place;

	if (!learning)
		return 1;
	place = learning->place++;
	if (place >= message->answer.address_count)
		return 1;
	barrier_var(place);
	address = &message->addresses[place & (APUS_DNS_ADDRESSES_MAX - 1)];
	end = (__u64)address->lifetime * 1000000000;
	if (end < config.name_minimum_ns)
		end = config.name_minimum_ns;
	end += learning->now + config.name_grace_ns;
	for (__u32 number = 0; number < 2; number++) {
		__u32 policy = learning->policies[number];

		if (policy && !learn_for(learning, policy, &address->address, end))
			learning->missed++;
	}
	count_dns(APUS_DNS_COUNT_ADDRESSES);
	return 0;
}
