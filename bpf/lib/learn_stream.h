// Answers over TCP: several in one segment, and such that go over several segments (RFC 1035 §4.2.2). Those are for the
// agent, part by part; here is only noted where they end, and so where the next one begins.
#pragma once

#include "learn_message.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct apus_connection_key);
	__type(value, struct answer_stream);
} dns_streams SEC(".maps");

enum {
	DNS_STREAM_MESSAGES = 8, // that are looked for in one segment
	TCP_SEQUENCE_OFFSET = 4, // in the header
};

// Hands over what belongs to the answer that the segment goes on with. Returns where the next answer begins, 0: the
// segment has none.
ALWAYS_INLINE __u32 continue_stream(struct __sk_buff *skb, struct learning *learning,
				    const struct apus_connection_key *key, __u32 sequence)
{
	const struct answer_stream *known = bpf_map_lookup_elem(&dns_streams, key);
	__u32 behind, length, rest, first = learning->first;

	if (!known)
		return first;
	behind = sequence - known->start;
	length = known->length;
	// Before it: sent again from its beginning, or from the one before. The length is no part of it.
	if (known->opened_ns != learning->stream.opened_ns || (__s32)behind < 0)
		return first;
	learning->record.number = known->start;
	if (behind + (learning->end - first) >= length)
		bpf_map_delete_elem(&dns_streams, key);
	if (behind == length)
		return first;
	count_dns(APUS_DNS_COUNT_SEGMENTED);
	if (behind > length)
		return 0; // a segment is missing before this one
	rest = length - behind;
	if (rest > learning->end - first)
		rest = learning->end - first;
	learning->record.kind = APUS_HANDED_OVER_SEGMENT;
	learning->record.offset = behind;
	hand_over_part(skb, learning, first, rest, length);
	return first + rest < learning->end ? first + rest : 0;
}

// An answer begins at `offset` of which the segment has not all: its first part is for the agent. Nothing is noted of
// what nobody asked for, so that bytes which only look like a beginning do not put the rest of the stream off.
ALWAYS_INLINE void begin_stream(struct __sk_buff *skb, struct learning *learning, struct apus_question_key *key,
				__u32 offset, __u32 sequence, __u32 length)
{
	if (offset + sizeof(learning->word) <= learning->end) {
		if (bpf_skb_load_bytes(skb, offset, &learning->word, sizeof(learning->word)) < 0)
			return;
		key->id = bpf_ntohs(learning->word);
		if (!bpf_map_lookup_elem(&dns_questions, key)) {
			count_dns(APUS_DNS_COUNT_UNASKED);
			return;
		}
	}
	learning->stream.start = learning->record.number = sequence;
	learning->stream.length = length;
	bpf_map_update_elem(&dns_streams, &key->connection, &learning->stream, BPF_ANY);
	learning->record.kind = APUS_HANDED_OVER_SEGMENT;
	learning->record.offset = 0;
	if (offset < learning->end)
		hand_over_part(skb, learning, offset, learning->end - offset, length);
}

// Learns from the segment that was found.
GLOBAL int learn_segment(struct __sk_buff *skb)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();
	__u32 offset, sequence;

	if (!key || !learning)
		return 0;
	sequence = bpf_ntohl(learning->sequence);
	offset = continue_stream(skb, learning, &key->connection, sequence);
	sequence -= learning->first;
#pragma clang loop unroll(disable)
	for (int i = 0; i < DNS_STREAM_MESSAGES && offset && offset < learning->end; i++) {
		__u32 length;

		if (offset + DNS_STREAM_LENGTH > learning->end ||
		    bpf_skb_load_bytes(skb, offset, &learning->word, sizeof(learning->word)) < 0)
			break;
		length = bpf_ntohs(learning->word);
		offset += DNS_STREAM_LENGTH;
		if (offset + length > learning->end) {
			count_dns(APUS_DNS_COUNT_SEGMENTED);
			begin_stream(skb, learning, key, offset, sequence + offset, length);
			return 0;
		}
		learn_message(skb, learning, offset, length);
		offset += length;
	}
	// More answers than are looked for, or half of a length.
	if (offset && offset < learning->end)
		count_dns(APUS_DNS_COUNT_SEGMENTED);
	return 0;
}
