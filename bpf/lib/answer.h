// DNS answers as flow events.
#pragma once

#include "event.h"
#include "question.h"

// Nobody is woken for them: the reader of `events` looks here as often.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} dns_answers SEC(".maps");

// The connection that the answer at hand came over, as its event tells it. Nothing else runs on the CPU meanwhile, as
// tcx programs run with bottom halves disabled.
struct answer_path {
	struct apus_address frontend;
	__u64 asked_ns; // CLOCK_MONOTONIC
	__u32 endpoint;
	__u32 identity;
	__u32 policy;
	__u32 rule;
	__u16 frontend_port;
	__u8 opener;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct answer_path);
} answer_path SEC(".maps");

ALWAYS_INLINE struct answer_path *answer_path_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&answer_path, &first);
}

ALWAYS_INLINE void note_answer_path(const struct apus_connection *connection, const struct apus_connection_side *side)
{
	struct answer_path *path = answer_path_here();

	if (!path)
		return;
	path->frontend = connection->frontend;
	path->frontend_port = connection->frontend_port;
	path->opener = connection->opener;
	path->endpoint = side->endpoint;
	path->identity = side->identity;
	path->policy = side->policy;
	path->rule = side->rule;
}

ALWAYS_INLINE void answer_set_ends(struct apus_answer_event *event, const struct apus_connection_key *key,
				   _Bool opener_is_high)
{
	event->client = opener_is_high ? key->high : key->low;
	event->resolver = opener_is_high ? key->low : key->high;
	event->client_port = opener_is_high ? key->high_port : key->low_port;
	event->resolver_port = opener_is_high ? key->low_port : key->high_port;
	event->protocol = key->protocol;
}

ALWAYS_INLINE void answer_set_addresses(struct apus_answer_event *event, const struct dns_message *message)
{
	__u32 shortest = ~0u;

#pragma clang loop unroll(disable)
	for (__u32 number = 0; number < APUS_ANSWER_ADDRESSES; number++) {
		const struct apus_dns_address *found = &message->addresses[number];

		event->addresses[number] = found->address;
		if (number < message->answer.address_count && found->lifetime < shortest)
			shortest = found->lifetime;
	}
	event->lifetime = message->answer.address_count ? shortest : 0;
}

// Reports the answer that was parsed in this CPU's memory.
GLOBAL int report_answer(void)
{
	const struct apus_question_key *key = question_key_here();
	const struct dns_message *message = dns_message_here();
	const struct answer_path *path = answer_path_here();
	struct apus_answer_event *event;
	__u64 now = bpf_ktime_get_ns();

	if (!key || !message || !path || !config.events)
		return 0;
	event = bpf_ringbuf_reserve(&dns_answers, sizeof(*event), 0);
	if (!event) {
		count_event(APUS_EVENTS_LOST);
		return 0;
	}
	event->time_ns = now;
	event->latency_ns = now > path->asked_ns ? now - path->asked_ns : 0;
	answer_set_ends(event, &key->connection, path->opener);
	event->frontend = path->frontend;
	event->frontend_port = path->frontend_port;
	event->type = message->answer.type;
	event->code = message->answer.code;
	event->flags = message->answer.flags;
	event->name_length = message->answer.name_length;
	event->address_count = message->answer.address_count;
	event->endpoint = path->endpoint;
	event->identity = path->identity;
	event->policy = path->policy;
	event->rule = path->rule;
	__builtin_memset(event->padding, 0, sizeof(event->padding));
	__builtin_memcpy(event->name, message->name, sizeof(event->name));
	answer_set_addresses(event, message);
	count_event(APUS_EVENTS_SUBMITTED);
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}
