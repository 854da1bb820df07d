// What happens at an uplink: the interface that leads out of the node.
#pragma once

#include "outside.h"

#include <linux/if_packet.h>

// What comes in for a pod. Returns whether it goes the way of its connection; otherwise it is done with, into `result`.
ALWAYS_INLINE _Bool take_to_pod(struct __sk_buff *skb, struct flow *flow, int *result)
{
	// Through the stack it comes to the pod's own hook, which judges and counts it.
	if (!can_redirect(flow->destination.endpoint)) {
		*result = claims_local_source(flow) ? drop_spoofed(flow) : TCX_NEXT_PROGRAM;
		return 0;
	}
	if (unlikely(is_special(&flow->packet)) && claims_local_source(flow)) {
		*result = drop_spoofed(flow);
		return 0;
	}
	if (handle_special(skb, flow, result))
		return 0;
	find_connection(flow);
	if (unlikely(claims_local_source(flow))) {
		*result = drop_spoofed(flow);
		return 0;
	}
	return 1;
}

// What goes to a pod of this node is judged, and what asks for a Service is led to it; everything else is the host's. A
// frame that could not be parsed has a destination if at least its IP header was there.
ALWAYS_INLINE int handle_from_network(struct __sk_buff *skb, __u64 now)
{
	struct flow flow = {.now = now, .epoch = current_epoch(), .counts = 1, .direction = APUS_DIRECTION_INGRESS};
	int parsed = parse_packet(skb, &flow.packet);
	const struct apus_uplink *uplink;
	int result;

	// A frame for another host, heard as the link is listened to: the stack drops it.
	if (unlikely(skb->pkt_type == PACKET_OTHERHOST))
		return TCX_NEXT_PROGRAM;
	if (parsed == PARSE_PASS || address_is_zero(&flow.packet.destination))
		return TCX_NEXT_PROGRAM;
	flow.destination = endpoint_of_address(&flow.packet.destination);
	if (flow.destination.endpoint) {
		if (unlikely(parsed != PARSE_PACKET))
			return drop_unparsed(skb, parsed, APUS_DIRECTION_INGRESS);
		if (!take_to_pod(skb, &flow, &result))
			return result;
	} else {
		uplink = parsed == PARSE_PACKET ? uplink_of(skb) : NULL;
		if (!uplink)
			return TCX_NEXT_PROGRAM;
		if (!take_in(skb, &flow, uplink, &result))
			return result;
	}
	if (unlikely(track(&flow)))
		return drop_denied(&flow);
	return forward_to_pod(skb, &flow);
}

// Only what clients from outside have opened through a Service is changed; everything else is not looked at twice.
ALWAYS_INLINE int handle_to_network(struct __sk_buff *skb, __u64 now)
{
	struct flow flow = {.now = now, .epoch = current_epoch(), .counts = 1, .direction = APUS_DIRECTION_INGRESS};
	const struct apus_uplink *uplink = uplink_of(skb);

	if (!uplink || parse_packet(skb, &flow.packet) != PARSE_PACKET || !has_ports(&flow))
		return TCX_NEXT_PROGRAM;
	find_connection(&flow);
	if (likely(!flow.found.connection || !(flow.found.connection->flags & APUS_CONNECTION_FROM_OUTSIDE)))
		return TCX_NEXT_PROGRAM;
	return is_from_opener(&flow.found) ? send_in_own_name(skb, &flow, uplink) : send_answer(skb, &flow);
}
