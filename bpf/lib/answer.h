// Questions to resolvers and their answers as flow events.
#pragma once

#include "event.h"
#include "question.h"

// Nobody is woken for them: the reader of `events` looks here as often.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} dns_answers SEC(".maps");

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
	const struct dns_addresses *addresses = dns_addresses_here();
	__u32 shortest = ~0u;

	if (!addresses)
		return;
#pragma clang loop unroll(disable)
	for (__u32 number = 0; number < APUS_ANSWER_ADDRESSES; number++) {
		const struct apus_dns_address *found = &addresses->found[number];

		event->addresses[number] = found->address;
		if (number < message->answer.address_count && found->lifetime < shortest)
			shortest = found->lifetime;
	}
	event->lifetime = message->answer.address_count ? shortest : 0;
}

// Reserves an event about a question of the connection whose key is in this CPU's memory, and fills in what the
// question says.
ALWAYS_INLINE struct apus_answer_event *question_event(const struct apus_question *question)
{
	const struct apus_question_key *key = question_key_here();
	struct apus_answer_event *event;

	if (!key || config.flow_detail == APUS_FLOW_DETAIL_NONE)
		return NULL;
	event = bpf_ringbuf_reserve(&dns_answers, sizeof(*event), 0);
	if (!event) {
		count_event(APUS_EVENTS_LOST);
		return NULL;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->latency_ns = event->time_ns > question->asked_ns ? event->time_ns - question->asked_ns : 0;
	answer_set_ends(event, &key->connection, question->opener);
	event->frontend = question->frontend;
	event->frontend_port = question->frontend_port;
	event->type = question->type;
	event->name_length = question->name_length;
	event->endpoint = question->endpoint;
	event->identity = question->identity;
	event->policy = question->policy;
	event->rule = question->rule;
	__builtin_memset(event->padding, 0, sizeof(event->padding));
	__builtin_memcpy(event->name, question->name, sizeof(event->name));
	return event;
}

ALWAYS_INLINE void submit_answer(struct apus_answer_event *event)
{
	count_event(APUS_EVENTS_SUBMITTED);
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

// Reports the answer to a question, which was parsed in this CPU's memory.
GLOBAL int report_answer(const struct apus_question *question)
{
	const struct dns_message *message = dns_message_here();
	struct apus_answer_event *event = message && question ? question_event(question) : NULL;

	if (!event)
		return 0;
	event->code = message->answer.code;
	event->flags = message->answer.flags;
	event->address_count = message->answer.address_count;
	answer_set_addresses(event, message);
	submit_answer(event);
	return 0;
}

// Reports that a question will get no answer.
GLOBAL int report_unanswered(const struct apus_question *question)
{
	struct apus_answer_event *event = question ? question_event(question) : NULL;

	if (!event)
		return 0;
	event->code = event->address_count = event->lifetime = 0;
	event->flags = APUS_DNS_UNANSWERED;
	__builtin_memset(event->addresses, 0, sizeof(event->addresses));
	submit_answer(event);
	return 0;
}
