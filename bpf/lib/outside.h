// Clients from outside of the node that ask for a Service.
//
// A packet gets its new destination where it comes in, and its new source where it leaves: so the stack in between
// routes what has a source that is not the node's own, as it wants it, and whatever the stack does, both directions of
// a connection have one key here, (client, backend).
#pragma once

#include "path.h"
#include "refuse.h"
#include "source_port.h"
#include "translate.h"

// Keyed by the index of the interface.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct apus_uplink);
} uplinks SEC(".maps");

ALWAYS_INLINE const struct apus_uplink *uplink_of(const struct __sk_buff *skb)
{
	__u32 index = skb->ifindex;

	return bpf_map_lookup_elem(&uplinks, &index);
}

// TCP and UDP whose ports are known: the host may know others.
ALWAYS_INLINE _Bool has_ports(struct flow *flow)
{
	if (unlikely(flow->packet.flags & PACKET_FRAGMENT) && resolve_fragment(&flow->packet, flow->now))
		return 0;
	return is_translatable(&flow->packet);
}

// A client that opens a connection to the node itself may do so where one was that a Service had led there. While that
// one lives its entry stays: anyone can write a SYN. The process answers one that does not fit its connection with what
// the client resets that knows nothing of it, by the frontend (RFC 5961, section 4), and then the next SYN opens.
COLD int forget_outside(struct flow *flow)
{
	if (!flow)
		return 0;
	flow->found = connection_find(&flow->packet, &flow->key);
	if (!flow->found.connection || !(flow->found.connection->flags & APUS_CONNECTION_FROM_OUTSIDE) ||
	    continues(flow))
		return 0;
	bpf_map_delete_elem(&connections, &flow->key);
	bpf_map_delete_elem(&half_open, &flow->key);
	return 0;
}

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
	       peer_of(&flow->packet.source, flow->epoch).flags & APUS_PEER_LOCAL_NODE;
}

ALWAYS_INLINE int drop_spoofed(struct flow *flow)
{
	return drop_flow(flow, APUS_REASON_INVALID_SOURCE, APUS_DIRECTION_INGRESS);
}

// Whether the packet asks for a port of a Service's address that no Service has. The node's own addresses are no
// Service's alone, so most of what the node gets is not looked up.
ALWAYS_INLINE _Bool is_refused(const struct flow *flow, const struct apus_uplink *uplink)
{
	if (address_equal(&flow->packet.destination, &uplink->v4) ||
	    address_equal(&flow->packet.destination, &uplink->v6))
		return 0;
	return refuses_port(flow);
}

// What comes in for no pod of this node: to a Service, or an answer that a backend elsewhere has sent to the node.
// Returns whether it was translated, and goes the way of its connection; otherwise it is done with, into `result`.
ALWAYS_INLINE _Bool take_in(struct __sk_buff *skb, struct flow *flow, const struct apus_uplink *uplink, int *result)
{
	enum apus_reason reason;
	int state;

	*result = TCX_NEXT_PROGRAM;
	if (!has_ports(flow))
		return 0;
	state = find_translation(flow);
	if (state == TRANSLATION_NONE) {
		if (unlikely(is_connection_opening(&flow->packet)))
			forget_outside(flow);
		if (likely(!is_refused(flow, uplink)))
			return 0;
	}
	if (unlikely(claims_local_source(flow))) {
		*result = drop_spoofed(flow);
		return 0;
	}
	if (state == TRANSLATION_ANSWER && flow->found.connection &&
	    flow->found.connection->flags & APUS_CONNECTION_UNANSWERED && !(flow->packet.tcp_flags & TCP_RST))
		source_port_answered(flow);
	reason = state == TRANSLATION_NONE ? APUS_REASON_NO_BACKEND : translate_found(skb, flow, state);
	if (likely(!reason)) {
		flow->destination = endpoint_of_address(&flow->packet.destination);
		return 1;
	}
	*result = drop_flow(flow, reason, APUS_DIRECTION_INGRESS);
	if (reason == APUS_REASON_NO_BACKEND)
		*result = refuse_outside(skb, &flow->packet);
	return 0;
}

// The client's packet leaves the node: its backend is elsewhere, and has to answer to this node.
ALWAYS_INLINE int send_in_own_name(struct __sk_buff *skb, struct flow *flow, const struct apus_uplink *uplink)
{
	struct rewrite rewrite = {.from = flow->packet.source, .from_port = flow->packet.source_port};
	int port = 0;

	rewrite.to = flow->packet.flags & PACKET_V6 ? uplink->v6 : uplink->v4;
	if (!address_is_zero(&rewrite.to))
		port = source_port(&flow->packet, &rewrite.to, flow->found.connection->source_port, flow->now);
	if (!port)
		return drop_flow(flow, APUS_REASON_NO_SOURCE, APUS_DIRECTION_INGRESS);
	if (flow->found.connection->source_port != port)
		flow->found.connection->source_port = port;
	rewrite.to_port = port;
	if (rewrite_packet(skb, &flow->packet, &rewrite) < 0)
		return drop_flow(flow, APUS_REASON_MALFORMED, APUS_DIRECTION_INGRESS);
	return TCX_NEXT_PROGRAM;
}

// An answer leaves for the client: it comes from the Service again. One of a process of this node, which no program has
// met before, is a packet of its connection that counts here. Datagrams of the process don't keep the connection: the
// same ports may have gone on without the Service, and only the client's packets tell.
ALWAYS_INLINE int send_answer(struct __sk_buff *skb, struct flow *flow)
{
	flow->frontend = flow->found.connection->frontend;
	flow->frontend_port = flow->found.connection->frontend_port;
	if (flow->packet.protocol == IPPROTO_UDP)
		flow->now = flow->found.connection->last_seen_ns;
	if (skb->sk)
		follow_connection(flow);
	if (reverse_translate(skb, flow) < 0)
		return drop_flow(flow, APUS_REASON_MALFORMED, APUS_DIRECTION_INGRESS);
	return TCX_NEXT_PROGRAM;
}
