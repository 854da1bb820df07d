// How an address is learned under a name, or renewed (docs/fqdn.md).
#pragma once

#include "learn_name.h"

// Which places of an address a name takes, in the order in which it looks for one in all parts.
enum use_round {
	USE_OF_NAME, // the one that it has
	USE_FREE, // or one whose loss changes nothing
	USE_ROUNDS,
};

// What is lost when a name takes the place of another one, if none is free: the less, the better.
enum loss {
	LOSS_NONE, // nobody has the place, but the policy may not take it either: it has its share
	LOSS_OF_NAME, // the same patterns match the new one, which ends later: connections are judged as before
	LOSS_OF_RIGHTS,
	LOSS_UNKNOWN, // no place was looked at
};

// Whether nobody has the place, or a name that is of no use. One that has ended may be what a live connection was
// admitted by, if one was ever judged by the address.
ALWAYS_INLINE _Bool is_free(const struct apus_learned_use *use, const struct learning *learning)
{
	return !use->name || (use->end_ns <= learning->now && !learning->judged);
}

// The pattern set of a name of an address that is locked. It is held by that, so nobody deletes it meanwhile.
ALWAYS_INLINE __u32 set_of_use(const struct apus_learned_use *use)
{
	__u64 hash = use->name;

	return set_of_name(bpf_map_lookup_elem(&learned_names, &hash));
}

// Notes whether the name at hand admits nothing that another one does not.
ALWAYS_INLINE enum loss loss_of(const struct apus_learned_use *use, struct learning *learning)
{
	if (set_of_use(use) != learning->set)
		return LOSS_OF_RIGHTS;
	if (use->end_ns < learning->end_ns)
		return LOSS_OF_NAME;
	learning->covered = 1;
	return LOSS_OF_RIGHTS;
}

// Takes a place for the name at hand. Between the two names it does not count for a connection, unless the same
// patterns match both.
ALWAYS_INLINE void take_use(struct apus_learned_use *use, struct learning *learning)
{
	__u64 old = use->name;

	if (old && set_of_use(use) != learning->set)
		*(volatile __u64 *)&use->end_ns = 0;
	*(volatile __u64 *)&use->name = learning->name;
	*(volatile __u64 *)&use->end_ns = learning->end_ns;
	learning->claimed++;
	if (old)
		let_go_of_name(old, 1, 0);
}

// The place that a name takes in a part, APUS_LEARNED_NAMES: none. Rather one that nobody has.
GLOBAL int find_place(const struct apus_learned_address *address, __u32 round)
{
	const struct learning *learning = learning_here();
	__u32 found = APUS_LEARNED_NAMES;

	if (!address || !learning)
		return APUS_LEARNED_NAMES;
#pragma clang loop unroll(disable)
	for (__u32 index = 0; index < APUS_LEARNED_NAMES; index++) {
		const struct apus_learned_use *use = &address->uses[index];

		if (use->name == (round == USE_OF_NAME ? learning->name : 0))
			return index;
		if (round == USE_FREE && is_free(use, learning))
			found = index;
	}
	return found;
}

// Learns the name in a part of an address that is locked, if there is a place for it. Returns whether it has it.
ALWAYS_INLINE _Bool learn_part(struct apus_learned_address *address, struct learning *learning, __u32 round)
{
	__u32 place = find_place(address, round);
	struct apus_learned_use *use;

	if (place >= APUS_LEARNED_NAMES)
		return 0;
	use = &address->uses[place];
	if (round == USE_FREE) {
		if (!use->name && !take_learned_share(learning->key.policy, 0)) {
			learning->full = learning->over_share = 1;
			return 0;
		}
		take_use(use, learning);
	} else if (use->end_ns < learning->end_ns) {
		use->end_ns = learning->end_ns;
	}
	return 1;
}

// Returns whether the address, or a part of one, is new and there was room for it. `full` tells that there was none.
ALWAYS_INLINE _Bool add_part(struct learning *learning, const struct apus_learned_key *key, _Bool is_first)
{
	long failed;

	if (!take_learned_share(learning->key.policy, 1)) {
		learning->full = learning->over_share = 1;
		return 0;
	}
	learning->fresh.uses[0].name = learning->name;
	learning->fresh.uses[0].end_ns = learning->end_ns;
	learning->fresh.used_ns = is_first ? learning->used_ns : 0;
	learning->fresh.judged = is_first && learning->judged;
	failed = bpf_map_update_elem(&learned_addresses, key, &learning->fresh, BPF_NOEXIST);
	learning->full = failed && failed != -EEXIST;
	if (!failed)
		learning->claimed++;
	else
		give_learned_share_back(learning->key.policy, 1, 1);
	return !failed;
}

// The part of an address that is locked, whose first one is `head`; NULL: there is none.
ALWAYS_INLINE struct apus_learned_address *part_of(struct apus_learned_address *head, struct learning *learning,
						   __u32 number)
{
	if (!number)
		return head;
	learning->part = learning->key;
	learning->part.part = number;
	return number <= head->further ? bpf_map_lookup_elem(&learned_addresses, &learning->part) : NULL;
}

// Learns the name in one of the parts of an address that is locked. `number`: of the part.
GLOBAL int learn_in_part(struct apus_learned_address *head, __u32 number, __u32 round)
{
	struct learning *learning = learning_here();
	struct apus_learned_address *address;

	if (!head || !learning)
		return 0;
	address = part_of(head, learning, number);
	if (address)
		return learn_part(address, learning, round);
	if (round == USE_OF_NAME)
		return 0;
	// Known before it is there: nobody misses it.
	if (head->further < number)
		head->further = number;
	return add_part(learning, &learning->part, 0);
}

// Whether less may be lost by a place than by the one that was found. To find out takes a look-up, and an address with
// hundreds of names under one wildcard has many places.
ALWAYS_INLINE _Bool may_lose_less(const struct apus_learned_use *use, const struct learning *learning)
{
	if (!use->name || learning->loss > LOSS_OF_NAME)
		return 1;
	return learning->loss == LOSS_OF_NAME && use->end_ns < learning->taken_end_ns;
}

// Looks in a part for the place by which least is lost, and of those for the one of the name that ends first.
GLOBAL int weigh_part(struct apus_learned_address *head, __u32 number)
{
	struct learning *learning = learning_here();
	const struct apus_learned_address *address = head && learning ? part_of(head, learning, number) : NULL;

	if (!learning || !address)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 index = 0; index < APUS_LEARNED_NAMES; index++) {
		const struct apus_learned_use *use = &address->uses[index];
		__u32 loss;

		if (!may_lose_less(use, learning))
			continue;
		loss = use->name ? loss_of(use, learning) : LOSS_NONE;
		if (loss > learning->loss || (loss == learning->loss && use->end_ns >= learning->taken_end_ns))
			continue;
		learning->loss = loss;
		learning->taken_end_ns = use->end_ns;
		learning->taken_part = number;
		learning->taken_place = use->name ? index : APUS_LEARNED_NAMES;
	}
	return 0;
}

// Takes the place that was found, if any. Returns whether the name has it.
GLOBAL int take_found_place(struct apus_learned_address *head)
{
	struct learning *learning = learning_here();
	struct apus_learned_address *address = head && learning ? part_of(head, learning, learning->taken_part) : NULL;
	__u32 place;

	if (!learning || !address)
		return 0;
	place = learning->taken_place;
	if (place >= APUS_LEARNED_NAMES)
		return 0;
	if (address->uses[place].end_ns > learning->now)
		count_dns(APUS_DNS_COUNT_CROWDED);
	take_use(&address->uses[place], learning);
	return 1;
}

// Learns the name in the place of another one: that by which least is lost, of all parts. Not while there may yet be
// room for a further part, if it would be missed. A name that admits nothing more than others takes nobody's rights: it
// is the one that goes.
ALWAYS_INLINE _Bool learn_instead(struct learning *learning, struct apus_learned_address *head, _Bool may_have_room)
{
	learning->loss = LOSS_UNKNOWN;
	learning->covered = 0;
#pragma clang loop unroll(disable)
	for (__u32 part = 0; part < APUS_LEARNED_PARTS; part++)
		weigh_part(head, part);
	if (learning->full && may_have_room && (learning->judged || learning->loss != LOSS_OF_NAME))
		return 0;
	if (learning->loss == LOSS_OF_RIGHTS && learning->covered) {
		count_dns(APUS_DNS_COUNT_CROWDED);
		return 1;
	}
	return take_found_place(head);
}

// Learns the name for an address that is locked: where it is, else where nothing is lost, else in the place of the name
// by which least is. A name that was just answered has to count. Returns whether it does.
ALWAYS_INLINE _Bool learn_locked(struct learning *learning, struct apus_learned_address *head, _Bool may_have_room)
{
	__u32 judged = learning->judged;
	_Bool learned = 1;

	if (head->used_ns < learning->used_ns)
		head->used_ns = learning->used_ns;
	if (judged)
		head->judged = 1;
	learning->judged = head->judged;
	learning->full = 0;
#pragma clang loop unroll(disable)
	for (__u32 place = 0; place < USE_ROUNDS * APUS_LEARNED_PARTS; place++)
		if (learn_in_part(head, place % APUS_LEARNED_PARTS, place / APUS_LEARNED_PARTS))
			goto learned;
	learned = learn_instead(learning, head, may_have_room);
learned:
	learning->judged = judged;
	return learned;
}

// Learns the address at hand. Returns whether there was room, if need be once some was made: that takes long, so no
// address is locked meanwhile.
GLOBAL int learn_address(void)
{
	struct learning *learning = learning_here();
	_Bool may_have_room = 1;

	if (!learning)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 attempt = 0; attempt < 4; attempt++) {
		struct apus_learned_address *head = lock_address(learning);
		_Bool learned;

		learning->over_share = 0;
		if (head) {
			learned = learn_locked(learning, head, may_have_room);
			unlock_address(head);
		} else if (learning->busy) {
			return 0;
		} else {
			// Another CPU may have been first.
			learned = add_part(learning, &learning->key, 1);
		}
		if (learned)
			return 1;
		if (learning->full)
			may_have_room = may_have_room && make_room();
	}
	learning->crammed = 1;
	count_dns(learning->over_share ? APUS_DNS_COUNT_POLICY_SHARE : APUS_DNS_COUNT_NO_ROOM);
	return 0;
}

// Learns the address at hand for the policies at hand.
ALWAYS_INLINE void learn_for_policies(struct learning *learning)
{
#pragma clang loop unroll(disable)
	for (__u32 number = 0; number < 2; number++) {
		learning->key.policy = learning->policies[number & 1];
		if (learning->key.policy && !learn_address())
			learning->missed++;
	}
}
