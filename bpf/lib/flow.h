// One packet on its way: what is known of it, and what is told of it.
#pragma once

#include "drop.h"
#include "event.h"
#include "fragment.h"
#include "learn.h"
#include "parse.h"
#include "rewrite.h"
#include "translation.h"

// What would have denied a packet that passes, were it not in audit mode; of both ends, the sender's egress first.
struct audit {
	__u32 policy;
	__u32 rule; // APUS_RULE_NONE: nothing
};

struct flow {
	struct packet packet;
	struct apus_connection_key key;
	struct found_connection found;
	struct apus_connection *ended; // under the same key: what a new connection takes the place of
	struct local_endpoint source; // the sender, where it is an endpoint of this node
	struct local_endpoint destination; // the receiver, likewise
	__u64 now; // coarse: it may be some milliseconds old
	const struct apus_service *service; // that the packet asks for, if it opens a connection
	// Of a new connection, of one to a resolver, and of an answer to a translated one: the Service address that was
	// asked for.
	struct apus_address frontend;
	struct judgement judgement;
	struct audit audit; // of what is judged now
	__u16 frontend_port;
	__u8 connection_flags; // of a new connection: enum apus_connection_flag
	__u8 direction; // enum apus_direction, where a drop happens
	_Bool counts; // this hook is the one that counts the packet
	__u8 audit_direction; // enum apus_direction, where a drop would happen without audit mode
	_Bool reverse; // an answer of a backend: its source becomes the frontend again
	__u8 epoch; // in force when the packet came: all that judges it is of this one
	_Bool answers; // denied while its connection lived, on the way to the end that opened it
	_Bool received; // on the way to a pod it came in by an interface, so it is of no process of the node
	_Bool cut_off; // its socket was led to what serves its Service no more: `service` is that, NULL where it is
		       // gone
};

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

// Whether a found connection is the one that this packet continues. A new SYN or INIT replaces what has ended, and what
// the other end had opened. Of ICMP that end only answers: what it asks is its own, though most queries have the same
// key both ways.
ALWAYS_INLINE _Bool continues(const struct flow *flow)
{
	const struct found_connection *found = &flow->found;

	if (unlikely(is_connection_opening(&flow->packet)) && (has_ended(found->connection) || !is_from_opener(found)))
		return 0;
	if (unlikely(is_icmp(&flow->packet)) && !is_from_opener(found) && !is_icmp_answer(&flow->packet))
		return 0;
	return !connection_is_expired(found->connection, flow->packet.protocol, flow->now);
}

// The found connection is not the packet's. It goes when another one opens, not before: a packet that is denied must
// not end what it has no part in.
ALWAYS_INLINE void leave_connection(struct flow *flow)
{
	flow->ended = flow->found.connection;
	flow->found.connection = NULL;
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

// Finds the packet's connection, unless the packet doesn't continue it.
ALWAYS_INLINE void find_connection(struct flow *flow)
{
	flow->ended = NULL;
	flow->found = connection_find(&flow->packet, &flow->key);
	if (flow->found.connection && unlikely(!continues(flow)))
		leave_connection(flow);
}

// Gives an answer of a backend the frontend as its source again. Returns APUS_REASON_NONE, or why it could not be
// changed. Not inlined, as `rewrite` would crowd the stack.
COLD int reverse_translate(struct __sk_buff *skb, const struct flow *flow)
{
	struct rewrite rewrite = {};

	if (!flow)
		return APUS_REASON_MALFORMED;
	rewrite.from = flow->packet.source;
	rewrite.from_port = flow->packet.source_port;
	rewrite.to = flow->frontend;
	rewrite.to_port = flow->frontend_port;
	return rewrite_packet(skb, &flow->packet, &rewrite);
}
