// What happens at an uplink: the interface that leads out of the node.
#pragma once

#include "path.h"

// Whether a packet from outside claims to come from this node or a pod of it, by its connection where there is one.
ALWAYS_INLINE _Bool claims_local_source(struct flow *flow)
{
	if (flow->found.connection) {
		struct apus_connection_side *side = connection_side(flow->found.connection, flow->found.from_high);
		struct local_endpoint sender;

		if (likely(!side->endpoint))
			return 0;
		sender = endpoint_of_slot(&side->endpoint);
		if (sender.endpoint && side_is_current(side, sender.endpoint))
			return 1;
		// That pod is gone, and its address may be one of another node by now.
	}
	return endpoint_of_address(&flow->packet.source).endpoint != NULL ||
	       peer_of(&flow->packet.source).flags & APUS_PEER_LOCAL_NODE;
}

ALWAYS_INLINE int drop_spoofed(struct flow *flow)
{
	return drop_flow(flow, APUS_REASON_INVALID_SOURCE, APUS_DIRECTION_INGRESS);
}

// Only what goes to a pod of this node is judged; everything else is the host's. A frame that could not be parsed has
// a destination if at least its IP header was there.
ALWAYS_INLINE int handle_from_network(struct __sk_buff *skb, __u64 now)
{
	struct flow flow = {.now = now, .counts = 1, .direction = APUS_DIRECTION_INGRESS};
	int parsed = parse_packet(skb, &flow.packet);
	int result;

	if (parsed == PARSE_PASS || address_is_zero(&flow.packet.destination))
		return TCX_NEXT_PROGRAM;
	flow.destination = endpoint_of_address(&flow.packet.destination);
	if (!flow.destination.endpoint)
		return TCX_NEXT_PROGRAM;
	if (unlikely(parsed != PARSE_PACKET))
		return drop_unparsed(skb, parsed, APUS_DIRECTION_INGRESS);
	// Through the stack it comes to the pod's own hook, which judges and counts it.
	if (!can_redirect(flow.destination.endpoint))
		return claims_local_source(&flow) ? drop_spoofed(&flow) : TCX_NEXT_PROGRAM;
	if (unlikely(is_special(&flow.packet)) && claims_local_source(&flow))
		return drop_spoofed(&flow);
	if (handle_special(skb, &flow, &result))
		return result;
	find_connection(&flow);
	if (unlikely(claims_local_source(&flow)))
		return drop_spoofed(&flow);
	if (unlikely(track(&flow)))
		return drop_denied(&flow);
	return forward_to_pod(skb, &flow);
}
