// A packet taken through its connection: both ends are judged where policy has changed, or where the connection opens.
#pragma once

#include "flow.h"
#include "translation_life.h"

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

// The end that the hook is not attached to may be a pod of this node, too.
ALWAYS_INLINE void find_ends(struct flow *flow)
{
	if (!flow->source.endpoint)
		flow->source = endpoint_of_address(&flow->packet.source);
	if (!flow->destination.endpoint)
		flow->destination = endpoint_of_address(&flow->packet.destination);
}

// Judges the opening at one end, if that is on this node, and notes it there. Returns whether policy allows it.
ALWAYS_INLINE _Bool open_side(struct flow *flow, struct apus_connection_side *side, const struct local_endpoint *local,
			      _Bool high, _Bool opened)
{
	side->rule = APUS_RULE_NONE;
	if (!local->endpoint)
		return 1;
	side->endpoint = local->slot;
	side->identity = local->endpoint->identity;
	side->generation = generation_of(flow, local->endpoint);
	if (!judge_side(flow, local->endpoint, high, opened, flow->connection_flags & APUS_CONNECTION_RECEIVED,
			flow->now))
		return 0;
	record_judgement(side, flow, side->generation);
	return 1;
}

// What a new connection is besides its two ends.
ALWAYS_INLINE void describe_opening(struct apus_connection *connection, const struct flow *flow)
{
	connection->opened_ns = connection->last_seen_ns = bpf_ktime_get_ns();
	connection->opener = flow->found.from_high;
	connection->frontend = flow->frontend;
	connection->frontend_port = flow->frontend_port;
	connection->flags = flow->connection_flags | APUS_CONNECTION_UNANSWERED;
	if (!flow->destination.endpoint && is_address_of_node(&flow->packet.destination, flow->epoch))
		connection->flags |= APUS_CONNECTION_TO_NODE;
	connection->detail = flow->packet.icmp_type | flow->packet.icmp_code << 8;
}

// Judges the opening of a connection at each end that is on this node, and records it. 0: allowed.
COLD int open_connection(struct flow *flow)
{
	struct apus_connection *connection;
	struct apus_connection_side *source;
	_Bool high;
	__u32 first = 0;

	if (!flow)
		return 1;
	find_ends(flow);
	connection = bpf_map_lookup_elem(&new_connection, &first);
	if (!connection)
		return 1;
	flow->audit.rule = APUS_RULE_NONE;
	__builtin_memset(connection, 0, sizeof(*connection));
	high = flow->found.from_high;
	source = connection_side(connection, high);
	if (!open_side(flow, source, &flow->source, high, 1) ||
	    !open_side(flow, connection_side(connection, !high), &flow->destination, !high, 0))
		return 1;
	report_replaced(flow);
	describe_opening(connection, flow);
	source->packets = 1;
	source->bytes = flow->packet.length;
	source->tcp_flags = flow->packet.tcp_flags;
	source->flags = (flow->frame & FRAME_UNWRAPPED) * APUS_SIDE_UNWRAPPED;
	if (unlikely(flow->own_port && flow->own_port != flow->packet.source_port)) {
		source->flags |= APUS_SIDE_OTHER_PORT;
		source->retransmissions = flow->own_port;
	}
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
		if (flow->reverse)
			flow->own_port = own_port_of_opener(connection);
		flow->frontend = connection->frontend;
		flow->frontend_port = connection->frontend_port;
	}
	if (config.flow_detail == APUS_FLOW_DETAIL_PACKETS && flow->counts)
		report_packet(&flow->packet, &flow->key, connection, !answer);
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
	if (flow->source.endpoint && !judge_side(flow, flow->source.endpoint, high, 1,
						 flow->connection_flags & APUS_CONNECTION_RECEIVED, flow->now))
		return 1;
	return flow->destination.endpoint && !judge_side(flow, flow->destination.endpoint, !high, 0,
							 flow->connection_flags & APUS_CONNECTION_RECEIVED, flow->now);
}
