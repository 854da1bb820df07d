// Answers over TCP: several in one segment, and such that go over several segments (RFC 1035 §4.2.2). Those are for
// the agent, part by part; here is only noted where they end, and so where the next one begins.
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
	HALF_LENGTH = 1 << 31, // the stream ended behind the upper byte of a length, which is the lower one here
};

// The sequence number of the byte at `offset` of the packet.
ALWAYS_INLINE __u32 sequence_of(const struct learning *learning, __u32 offset)
{
	return bpf_ntohl(learning->sequence) + offset - learning->first;
}

// The segment begins with the lower byte of a length whose upper one came before. Returns where the message begins.
ALWAYS_INLINE __u32 continue_length(struct __sk_buff *skb, struct learning *learning,
				    const struct apus_connection_key *key, __u32 upper)
{
	__u32 first = learning->first;
	__u8 lower;

	if (bpf_skb_load_bytes(skb, first, &lower, sizeof(lower)) < 0)
		return 0;
	bpf_map_delete_elem(&dns_streams, key);
	learning->carried = 1 + ((upper & 0xff) << 8 | lower);
	return first + sizeof(lower);
}

// Hands over what belongs to the answer that the segment goes on with. Returns where the next answer begins, 0: the
// segment has none.
GLOBAL int continue_stream(struct __sk_buff *skb)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();
	const struct answer_stream *known;
	__u32 behind, length, rest, first;

	if (!key || !learning)
		return 0;
	first = learning->first;
	learning->carried = 0;
	known = bpf_map_lookup_elem(&dns_streams, &key->connection);
	if (!known)
		return first;
	behind = sequence_of(learning, first) - known->start;
	length = known->length;
	// Before it: sent again from its beginning, or from the one before. The length is no part of it.
	if (known->opened_ns != learning->stream.opened_ns || (__s32)behind < 0)
		return first;
	if (length & HALF_LENGTH)
		return behind ? first : continue_length(skb, learning, &key->connection, length);
	learning->record.number = known->start;
	if (!behind && learning->end - first >= length) {
		// Only its length came before: it is here as a whole.
		bpf_map_delete_elem(&dns_streams, &key->connection);
		learning->carried = length + 1;
		return first;
	}
	if (behind + (learning->end - first) >= length)
		bpf_map_delete_elem(&dns_streams, &key->connection);
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
GLOBAL int begin_stream(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();

	if (!key || !learning)
		return 0;
	count_dns(APUS_DNS_COUNT_SEGMENTED);
	if (offset + sizeof(learning->word) <= learning->end) {
		if (bpf_skb_load_bytes(skb, offset, &learning->word, sizeof(learning->word)) < 0)
			return 0;
		key->id = bpf_ntohs(learning->word);
		if (!bpf_map_lookup_elem(&dns_questions, key)) {
			count_dns(APUS_DNS_COUNT_UNASKED);
			return 0;
		}
	}
	learning->stream.start = learning->record.number = sequence_of(learning, offset);
	learning->stream.length = length;
	bpf_map_update_elem(&dns_streams, &key->connection, &learning->stream, BPF_ANY);
	learning->record.kind = APUS_HANDED_OVER_SEGMENT;
	learning->record.offset = 0;
	if (offset < learning->end)
		hand_over_part(skb, learning, offset, learning->end - offset, length);
	return 0;
}

// What is left of a segment: the upper byte of a length, which is noted, or more answers than are looked for, which the
// agent gets in a row.
GLOBAL int leave_rest(struct __sk_buff *skb, __u32 offset)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();
	__u32 length;
	__u8 upper;

	if (!key || !learning || offset >= learning->end)
		return 0;
	count_dns(APUS_DNS_COUNT_SEGMENTED);
	if (offset + DNS_STREAM_LENGTH <= learning->end) {
		learning->record.kind = APUS_HANDED_OVER_ROW;
		learning->record.number = sequence_of(learning, offset);
		learning->record.offset = 0;
		length = learning->end - offset;
		hand_over_part(skb, learning, offset, length, length > APUS_HANDED_OVER_MAX ? length : 0);
		return 0;
	}
	if (bpf_skb_load_bytes(skb, offset, &upper, sizeof(upper)) < 0)
		return 0;
	learning->stream.start = sequence_of(learning, offset) + sizeof(upper);
	learning->stream.length = HALF_LENGTH | upper;
	bpf_map_update_elem(&dns_streams, &key->connection, &learning->stream, BPF_ANY);
	return 0;
}

// Moves behind the length of the message at `offset`, unless it was read already. Returns the length, and 1 more.
ALWAYS_INLINE __u32 stream_length(struct __sk_buff *skb, struct learning *learning, __u32 *offset)
{
	__u32 carried = learning->carried;

	if (carried) {
		learning->carried = 0;
		return carried;
	}
	if (*offset + DNS_STREAM_LENGTH > learning->end ||
	    bpf_skb_load_bytes(skb, *offset, &learning->word, sizeof(learning->word)) < 0)
		return 0;
	*offset += DNS_STREAM_LENGTH;
	return bpf_ntohs(learning->word) + 1;
}

// Learns from the segment that was found.
GLOBAL int learn_segment(struct __sk_buff *skb)
{
	struct learning *learning = learning_here();
	__u32 offset;

	if (!learning)
		return 0;
	offset = continue_stream(skb);
#pragma clang loop unroll(disable)
	for (int i = 0; i < DNS_STREAM_MESSAGES && offset && offset < learning->end; i++) {
		__u32 length = stream_length(skb, learning, &offset);

		if (!length)
			break;
		length--;
		if (offset + length > learning->end) {
			begin_stream(skb, offset, length);
			return 0;
		}
		learn_message(skb, learning, offset, length);
		offset += length;
	}
	if (learning->carried) // the segment was the rest of a length, and no more
		begin_stream(skb, offset, learning->carried - 1);
	else if (offset)
		leave_rest(skb, offset);
	return 0;
}
