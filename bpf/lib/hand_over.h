// Answers that the agent is to learn from, as the data path did not.
#pragma once

#include "learn_address.h"

// Answers for the agent.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} dns_messages SEC(".maps");

// Gives a message to the agent.
GLOBAL int hand_over(struct __sk_buff *skb, __u32 offset, __u32 length, __u32 problem)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();
	struct apus_handed_over *record;

	if (!learning || !key)
		return 0;
	barrier_var(length);
	if (!length || length > APUS_HANDED_OVER_MAX) {
		count_dns(APUS_DNS_COUNT_LOST);
		return 0;
	}
	record = bpf_ringbuf_reserve(&dns_messages, sizeof(*record), 0);
	if (!record) {
		count_dns(APUS_DNS_COUNT_LOST);
		return 0;
	}
	record->time_ns = bpf_ktime_get_ns();
	record->connection = key->connection;
	record->endpoint = learning->endpoint;
	record->identity = learning->identity;
	record->length = length;
	record->problem = problem;
	if (bpf_skb_load_bytes(skb, offset, record->message, length) < 0) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		count_dns(APUS_DNS_COUNT_LOST);
		return 0;
	}
	count_dns(APUS_DNS_COUNT_HANDED_OVER);
	// The agent looks at a timer; nobody waits for the ring.
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}
