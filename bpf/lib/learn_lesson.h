// What the agent has done by a program, as test runs: it learns, and lets go of addresses, under the same locks and
// counts as the data path. A write from outside would replace what that has just written.
#pragma once

#include "learn_address.h"

static long hash_step(__attribute__((unused)) __u64 index, void *context)
{
	struct dns_message *message = *(struct dns_message **)context;
	__u32 place = message->place++, character;

	if (place > message->answer.name_length || !message->answer.name_length)
		return 1;
	barrier_var(place);
	character = message->name[place & (APUS_DNS_NAME_MAX - 1)];
	message->walk.hash = dns_hash(message->walk.hash, place < message->answer.name_length ? character : '.');
	return 0;
}

// Takes the name of the lesson as the one in question. Returns whether it is one.
ALWAYS_INLINE _Bool take_name(struct learning *learning, struct dns_message *message)
{
	if (learning->lesson.length >= APUS_DNS_NAME_MAX)
		return 0;
	__builtin_memcpy(message->name, learning->lesson.text, sizeof(message->name));
	message->answer.name_length = learning->lesson.length;
	message->walk.hash = dns_hash_start();
	message->place = 0;
	bpf_loop(APUS_DNS_NAME_MAX, hash_step, &message, 0);
	learning->name = message->walk.hash;
	learning->now = learning->lesson.time_ns;
	learning->set = learning->lesson.set;
	learning->policies[0] = learning->lesson.policies[0];
	learning->policies[1] = learning->lesson.policies[1];
	learning->missed = learning->claimed = learning->crammed = 0;
	return 1;
}

// A name without addresses is not noted where it is not held.
ALWAYS_INLINE int note_set(const struct learning *learning)
{
	__u64 hash = learning->name;

	fill_name();
#pragma clang loop unroll(disable)
	for (__u32 attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
		struct apus_learned_name *known = bpf_map_lookup_elem(&learned_names, &hash);

		if (!known)
			return APUS_LESSON_LEARNED;
		if (!is_same_text(known)) {
			if (bpf_map_lookup_elem(&learned_names, &hash) == known)
				return APUS_LESSON_COLLIDED;
			continue;
		}
		if (!hold_name(hash, known))
			continue;
		known->set = learning->set;
		let_go_of_name(hash, APUS_NAME_LEARNING, 0);
		return APUS_LESSON_LEARNED;
	}
	return APUS_LESSON_BUSY;
}

// Learns the address of the lesson.
GLOBAL int learn_lesson_address(void)
{
	struct learning *learning = learning_here();

	if (!learning)
		return 0;
	learning->key = (struct apus_learned_key){.address = learning->lesson_address.address};
	learning->end_ns = learning->lesson_address.end_ns;
	learning->used_ns = learning->lesson_address.used_ns;
	learning->judged = learning->lesson_address.judged;
	learn_for_policies(learning);
	return 0;
}

// What becomes of a lesson whose name is not noted.
ALWAYS_INLINE int name_lesson_outcome(int outcome)
{
	if (outcome == NAME_COLLIDES)
		return APUS_LESSON_COLLIDED;
	return outcome == NAME_HAS_NO_ROOM ? APUS_LESSON_NO_ROOM : APUS_LESSON_BUSY;
}

// Learns what the packet says: see struct apus_lesson. Returns enum apus_lesson_outcome.
ALWAYS_INLINE int learn_lesson(struct __sk_buff *skb)
{
	struct learning *learning = learning_here();
	struct dns_message *message = dns_message_here();
	__u32 offset = APUS_LESSON_OFFSET + sizeof(learning->lesson);
	int outcome;

	if (!learning || !message ||
	    bpf_skb_load_bytes(skb, APUS_LESSON_OFFSET, &learning->lesson, sizeof(learning->lesson)) < 0 ||
	    !take_name(learning, message))
		return APUS_LESSON_NO_ROOM;
	if (!learning->lesson.count)
		return note_set(learning);
	outcome = note_name();
	if (outcome)
		return name_lesson_outcome(outcome);
#pragma clang loop unroll(disable)
	for (__u32 number = 0; number < APUS_LESSON_MOST && number < learning->lesson.count; number++) {
		if (bpf_skb_load_bytes(skb, offset, &learning->lesson_address, sizeof(learning->lesson_address)) < 0)
			break;
		learn_lesson_address();
		offset += sizeof(learning->lesson_address);
	}
	let_go_of_name(learning->name, APUS_NAME_LEARNING, learning->claimed);
	if (learning->crammed)
		return APUS_LESSON_NO_ROOM;
	return learning->missed ? APUS_LESSON_BUSY : APUS_LESSON_LEARNED;
}

// Lets go of the names of a part that end by then. Returns how many are left.
GLOBAL int let_go_of_part(struct apus_learned_address *address, __u64 end, __u32 policy)
{
	int left = 0, gone = 0;

	if (!address)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 index = 0; index < APUS_LEARNED_NAMES; index++) {
		__u64 name = address->uses[index].name;

		if (!name)
			continue;
		if (address->uses[index].end_ns > end) {
			left++;
			continue;
		}
		*(volatile __u64 *)&address->uses[index].end_ns = 0;
		*(volatile __u64 *)&address->uses[index].name = 0;
		let_go_of_name(name, 1, 0);
		gone++;
	}
	if (gone)
		give_learned_share_back(policy, 0, gone);
	return left;
}

// Lets go of names in the further parts, and of those parts that have none left. 0: none of these parts is left.
GLOBAL int let_go_of_further(__u32 further)
{
	struct learning *learning = learning_here();
	int sum = 0;

	if (!learning)
		return 0;
	learning->part = learning->key;
#pragma clang loop unroll(disable)
	for (__u32 number = 1; number < APUS_LEARNED_PARTS && number <= further; number++) {
		struct apus_learned_address *address;
		int left;

		learning->part.part = number;
		address = bpf_map_lookup_elem(&learned_addresses, &learning->part);
		left = address ? let_go_of_part(address, learning->leaving.end_ns, learning->key.policy) : 0;
		if (address && !left && !bpf_map_delete_elem(&learned_addresses, &learning->part))
			give_learned_share_back(learning->key.policy, 1, 0);
		else if (address)
			sum += left ? left : 1; // it is still there
	}
	return sum;
}

// Lets go of the address that `leaving` describes. Returns whether it is gone.
GLOBAL int let_go_of_address(void)
{
	struct learning *learning = learning_here();
	struct apus_learned_address *head;
	int left, gone;

	if (!learning)
		return 0;
	learning->key = learning->leaving.key;
	head = lock_address(learning);
	if (!head)
		return !learning->busy;
	gone = 0;
	if (head->used_ns <= learning->leaving.used_ns) {
		left = let_go_of_further(head->further);
		if (!left)
			head->further = 0;
		left += let_go_of_part(head, learning->leaving.end_ns, learning->key.policy);
		gone = !left && !bpf_map_delete_elem(&learned_addresses, &learning->key);
	}
	if (gone)
		give_learned_share_back(learning->key.policy, 1, 0);
	else
		unlock_address(head);
	return gone;
}

// Lets go of the addresses in the packet: struct apus_let_go. Returns how many are gone.
ALWAYS_INLINE int let_go_of_addresses(struct __sk_buff *skb)
{
	struct learning *learning = learning_here();
	__u32 offset = APUS_LESSON_OFFSET;
	int gone = 0;

	if (!learning)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 number = 0; number < APUS_LET_GO_MOST; number++) {
		if (bpf_skb_load_bytes(skb, offset, &learning->leaving, sizeof(learning->leaving)) < 0)
			break;
		gone += let_go_of_address();
		offset += sizeof(learning->leaving);
	}
	return gone;
}
