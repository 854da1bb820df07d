// One packet on its way: the connection it belongs to, what policy says of it, and what is recorded about it.
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

ALWAYS_INLINE __u32 generation_of(const struct flow *flow, const struct apus_endpoint *endpoint)
{
	return endpoint_in(endpoint, flow->epoch)->generation;
}

// `received`: what opened the connection came from an interface. `now`: when names of the peer must not have ended yet;
// 0 lets all count that are held.
//
// Judges one side: the egress of the end that opened, the ingress of the other. Traffic to oneself always passes.
ALWAYS_INLINE _Bool judge_side(struct flow *flow, const struct apus_endpoint *endpoint, _Bool high, _Bool opened,
			       _Bool received, __u64 now)
{
	const struct apus_address *peer = high ? &flow->key.low : &flow->key.high;
	_Bool responder_is_high = high != opened;
	enum apus_direction direction = opened ? APUS_DIRECTION_EGRESS : APUS_DIRECTION_INGRESS;
	const struct apus_endpoint_epoch *own = endpoint_in(endpoint, flow->epoch);
	__u32 policy = opened ? own->egress_policy : own->ingress_policy;

	flow->judgement.verdict = (struct verdict){.rule = APUS_RULE_NONE};
	if (address_equal(&flow->key.low, &flow->key.high))
		return 1;
	flow->direction = direction;
	flow->judgement.port = responder_is_high ? flow->key.high_port : flow->key.low_port;
	flow->judgement.protocol = flow->key.protocol;
	judge(&flow->judgement, policy, peer, flow->epoch, direction, received, now);
	if (flow->audit.rule == APUS_RULE_NONE) {
		flow->audit = (struct audit){.policy = policy, .rule = flow->judgement.audited};
		flow->audit_direction = direction;
	}
	return flow->judgement.verdict.reason == APUS_REASON_NONE;
}

ALWAYS_INLINE void record_judgement(struct apus_connection_side *side, const struct flow *flow, __u32 generation)
{
	side->policy = flow->judgement.verdict.policy;
	side->rule = flow->judgement.verdict.rule;
	side->generation = generation;
}

// A live connection under a new generation: allowed as before, or cut off from this packet on.
COLD int judge_again(struct flow *flow, const struct apus_endpoint *endpoint, __u32 generation, __u32 high)
{
	struct apus_connection *connection;
	_Bool allowed;

	if (!flow || !endpoint || !flow->found.connection)
		return 0;
	flow->answers = !is_from_opener(&flow->found);
	connection = flow->found.connection;
	// What was admitted by a name outlives it.
	allowed = judge_side(flow, endpoint, high, connection->opener == high,
			     connection->flags & APUS_CONNECTION_RECEIVED,
			     connection_side(connection, high)->generation ? 0 : flow->now);
	connection = flow->found.connection;
	if (allowed) {
		record_judgement(connection_side(connection, high), flow, generation);
		return 1;
	}
	flow->frontend = connection->frontend;
	flow->frontend_port = connection->frontend_port;
	// Programs that keep what was admitted must not bring back what is cut off.
	connection_side(connection, high)->generation = 0;
	// Once its entry is gone, the next packet would open, from whichever end it comes: it stays as long as one
	// tries. Datagrams never say that they open, so theirs goes, to let the other end ask by the same ports.
	if (tells_openings(flow->key.protocol))
		connection_seen(connection, flow->now);
	return 0;
}

enum side_state {
	SIDE_ALLOWED,
	SIDE_DENIED, // flow->judgement.verdict says why
	SIDE_REPLACED, // the address has gone to another pod: this is not its connection
};

// Checks one side of the found connection. `known`: the endpoint that the hook is attached to, if it is on this side;
// otherwise the endpoint that the connection names is looked up into `known`.
ALWAYS_INLINE enum side_state check_side(struct flow *flow, _Bool high, struct local_endpoint *known)
{
	struct apus_connection_side *side = connection_side(flow->found.connection, high);
	__u32 generation;

	if (!known->endpoint) {
		if (!side->endpoint)
			return SIDE_ALLOWED;
		*known = endpoint_of_slot(&side->endpoint);
		if (!known->endpoint || unlikely(!side_is_current(side, known->endpoint))) {
			// The slot is free, or another pod's with another address: not this packet's end.
			*known = (struct local_endpoint){};
			return SIDE_REPLACED;
		}
	} else if (unlikely(!side->endpoint)) {
		// The endpoint came to be known after the connection was opened: it takes its side, not judged yet.
		side->identity = known->endpoint->identity;
		side->generation = 0;
		side->endpoint = known->slot;
	}
	if (unlikely(!side_is_current(side, known->endpoint)))
		return SIDE_REPLACED;
	generation = generation_of(flow, known->endpoint);
	if (likely(side->generation == generation))
		return SIDE_ALLOWED;
	// It keeps the generation it was admitted under, so that programs that revalidate will judge it.
	if (config.keep_connections && side->generation)
		return SIDE_ALLOWED;
	return judge_again(flow, known->endpoint, generation, high) ? SIDE_ALLOWED : SIDE_DENIED;
}

// Whether policy still lets the found connection live. What passes in audit mode alone is told once both ends have let
// it pass.
ALWAYS_INLINE enum side_state check_sides(struct flow *flow)
{
	enum side_state state;

	flow->audit.rule = APUS_RULE_NONE;
	state = check_side(flow, flow->found.from_high, &flow->source);
	if (likely(state == SIDE_ALLOWED))
		state = check_side(flow, !flow->found.from_high, &flow->destination);
	if (unlikely(state == SIDE_DENIED))
		return state;
	if (likely(state == SIDE_ALLOWED))
		report_audit(flow);
	flow->answers = 0; // a later drop of the packet is none of the connection
	return state;
}

ALWAYS_INLINE void fill_side(struct apus_connection_side *side, const struct local_endpoint *local)
{
	side->rule = APUS_RULE_NONE;
	if (!local->endpoint)
		return;
	side->endpoint = local->slot;
	side->identity = local->endpoint->identity;
}

// Judges the opening of a connection at each end that is on this node, and records it. 0: allowed.
COLD int open_connection(struct flow *flow)
{
	struct apus_connection *connection;
	struct apus_connection_side *source, *destination;
	_Bool high;
	__u32 first = 0;

	if (!flow)
		return 1;
	// The end that the hook is not attached to may be a pod of this node, too.
	if (!flow->source.endpoint)
		flow->source = endpoint_of_address(&flow->packet.source);
	if (!flow->destination.endpoint)
		flow->destination = endpoint_of_address(&flow->packet.destination);
	connection = bpf_map_lookup_elem(&new_connection, &first);
	if (!connection)
		return 1;
	flow->audit.rule = APUS_RULE_NONE;
	__builtin_memset(connection, 0, sizeof(*connection));
	high = flow->found.from_high;
	source = connection_side(connection, high);
	destination = connection_side(connection, !high);
	fill_side(source, &flow->source);
	fill_side(destination, &flow->destination);
	if (flow->source.endpoint) {
		source->generation = generation_of(flow, flow->source.endpoint);
		if (!judge_side(flow, flow->source.endpoint, high, 1, flow->received, flow->now))
			return 1;
		record_judgement(source, flow, source->generation);
	}
	if (flow->destination.endpoint) {
		destination->generation = generation_of(flow, flow->destination.endpoint);
		if (!judge_side(flow, flow->destination.endpoint, !high, 0, flow->received, flow->now))
			return 1;
		record_judgement(destination, flow, destination->generation);
	}
	report_replaced(flow);
	connection->opened_ns = connection->last_seen_ns = bpf_ktime_get_ns();
	connection->opener = high;
	connection->frontend = flow->frontend;
	connection->frontend_port = flow->frontend_port;
	connection->flags =
		flow->connection_flags | APUS_CONNECTION_UNANSWERED | flow->received * APUS_CONNECTION_RECEIVED;
	if (!flow->destination.endpoint && is_address_of_node(&flow->packet.destination, flow->epoch))
		connection->flags |= APUS_CONNECTION_TO_NODE;
	connection->icmp_type = flow->packet.icmp_type;
	connection->icmp_code = flow->packet.icmp_code;
	source->packets = 1;
	source->bytes = flow->packet.length;
	source->tcp_flags = flow->packet.tcp_flags;
	if (connection_record(&flow->key, connection, flow->ended) < 0) {
		flow->judgement.verdict =
			(struct verdict){.reason = APUS_REASON_CONNECTION_FAILED, .rule = APUS_RULE_NONE};
		return 1;
	}
	report_connection(&flow->key, connection, connection->opened_ns, APUS_ENDING_NONE);
	return 0;
}

// Records a packet of the found connection. What the rest of the path needs to know of it is read before its entry may
// move to another map.
ALWAYS_INLINE void follow_connection(struct flow *flow)
{
	struct apus_connection *connection = flow->found.connection;
	_Bool answer = !is_from_opener(&flow->found);
	_Bool translated = connection->flags & APUS_CONNECTION_TRANSLATED;

	if (unlikely(connection->frontend_port == DNS_PORT) || (unlikely(translated) && answer)) {
		flow->reverse = translated && answer;
		flow->frontend = connection->frontend;
		flow->frontend_port = connection->frontend_port;
	}
	if (unlikely(connection_follow(&flow->found, &flow->packet, flow->now, flow->counts))) {
		report_connection(&flow->key, connection, bpf_ktime_get_ns(),
				  connection->flags & APUS_CONNECTION_RESET ? APUS_ENDING_RESET : APUS_ENDING_FINISHED);
		if (translated)
			translation_ended(&flow->key, connection);
	}
	// A refusal answers nothing: it stays among the half-open ones.
	if (unlikely(connection->flags & APUS_CONNECTION_UNANSWERED) && answer && !is_reset(&flow->packet)) {
		if (translated)
			translation_answered(&flow->key, connection);
		connection_answered(&flow->key, &flow->found);
	}
}

// Takes a packet through its connection. 0: it passes; otherwise flow->judgement.verdict says why not.
ALWAYS_INLINE int track(struct flow *flow)
{
	if (flow->found.connection) {
		enum side_state state = check_sides(flow);

		if (likely(state == SIDE_ALLOWED)) {
			follow_connection(flow);
			return 0;
		}
		if (state == SIDE_DENIED)
			return 1;
		leave_connection(flow);
	}
	if (open_connection(flow))
		return 1;
	report_audit(flow);
	return 0;
}

// Judges a packet that belongs to no connection as one of its own, without recording a connection for it. 0: it passes.
COLD int judge_alone(struct flow *flow)
{
	_Bool high;

	if (!flow)
		return 1;
	high = connection_key(&flow->packet, &flow->key);
	flow->audit.rule = APUS_RULE_NONE;
	if (flow->source.endpoint && !judge_side(flow, flow->source.endpoint, high, 1, flow->received, flow->now))
		return 1;
	return flow->destination.endpoint &&
	       !judge_side(flow, flow->destination.endpoint, !high, 0, flow->received, flow->now);
}

// Gives an answer of a backend the frontend as its source again. Not inlined, as `rewrite` would crowd the stack.
COLD int reverse_translate(struct __sk_buff *skb, const struct flow *flow)
{
	struct rewrite rewrite = {};

	if (!flow)
		return -1;
	rewrite.from = flow->packet.source;
	rewrite.from_port = flow->packet.source_port;
	rewrite.to = flow->frontend;
	rewrite.to_port = flow->frontend_port;
	return rewrite_packet(skb, &flow->packet, &rewrite);
}
