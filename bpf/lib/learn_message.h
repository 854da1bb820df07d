// What one DNS answer teaches, if it is to a question that was asked over its connection.
#pragma once

#include "answer.h"
#include "hand_over.h"
#include "learn_address.h"

enum {
	DNS_MESSAGES_AT_ONCE = 8, // that are learned from in one packet
};

// Whether the parsed answer is to a question that was asked over the connection and still waits: then that is answered,
// and told.
GLOBAL int answers_question(void)
{
	const struct dns_message *message = dns_message_here();
	const struct learning *learning = learning_here();
	struct apus_question_key *key = question_key_here();
	const struct apus_question *question;

	if (!message || !learning || !key)
		return 0;
	key->id = message->answer.id;
	question = bpf_map_lookup_elem(&dns_questions, key);
	if (!question) {
		count_dns(APUS_DNS_COUNT_UNASKED);
		return 0;
	}
	if (question->hash != question_hash(message)) {
		count_dns(APUS_DNS_COUNT_MISMATCHED);
		return 0;
	}
	// The coarse clock may be behind the exact time of the question.
	if ((__s64)(learning->now - question->asked_ns) > (__s64)config.question_timeout_ns) {
		count_dns(APUS_DNS_COUNT_LATE);
		return 0;
	}
	report_answer(question);
	bpf_map_delete_elem(&dns_questions, key);
	return 1;
}

static long learn_step(__attribute__((unused)) __u64 index, void *context)
{
	struct dns_message *message = *(struct dns_message **)context;
	struct learning *learning = learning_here();
	const struct apus_dns_address *address;
	__u64 lifetime;
	__u32 place;

	if (!learning)
		return 1;
	place = learning->place++;
	address = place < message->answer.address_count ? dns_address_at(place) : NULL;
	if (!address)
		return 1;
	lifetime = address->lifetime < APUS_LEARNED_LONGEST ? address->lifetime : APUS_LEARNED_LONGEST;
	lifetime *= 1000000000;
	if (lifetime < config.name_minimum_ns)
		lifetime = config.name_minimum_ns;
	learning->key = (struct apus_learned_key){.address = address->address};
	learning->end_ns = learning->now + lifetime + config.name_grace_ns;
	learning->used_ns = learning->now;
	learning->judged = 0;
	learn_for_policies(learning);
	count_dns(APUS_DNS_COUNT_ADDRESSES);
	return 0;
}

// Learns from the answer that was parsed in this CPU's memory. Returns whether there was room for all.
GLOBAL int learn_parsed(void)
{
	struct dns_message *message = dns_message_here();
	struct learning *learning = learning_here();
	int outcome;

	if (!message || !learning || !answers_question())
		return 1;
	learning->set = message->answer.address_count ? domain_match(message) : 0;
	if (!learning->set) {
		count_dns(APUS_DNS_COUNT_UNMATCHED);
		return 1;
	}
	learning->name = message->names[0];
	learning->place = learning->missed = learning->claimed = 0;
	outcome = note_name();
	if (outcome == NAME_COLLIDES) {
		count_dns(APUS_DNS_COUNT_COLLIDED);
		return 1;
	}
	if (outcome != NAME_NOTED)
		return 0;
	bpf_loop(APUS_DNS_ADDRESSES_MAX, learn_step, &message, 0);
	let_go_of_name(learning->name, APUS_NAME_LEARNING, learning->claimed);
	count_dns(APUS_DNS_COUNT_LEARNED);
	return !learning->missed;
}

// Learns from the message at `offset`, or leaves it to the agent, as far as anybody waits for it: whoever makes answers
// that nobody can parse is not to fill the ring with them.
ALWAYS_INLINE void learn_message(struct __sk_buff *skb, struct learning *learning, __u32 offset, __u32 length)
{
	int problem = dns_read(skb, offset, length);

	if (!problem) {
		if (!learn_parsed())
			hand_over_message(skb, learning, offset, length, problem);
	} else if (length >= sizeof(learning->word) && is_asked(skb, offset)) {
		count_dns(APUS_DNS_COUNT_UNPARSED);
		hand_over_message(skb, learning, offset, length, problem);
	} else {
		count_dns(APUS_DNS_COUNT_UNASKED);
	}
}

enum {
	DNS_MERGED_DATAGRAMS = 128, // UDP_MAX_SEGMENTS of senders; the receive offload merges 64
};

// The length of the datagram at `first`: of those that the receive offload, or a sender of the node by UDP_SEGMENT, has
// merged, all but the last one are `gso_size` long.
ALWAYS_INLINE __u32 datagram_length(struct __sk_buff *skb, const struct learning *learning)
{
	__u32 rest = learning->end - learning->first, size = skb->gso_size;

	return size && size < rest ? size : rest;
}

// Learns from the next datagram of those that were found. Returns whether there is one more.
GLOBAL int learn_datagram(struct __sk_buff *skb)
{
	struct learning *learning = learning_here();
	__u32 length;

	if (!learning || learning->first >= learning->end)
		return 0;
	length = datagram_length(skb, learning);
	learn_message(skb, learning, learning->first, length);
	learning->first += length;
	return learning->first < learning->end;
}

// Leaves the rest to the agent, as far as anybody waits for it.
GLOBAL int leave_datagrams(struct __sk_buff *skb)
{
	struct learning *learning = learning_here();

	if (!learning)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < DNS_MERGED_DATAGRAMS && learning->first < learning->end; i++) {
		__u32 length = datagram_length(skb, learning);

		if (is_asked(skb, learning->first))
			hand_over_message(skb, learning, learning->first, length, APUS_DNS_LENGTH);
		else
			count_dns(APUS_DNS_COUNT_UNASKED);
		learning->first += length;
	}
	return 0;
}

// Learns from the datagrams that were found. Nothing is kept from one to the next, as those who learn need the stack.
ALWAYS_INLINE void learn_datagrams(struct __sk_buff *skb)
{
#pragma clang loop unroll(full)
	for (int i = 0; i < DNS_MESSAGES_AT_ONCE; i++)
		if (!learn_datagram(skb))
			return;
	leave_datagrams(skb);
}
