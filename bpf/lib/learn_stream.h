// Answers over TCP: several in one segment, and such that go over several segments (RFC 1035 §4.2.2). Those are for
// the agent, part by part.
//
// Where an answer begins follows from the resolver's SYN and from the lengths before each answer, and from nothing
// else: a pod decides where segments begin, by its window and by what it acknowledges, and whom it asks for a record
// may have put an answer of his own into that. Where it is not known, nothing is learned.
#pragma once

#include "learn_late.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct apus_connection_key);
	__type(value, struct answer_stream);
} dns_streams SEC(".maps");

enum {
	DNS_ROW_MESSAGES = 1 << 15, // more than a segment has room for
	TCP_SEQUENCE_OFFSET = 4, // in the header
};

// The sequence number of the byte at `offset` of the packet.
ALWAYS_INLINE __u32 sequence_of(const struct learning *learning, __u32 offset)
{
	return bpf_ntohl(learning->sequence) + offset - learning->first;
}

// Notes how the stream goes on. An update and not a store, as the entry may be another connection's by now.
GLOBAL int note_stream(__u32 next, __u32 state)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();

	if (!key || !learning)
		return 0;
	leave_behind(&learning->stream);
	learning->stream.next = next;
	learning->stream.state = state;
	return bpf_map_update_elem(&dns_streams, &key->connection, &learning->stream, BPF_ANY);
}

// Returns where in the segment the next length begins, or the message where its length is complete with this segment.
// 0: not in this segment.
ALWAYS_INLINE __u32 find_boundary(struct __sk_buff *skb, struct learning *learning)
{
	__s32 ahead = learning->stream.next - bpf_ntohl(learning->sequence);
	__u32 offset = learning->first + ahead, state = learning->stream.state;
	__u8 lower;

	if (ahead < 0) { // a segment is missing before this one
		count_dns(APUS_DNS_COUNT_UNALIGNED);
		return 0;
	}
	if (offset >= learning->end) // sent again
		return 0;
	if (!(state & STREAM_HALF))
		return offset;
	if (bpf_skb_load_bytes(skb, offset, &lower, sizeof(lower)) < 0)
		return 0;
	learning->carried = 1 + ((state & 0xff) << 8 | lower);
	return offset + sizeof(lower);
}

// Hands over what belongs to the answer that is under way. Returns where the next one begins, as find_boundary does.
ALWAYS_INLINE __u32 continue_message(struct __sk_buff *skb, struct learning *learning)
{
	__u32 length = learning->stream.state & STREAM_LENGTH, from = learning->first, rest;
	__s32 behind = bpf_ntohl(learning->sequence) - (learning->stream.next - length);

	if (behind < 0) { // sent again, from before its beginning
		from -= behind;
		behind = 0;
	}
	if (from >= learning->end)
		return 0;
	if (behind >= (__s32)length)
		return find_boundary(skb, learning);
	rest = length - behind;
	if (rest > learning->end - from)
		rest = learning->end - from;
	if (rest == length) { // only its length came before: it is here as a whole
		learning->stream.state &= ~STREAM_WITHIN;
		learning->carried = length + 1;
		return from;
	}
	count_dns(APUS_DNS_COUNT_SEGMENTED);
	if (!(learning->stream.state & STREAM_UNASKED)) {
		learning->record.kind = APUS_HANDED_OVER_SEGMENT;
		learning->record.number = learning->stream.next - length;
		learning->record.offset = behind;
		hand_over_part(skb, learning, from, rest, length);
	}
	return behind + rest == length ? from + rest : 0;
}

// Takes the stream up where it is. Returns where in the segment the next answer begins: its length, or the message
// itself where `carried` has that. 0: the segment has no such place.
GLOBAL int continue_stream(struct __sk_buff *skb)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();
	const struct answer_stream *known;

	if (!key || !learning)
		return 0;
	learning->carried = 0;
	known = bpf_map_lookup_elem(&dns_streams, &key->connection);
	if (!known || known->opened_ns != learning->stream.opened_ns) {
		count_dns(APUS_DNS_COUNT_UNALIGNED);
		return 0;
	}
	learning->stream = *known;
	if (learning->stream.late_length)
		hand_over_late(skb);
	return learning->stream.state & STREAM_WITHIN ? continue_message(skb, learning) : find_boundary(skb, learning);
}

// Notes that an answer is under way, the former one is behind.
ALWAYS_INLINE void begin_in_stream(struct learning *learning, __u32 next, __u32 state, __u32 offset)
{
	const struct apus_question_key *key = question_key_here();
	_Bool has_id = offset + sizeof(learning->word) <= learning->end;

	leave_behind(&learning->stream);
	learning->stream.state = 0;
	learning->stream.id = key && has_id ? key->id + 1 : 0;
	note_stream(next, state);
}

// An answer begins at `offset` of which the segment has not all: its first part is for the agent, unless nobody asked
// for it.
GLOBAL int begin_message(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();
	__u32 state = STREAM_WITHIN | (length & STREAM_LENGTH);

	if (!key || !learning)
		return 0;
	count_dns(APUS_DNS_COUNT_SEGMENTED);
	key->id = 0;
	if (offset + sizeof(learning->word) <= learning->end && !is_asked(skb, offset)) {
		count_dns(APUS_DNS_COUNT_UNASKED);
		state |= STREAM_UNASKED;
	}
	begin_in_stream(learning, sequence_of(learning, offset) + length, state, offset);
	if (state & STREAM_UNASKED || offset >= learning->end)
		return 0;
	learning->record.kind = APUS_HANDED_OVER_SEGMENT;
	learning->record.number = sequence_of(learning, offset);
	learning->record.offset = 0;
	hand_over_part(skb, learning, offset, learning->end - offset, length);
	return 0;
}

struct row_walk {
	struct __sk_buff *skb;
};

static long row_step(__attribute__((unused)) __u64 index, void *context)
{
	struct learning *learning = learning_here();
	__u32 offset, behind;

	if (!learning)
		return 1;
	offset = learning->place;
	if (offset + DNS_STREAM_LENGTH > learning->end ||
	    bpf_skb_load_bytes(((struct row_walk *)context)->skb, offset, &learning->word, sizeof(learning->word)) < 0)
		return 1;
	behind = offset + DNS_STREAM_LENGTH + bpf_ntohs(learning->word);
	if (behind > learning->end) {
		learning->carried = bpf_ntohs(learning->word) + 1;
		return 1;
	}
	if (!learning->row_is_asked && is_asked(((struct row_walk *)context)->skb, offset + DNS_STREAM_LENGTH))
		learning->row_is_asked = 1;
	learning->place = behind;
	return 0;
}

// What is left of a segment: more answers than are looked for, which the agent gets in a row. Returns where what is not
// whole begins; `carried` tells whether its length is there.
GLOBAL int leave_row(struct __sk_buff *skb, __u32 offset)
{
	struct learning *learning = learning_here();
	struct row_walk walk = {.skb = skb};
	__u32 length;

	if (!learning)
		return 0;
	learning->place = offset;
	learning->row_is_asked = 0;
	bpf_loop(DNS_ROW_MESSAGES, row_step, &walk, 0);
	length = learning->place - offset;
	if (length && !learning->row_is_asked) {
		count_dns(APUS_DNS_COUNT_UNASKED);
	} else if (length) {
		count_dns(APUS_DNS_COUNT_SEGMENTED);
		learning->record.kind = APUS_HANDED_OVER_ROW;
		learning->record.number = sequence_of(learning, offset);
		learning->record.offset = 0;
		hand_over_part(skb, learning, offset, length, length > APUS_HANDED_OVER_MAX ? length : 0);
	}
	return learning->place + (learning->carried ? DNS_STREAM_LENGTH : 0);
}

// The segment ends between two answers, or within a length.
GLOBAL int end_segment(struct __sk_buff *skb, __u32 offset)
{
	struct learning *learning = learning_here();
	__u8 upper;

	if (!learning)
		return 0;
	if (offset >= learning->end)
		return note_stream(sequence_of(learning, offset), 0);
	count_dns(APUS_DNS_COUNT_SEGMENTED);
	if (bpf_skb_load_bytes(skb, offset, &upper, sizeof(upper)) < 0)
		return 0;
	return note_stream(sequence_of(learning, offset) + sizeof(upper), STREAM_HALF | upper);
}

// Moves behind the length of the message at `offset`, unless it was read already. Returns the length, and 1 more; 0:
// the segment has not all of it.
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
	if (!offset)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < DNS_MESSAGES_AT_ONCE && offset < learning->end; i++) {
		__u32 length = stream_length(skb, learning, &offset);

		if (!length)
			break;
		length--;
		if (offset + length > learning->end) {
			learning->carried = length + 1;
			break;
		}
		learn_message(skb, learning, offset, length);
		offset += length;
	}
	if (!learning->carried)
		offset = leave_row(skb, offset);
	if (learning->carried)
		begin_message(skb, offset, learning->carried - 1);
	else
		end_segment(skb, offset);
	return 0;
}
