// ICMP errors follow the connection that they are about.
#pragma once

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

// Whether a pod has got the quoted packet through a Service, translated packet by packet: to the pod it came from the
// Service's address, and the connection's key has the backend's.
GLOBAL int quotes_backend(const struct packet *quoted, __u64 now, struct apus_connection_key *key)
{
	struct apus_translation_key known = {};
	const struct apus_translation *translation;
	struct found_connection found = {};

	if (!quoted || !key)
		return 0;
	known.client = quoted->destination;
	known.frontend = quoted->source;
	known.client_port = quoted->destination_port;
	known.frontend_port = quoted->source_port;
	known.protocol = quoted->protocol;
	translation = translation_find(&known);
	if (!translation)
		return 0;
	connection_key_of(&known.client, known.client_port, &translation->backend, translation->backend_port,
			  known.protocol, key);
	found = connection_with(key);
	return found.connection && found.connection->flags & APUS_CONNECTION_TRANSLATED &&
	       found.connection->frontend_port == known.frontend_port &&
	       address_equal(&found.connection->frontend, &known.frontend) &&
	       !connection_is_expired(found.connection, known.protocol, now);
}

// Whether an ICMP error quotes a packet of a connection that is known here, and the connection's key. The quoted packet
// was sent by the receiver of the error; any router may report on it, but a pod is none and speaks for itself only.
GLOBAL int quotes_known_connection(struct __sk_buff *skb, const struct packet *packet, __u64 now, __u32 direction,
				   struct apus_connection_key *key)
{
	struct packet quoted = {};
	struct found_connection found;
	__u32 offset;
	int parsed;

	if (!packet || !key)
		return 0;
	offset = packet->l4_offset + 8;
	quoted.end = packet->end;
	parsed = parse_quoted(skb, &quoted, offset, packet->flags & PACKET_V6);
	if (parsed != PARSE_PACKET || !address_equal(&quoted.source, &packet->destination))
		return 0;
	if (direction == APUS_DIRECTION_EGRESS && !address_equal(&quoted.destination, &packet->source))
		return 0;
	found = connection_find(&quoted, key);
	if (found.connection && !connection_is_expired(found.connection, quoted.protocol, now))
		return 1;
	return direction == APUS_DIRECTION_EGRESS && quotes_backend(&quoted, now, key);
}

// Whether this hook is the one that tells of an error that passes in audit mode: it is judged at each hook on its way.
// What a pod of the node sends is told where it leaves, and what comes in by an uplink where it enters the pod.
ALWAYS_INLINE _Bool tells_audit(const struct flow *flow)
{
	return flow->source.endpoint || (!flow->counts && !endpoint_of_address(&flow->packet.source).endpoint);
}

// 0: the error passes; otherwise flow->judgement.verdict says why not.
ALWAYS_INLINE int track_error(struct __sk_buff *skb, struct flow *flow)
{
	if (quotes_known_connection(skb, &flow->packet, flow->now, flow->direction, &flow->key) &&
	    quoted_is_allowed(flow))
		return 0;
	if (judge_alone(flow))
		return 1;
	if (unlikely(flow->audit.rule != APUS_RULE_NONE) && tells_audit(flow))
		report_audited(flow);
	return 0;
}
