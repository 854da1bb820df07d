// Answers that the agent is to learn from, as the data path did not.
#pragma once

#include "learn_lock.h"

// Answers for the agent.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); // HANDED_OVER_BYTES
} dns_messages SEC(".maps");

enum {
	HANDED_OVER_BYTES = 1 << 20,
	HANDED_OVER_OF_POD = HANDED_OVER_BYTES / 4, // bytes of one pod that wait at once
	HANDED_OVER_RECORDS = 5, // more than a message of 64 KiB needs
};

// What of the ring a pod has taken.
struct ring_share {
	__u64 end; // a place of the ring behind which it has nothing
	__u64 bytes; // until that is read
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ring_share);
} ring_shares SEC(".maps");

// Whether a question with the id of the message at `offset` waits for its answer over the connection.
GLOBAL int is_asked(struct __sk_buff *skb, __u32 offset)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();

	if (!key || !learning || bpf_skb_load_bytes(skb, offset, &learning->word, sizeof(learning->word)) < 0)
		return 0;
	key->id = bpf_ntohs(learning->word);
	return bpf_map_lookup_elem(&dns_questions, key) != NULL;
}

// Takes room of the ring for a pod. Returns whether it may have that: once everything of it was read, it has its whole
// share again.
GLOBAL int take_ring_share(__u32 endpoint, __u32 bytes)
{
	struct ring_share none = {}, *share = bpf_map_lookup_elem(&ring_shares, &endpoint);

	if (!share) {
		bpf_map_update_elem(&ring_shares, &endpoint, &none, BPF_NOEXIST);
		share = bpf_map_lookup_elem(&ring_shares, &endpoint);
	}
	if (!share)
		return 0;
	if (bpf_ringbuf_query(&dns_messages, BPF_RB_CONS_POS) >= share->end)
		share->bytes = 0;
	if (share->bytes + bytes > HANDED_OVER_OF_POD)
		return 0;
	__sync_fetch_and_add(&share->bytes, bytes);
	share->end = bpf_ringbuf_query(&dns_messages, BPF_RB_PROD_POS) + bytes;
	return 1;
}

// Says what the record is about; the bytes follow it. Returns whether they are there.
ALWAYS_INLINE _Bool fill_record(struct __sk_buff *skb, struct apus_handed_over *record, __u32 offset, __u32 length,
				__u32 room)
{
	const struct apus_question_key *key = question_key_here();
	const struct learning *learning = learning_here();

	if (!key || !learning)
		return 0;
	*record = learning->record;
	record->offset += learning->record_place;
	record->time_ns = bpf_ktime_get_ns();
	record->connection = key->connection;
	record->endpoint = learning->endpoint;
	record->identity = learning->identity;
	record->length = length;
	barrier_var(length);
	return length && length <= room && bpf_skb_load_bytes(skb, offset, record + 1, length) == 0;
}

ALWAYS_INLINE _Bool give_record(struct __sk_buff *skb, __u32 offset, __u32 length, const __u32 room)
{
	struct apus_handed_over *record = bpf_ringbuf_reserve(&dns_messages, sizeof(*record) + room, 0);

	if (!record)
		return 0;
	if (!fill_record(skb, record, offset, length, room)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return 0;
	}
	// The agent looks at a timer; nobody waits for the ring.
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 1;
}

// What a record with so many bytes of a packet takes of the ring, its own header of eight bytes included.
ALWAYS_INLINE __u32 record_bytes(__u32 length)
{
	__u32 room = length <= APUS_HANDED_OVER_SMALL ? APUS_HANDED_OVER_SMALL : APUS_HANDED_OVER_MAX;

	return 8 + sizeof(struct apus_handed_over) + room;
}

// Gives bytes of the packet to the agent, as `record` of what is being learned describes them: in several records
// where one has no room for them.
GLOBAL int hand_over(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	struct learning *learning = learning_here();

	if (!learning)
		return 0;
	learning->record_place = 0;
#pragma clang loop unroll(disable)
	for (__u32 number = 0; number < HANDED_OVER_RECORDS && learning->record_place < length; number++) {
		__u32 place = learning->record_place, rest = length - place;

		if (rest > APUS_HANDED_OVER_MAX)
			rest = APUS_HANDED_OVER_MAX;
		if (!take_ring_share(learning->endpoint, record_bytes(rest))) {
			count_dns(APUS_DNS_COUNT_POD_SHARE);
			return 0;
		}
		if (!(rest <= APUS_HANDED_OVER_SMALL ? give_record(skb, offset + place, rest, APUS_HANDED_OVER_SMALL)
						     : give_record(skb, offset + place, rest, APUS_HANDED_OVER_MAX)))
			break;
		count_dns(APUS_DNS_COUNT_HANDED_OVER);
		learning->record_place = place + rest;
	}
	if (learning->record_place < length)
		count_dns(APUS_DNS_COUNT_LOST);
	return 0;
}

// Gives a whole message to the agent; as parts of one where it is longer than a record.
ALWAYS_INLINE void hand_over_message(struct __sk_buff *skb, struct learning *learning, __u32 offset, __u32 length,
				     __u32 problem)
{
	// In place: the stack of those who get here is short.
	__builtin_memset(&learning->record, 0, sizeof(learning->record));
	learning->record.problem = problem;
	if (length > APUS_HANDED_OVER_MAX) {
		learning->record.kind = APUS_HANDED_OVER_SEGMENT;
		// As good as any, as no two messages begin at one time at one place.
		learning->record.number = learning->now + offset;
		learning->record.total = length;
	}
	hand_over(skb, offset, length);
}

// Gives a part of a message to the agent. `total`: the bytes of the message, 0: not known.
ALWAYS_INLINE void hand_over_part(struct __sk_buff *skb, struct learning *learning, __u32 offset, __u32 length,
				  __u32 total)
{
	learning->record.problem = APUS_DNS_LENGTH;
	learning->record.total = total;
	hand_over(skb, offset, length);
}
