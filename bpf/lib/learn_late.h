// What was lost of an answer over TCP in several segments, and comes after those that were sent behind it.
#pragma once

#include "learn_message.h"

// The stream is behind the answer that was under way. Parts of it may have been lost, and come later.
ALWAYS_INLINE void leave_behind(struct answer_stream *stream)
{
	__u32 length = stream->state & STREAM_LENGTH;

	if ((stream->state & (STREAM_WITHIN | STREAM_UNASKED)) != STREAM_WITHIN)
		return;
	stream->late = stream->next - length;
	stream->late_length = length;
	stream->late_id = stream->id;
}

// Hands over what belongs to the last answer of several segments that the stream is behind: a segment that was lost
// comes after those that were sent after it. Once the answer was put together nobody waits for it any more.
GLOBAL int hand_over_late(struct __sk_buff *skb)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();
	__u32 length, from, rest;
	__s32 behind;

	if (!key || !learning)
		return 0;
	length = learning->stream.late_length;
	from = learning->first;
	behind = bpf_ntohl(learning->sequence) - learning->stream.late;
	if (behind < 0) {
		from -= behind;
		behind = 0;
	}
	if (behind >= (__s32)length || from >= learning->end)
		return 0;
	if (learning->stream.late_id) {
		key->id = learning->stream.late_id - 1;
		if (!bpf_map_lookup_elem(&dns_questions, key))
			return 0;
	}
	rest = length - behind;
	if (rest > learning->end - from)
		rest = learning->end - from;
	count_dns(APUS_DNS_COUNT_SEGMENTED);
	learning->record.kind = APUS_HANDED_OVER_SEGMENT;
	learning->record.number = learning->stream.late;
	learning->record.offset = behind;
	hand_over_part(skb, learning, from, rest, length);
	return 0;
}
