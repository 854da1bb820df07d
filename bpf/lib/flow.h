// One packet on its way: what is told of it, and what becomes of it.
#pragma once

#include "drop.h"
#include "event.h"
#include "flow_state.h"
#include "fragment.h"
#include "learn.h"
#include "parse.h"
#include "rewrite.h"
#include "translation.h"

ALWAYS_INLINE void describe_flow(struct denial_context *context, const struct flow *flow)
{
	context->frontend = flow->frontend;
	context->frontend_port = flow->frontend_port;
	context->answers = flow->answers;
	context->sender_endpoint = flow->source.slot;
	context->sender_identity = flow->source.endpoint ? flow->source.endpoint->identity : 0;
	context->receiver_endpoint = flow->destination.slot;
	context->receiver_identity = flow->destination.endpoint ? flow->destination.endpoint->identity : 0;
}

COLD int report_drop(const struct flow *flow)
{
	struct denial_context context = {};

	if (!flow)
		return 0;
	count_drop(flow->judgement.verdict.reason, flow->direction, flow->packet.length);
	describe_flow(&context, flow);
	context.verdict = flow->judgement.verdict;
	context.direction = flow->direction;
	report_denied(&flow->packet, &context, flow->now);
	return 0;
}

// Tells of a packet that passes though a policy would have denied it, were it not in audit mode.
COLD int report_audited(const struct flow *flow)
{
	struct denial_context context = {};

	if (!flow)
		return 0;
	count_event(APUS_EVENTS_AUDITED);
	describe_flow(&context, flow);
	context.verdict.reason =
		flow->audit.rule == APUS_RULE_ISOLATION ? APUS_REASON_POLICY_ISOLATED : APUS_REASON_POLICY_DENIED;
	context.verdict.policy = flow->audit.policy;
	context.verdict.rule = flow->audit.rule;
	context.direction = flow->audit_direction;
	context.audited = 1;
	report_denied(&flow->packet, &context, flow->now);
	return 0;
}

// Tells of it where there is anything to tell, after the packet was judged: while it is judged the stack is too deep.
ALWAYS_INLINE void report_audit(const struct flow *flow)
{
	if (unlikely(flow->audit.rule != APUS_RULE_NONE))
		report_audited(flow);
}

// Drops for what the flow's verdict says.
ALWAYS_INLINE int drop_denied(struct flow *flow)
{
	report_drop(flow);
	return TCX_DROP_PACKET;
}

// Drops for a reason that is not a policy's.
ALWAYS_INLINE int drop_flow(struct flow *flow, enum apus_reason reason, enum apus_direction direction)
{
	flow->judgement.verdict = (struct verdict){.reason = reason, .rule = APUS_RULE_NONE};
	flow->direction = direction;
	return drop_denied(flow);
}

ALWAYS_INLINE int drop_unparsed(struct __sk_buff *skb, int parsed, enum apus_direction direction)
{
	count_drop(parsed - PARSE_PASS, direction, skb->len);
	return TCX_DROP_PACKET;
}

// Reports the end of the connection that was left, unless that was done already.
COLD int report_replaced(struct flow *flow)
{
	__u32 ending = APUS_ENDING_REPLACED;

	if (!flow || !flow->ended)
		return 0;
	if (connection_is_expired(flow->ended, flow->packet.protocol, flow->now))
		ending = APUS_ENDING_EXPIRED;
	if (!(flow->ended->flags & APUS_CONNECTION_CLOSED))
		report_connection(&flow->key, flow->ended, bpf_ktime_get_ns(), ending);
	return 0;
}

// Gives one end of a packet another port, unless that is the one that it has. `to`: in network byte order; 0: none.
GLOBAL int rewrite_port(struct __sk_buff *skb, const struct packet *packet, __u32 destination, __u32 from, __u32 to)
{
	struct rewrite rewrite = {.destination = destination != 0};

	if (!packet)
		return APUS_REASON_MALFORMED;
	if (likely(!to || from == to))
		return APUS_REASON_NONE;
	rewrite.from = rewrite.to = destination ? packet->destination : packet->source;
	rewrite.from_port = from;
	rewrite.to_port = to;
	return rewrite_packet(skb, packet, &rewrite);
}

// Gives an answer of a backend the frontend as its source again. Returns APUS_REASON_NONE, or why it could not be
// changed. Not inlined, as `rewrite` would crowd the stack.
COLD int reverse_translate(struct __sk_buff *skb, const struct flow *flow)
{
	struct rewrite rewrite = {};
	int reason;

	if (!flow)
		return APUS_REASON_MALFORMED;
	rewrite.from = flow->packet.source;
	rewrite.from_port = flow->packet.source_port;
	rewrite.to = flow->frontend;
	rewrite.to_port = flow->frontend_port;
	reason = rewrite_packet(skb, &flow->packet, &rewrite);
	if (reason)
		return reason;
	return rewrite_port(skb, &flow->packet, 1, flow->packet.destination_port, flow->own_port);
}
