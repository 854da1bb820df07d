// ICMP errors follow the connection that they are about.
#pragma once

#include "icmp_translation.h"
#include "track.h"

// Whether the found connection's side is allowed now. Where it was judged under another generation it is judged again,
// by its own key, but nothing is recorded: an error is no packet of the connection.
ALWAYS_INLINE _Bool side_is_allowed(struct flow *flow, _Bool high)
{
	const struct apus_connection_side *side = connection_side(flow->found.connection, high);
	const struct apus_endpoint *endpoint = endpoint_at(side->endpoint);

	if (!side->endpoint)
		return 1;
	if (!endpoint || !side_is_current(side, endpoint))
		return 0;
	if (side->generation == generation_of(flow, endpoint) || (config.keep_connections && side->generation))
		return 1;
	// What was admitted by a name outlives it.
	return judge_side(flow, endpoint, high, flow->found.connection->opener == high,
			  flow->found.connection->flags & APUS_CONNECTION_RECEIVED, side->generation ? 0 : flow->now);
}

// Whether policy allows the connection whose key the flow has.
COLD int quoted_is_allowed(struct flow *flow)
{
	if (!flow)
		return 0;
	flow->found = connection_with(&flow->key);
	flow->audit.rule = APUS_RULE_NONE;
	return flow->found.connection && side_is_allowed(flow, 0) && side_is_allowed(flow, 1);
}

// Whether an ICMP error quotes a packet of a connection that is known here, and the connection's key. The quoted packet
// was sent by the receiver of the error; any router may report on it, but a pod is none and speaks for itself only.
// What a pod has got through a Service, translated packet by packet, came to it from the Service's address.
GLOBAL int quotes_known_connection(struct __sk_buff *skb, const struct packet *packet, __u64 now, __u32 direction,
				   struct apus_connection_key *key)
{
	struct error_subject *subject = packet && key ? subject_of_error(skb, packet) : NULL;
	int known;

	if (!subject)
		return 0;
	if (direction == APUS_DIRECTION_EGRESS && !address_equal(&subject->quoted.destination, &packet->source))
		return 0;
	known = direction == APUS_DIRECTION_EGRESS && find_named_sender(subject, 0, now);
	if (!known) {
		connection_key(&subject->quoted, &subject->connection);
		known = live_connection(subject, now) != NULL;
	}
	*key = subject->connection;
	return known;
}

// Whether this hook is the one that tells of an error that passes in audit mode: it is judged at each hook on its way.
// What a pod of the node sends is told where it leaves, and what comes in by an uplink where it enters the pod.
ALWAYS_INLINE _Bool tells_audit(const struct flow *flow)
{
	return flow->source.endpoint || (!flow->counts && !endpoint_of_address(&flow->packet.source).endpoint);
}

// 0: the error passes, and its connection was found if it passes as one about that; otherwise flow->judgement.verdict
// says why not.
ALWAYS_INLINE int track_error(struct __sk_buff *skb, struct flow *flow)
{
	if (quotes_known_connection(skb, &flow->packet, flow->now, flow->direction, &flow->key) &&
	    quoted_is_allowed(flow))
		return 0;
	flow->found.connection = NULL;
	if (judge_alone(flow))
		return 1;
	if (unlikely(flow->audit.rule != APUS_RULE_NONE) && tells_audit(flow))
		report_audited(flow);
	return 0;
}
