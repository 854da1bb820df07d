// Steps that the programs at pods and at uplinks share.
#pragma once

#include "icmp_error.h"

ALWAYS_INLINE _Bool is_special(const struct packet *packet)
{
	return (packet->flags &
		(PACKET_NEIGHBOUR | PACKET_SOLICITATION | PACKET_ROUTER | PACKET_FRAGMENT | PACKET_ICMP_ERROR)) != 0;
}

// Whether the node knows the destination to be on the bridge, as the pod that sends: were the frame one for the node,
// its routes would lead it back to that link, and to no other.
GLOBAL int is_on_bridge(struct __sk_buff *skb, const struct packet *packet, __u32 bridge)
{
	struct bpf_fib_lookup route = {.family = ADDRESS_FAMILY_IPV6, .l4_protocol = IPPROTO_ICMPV6, .ifindex = bridge};
	struct apus_address next;
	long found;

	if (!packet || !bridge)
		return 0;
	__builtin_memcpy(route.ipv6_src, &packet->source, sizeof(route.ipv6_src));
	__builtin_memcpy(route.ipv6_dst, &packet->destination, sizeof(route.ipv6_dst));
	found = bpf_fib_lookup(skb, &route, sizeof(route), 0);
	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
		return 0;
	// Where a gateway is the next hop, the lookup has put it in the destination's place.
	next = address_from_v6(route.ipv6_dst);
	return route.ifindex == bridge && address_equal(&next, &packet->destination);
}

// Whether the packet is neighbour or listener discovery that always passes (docs/policy.md). Between addresses that a
// router could forward to it passes towards a pod of the node, the node itself, and what is on the bridge of the pod
// that sends, so that nothing leaves a link by it; and never straight into a pod: what the stack has forwarded is
// judged where it comes in there. A pod is no router.
GLOBAL int is_free_discovery(struct __sk_buff *skb, const struct packet *packet, __u32 direction, __u32 epoch)
{
	struct local_endpoint sender;

	if (!packet)
		return 0;
	if (packet->flags & PACKET_NEIGHBOUR)
		return 1;
	if (packet->flags & PACKET_ROUTER)
		return direction == APUS_DIRECTION_INGRESS;
	if (!(packet->flags & PACKET_SOLICITATION))
		return 0;
	if (endpoint_of_address(&packet->destination).endpoint || is_address_of_node(&packet->destination, epoch))
		return 1;
	if (direction != APUS_DIRECTION_EGRESS)
		return 0;
	sender = endpoint_of_interface(skb->ifindex);
	return sender.endpoint && is_on_bridge(skb, packet, sender.endpoint->flags >> APUS_ENDPOINT_BRIDGE_SHIFT);
}

// A later fragment's ports, and what needs no connection. Returns 1 when the packet is done with, into `result`.
ALWAYS_INLINE _Bool handle_special(struct __sk_buff *skb, struct flow *flow, int *result)
{
	enum apus_reason reason = APUS_REASON_NONE;

	if (likely(!is_special(&flow->packet)))
		return 0;
	*result = TCX_NEXT_PROGRAM;
	if (is_free_discovery(skb, &flow->packet, flow->direction, flow->epoch))
		return 1;
	if (flow->packet.flags & PACKET_FRAGMENT)
		reason = resolve_fragment(&flow->packet, flow->now);
	if (reason) {
		*result = drop_flow(flow, reason, flow->direction);
		return 1;
	}
	if (!(flow->packet.flags & PACKET_ICMP_ERROR))
		return 0;
	if (flow->direction == APUS_DIRECTION_EGRESS)
		flow->destination = endpoint_of_address(&flow->packet.destination);
	if (track_error(skb, flow))
		*result = drop_denied(flow);
	return 1;
}

// Whether one end of the packet's connection may be a resolver.
ALWAYS_INLINE _Bool is_dns(const struct flow *flow)
{
	return flow->packet.destination_port == DNS_PORT || flow->packet.source_port == DNS_PORT ||
	       flow->frontend_port == DNS_PORT;
}

// To a pod of this node without the host's stack where that is possible; the stack is the way for everything else.
ALWAYS_INLINE int forward_to_pod(struct __sk_buff *skb, struct flow *flow)
{
	enum apus_reason reason;

	if (!can_redirect(flow->destination.endpoint) || flow->destination.slot == flow->source.slot)
		return TCX_NEXT_PROGRAM;
	if (unlikely(flow->reverse) && ends_here(skb, &flow->packet))
		return TCX_NEXT_PROGRAM;
	// Before the translation, which changes what a checksum is taken over.
	if (unlikely(is_dns(flow)))
		learn_answer(skb, &flow->packet, flow->now);
	if (unlikely(flow->reverse) && (reason = reverse_translate(skb, flow)))
		return drop_flow(flow, reason, APUS_DIRECTION_INGRESS);
	return deliver(skb, &flow->packet, flow->destination.endpoint);
}
