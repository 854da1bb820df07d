// What happens at an uplink: the interface that leads out of the node.
#pragma once

#include "masquerade.h"
#include "onward.h"

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

// What goes to a pod of this node is judged, what asks for a Service is led to it, and what answers a pod that has left
// in the node's name finds it; everything else is the host's. A frame that could not be parsed has a destination if at
// least its IP header was there.
ALWAYS_INLINE int handle_from_network(struct __sk_buff *skb, __u64 now)
{
	struct flow flow = {.now = now,
			    .epoch = current_epoch(),
			    .counts = 1,
			    .direction = APUS_DIRECTION_INGRESS,
			    .connection_flags = APUS_CONNECTION_RECEIVED,
			    // None, but the verifier takes it for any, and so follows all that comes after once.
			    .frame = skb->ifindex >> 30};
	int parsed = parse_packet(skb, &flow.packet);
	const struct apus_uplink *uplink;
	int result;

	// A frame for another host, heard as the link is listened to: the stack drops it.
	if (unlikely(skb->pkt_type == PACKET_OTHERHOST))
		return TCX_NEXT_PROGRAM;
	if (parsed == PARSE_PASS || address_is_zero(&flow.packet.destination))
		return TCX_NEXT_PROGRAM;
	if (unlikely(flow.packet.protocol == IPPROTO_GRE) && parsed == PARSE_PACKET) {
		parsed = unwrap(skb, &flow.packet, flow.epoch);
		if (parsed > PARSE_PASS)
			return drop_unparsed(skb, parsed, APUS_DIRECTION_INGRESS);
		flow.frame = (__u32)parsed >> 31;
		parsed = PARSE_PACKET;
	}
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
		if (unlikely(flow.packet.flags & PACKET_ICMP_ERROR))
			return unlikely(flow.frame & FRAME_UNWRAPPED) ? end_unwrapped(&flow, TCX_NEXT_PROGRAM)
								      : take_in_error(skb, &flow);
		if (!take_in(skb, &flow, uplink, &result))
			return unlikely(flow.frame & FRAME_UNWRAPPED) ? end_unwrapped(&flow, result) : result;
	}
	if (unlikely(track(&flow)))
		return drop_denied(&flow);
	if (config.redirect_uplink && flow.frame & FRAME_AIMED)
		return forward_onward(skb, &flow);
	return forward_to_pod(skb, &flow);
}

// What the stack sends for packets that are nobody's: it resets, and answers the end of an association by one (RFC
// 9260, section 8.4).
ALWAYS_INLINE _Bool is_in_nobodys_name(const struct packet *packet)
{
	return is_reset(packet) || packet->chunk == SCTP_SHUTDOWN_COMPLETE;
}

// Whether what leaves is the node's own and nothing else: most of it is found out by its address.
ALWAYS_INLINE _Bool is_own_of_node(struct __sk_buff *skb, const struct packet *packet, const struct apus_uplink *uplink)
{
	if (likely(!address_equal(&packet->source, address_of_uplink(uplink, packet))))
		return 0;
	if (unlikely(is_source_port(packet->source_port)) && skb->sk && !is_in_nobodys_name(packet))
		source_port_give_back(packet);
	return !(uplink->flags & APUS_UPLINK_SERVES);
}

// Only what clients from outside have opened through a Service is changed, and what pods have opened to the world;
// everything else is not looked at twice.
ALWAYS_INLINE int handle_to_network(struct __sk_buff *skb, __u64 now)
{
	struct flow flow = {.now = now, .epoch = current_epoch(), .counts = 1, .direction = APUS_DIRECTION_INGRESS};
	const struct apus_uplink *uplink = went_onward(skb) ? NULL : uplink_of(skb);
	_Bool from_outside;

	if (!uplink || parse_packet(skb, &flow.packet) != PARSE_PACKET)
		return TCX_NEXT_PROGRAM;
	if (unlikely(flow.packet.flags & PACKET_ICMP_ERROR))
		return send_error(skb, &flow.packet, uplink, now);
	if (is_own_of_node(skb, &flow.packet, uplink) || !has_ports(&flow))
		return TCX_NEXT_PROGRAM;
	find_connection(&flow);
	if (!flow.found.connection)
		return TCX_NEXT_PROGRAM;
	from_outside = flow.found.connection->flags & APUS_CONNECTION_FROM_OUTSIDE;
	if (from_outside && !is_from_opener(&flow.found))
		return answer_client(skb, &flow);
	if (!from_outside && !is_masqueraded(&flow, uplink))
		return TCX_NEXT_PROGRAM;
	if (from_outside && unlikely(returns_directly(&flow, address_of_uplink(uplink, &flow.packet))))
		return send_wrapped(skb, &flow, uplink);
	return send_in_own_name(skb, &flow, uplink, from_outside ? APUS_DIRECTION_INGRESS : APUS_DIRECTION_EGRESS);
}
