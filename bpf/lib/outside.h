// Clients from outside of the node that ask for a Service.
//
// A packet gets its new destination where it comes in, and its new source where it leaves: so the stack in between
// routes what has a source that is not the node's own, as it wants it, and whatever the stack does, both directions of
// a connection have one key here, (client, backend).
#pragma once

#include "path.h"
#include "refuse.h"
#include "route.h"
#include "source_port.h"
#include "translate.h"
#include "uplinks.h"

// TCP, UDP, SCTP and echoes whose ports are known: the host may know others.
ALWAYS_INLINE _Bool has_ports(struct flow *flow)
{
	if (unlikely(flow->packet.flags & PACKET_FRAGMENT) && resolve_fragment(&flow->packet, flow->now))
		return 0;
	return is_translatable(&flow->packet) || is_echo(&flow->packet);
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
	flow->ended = flow->found.connection;
	report_replaced(flow);
	flow->ended = NULL;
	bpf_map_delete_elem(&connections, &flow->key);
	bpf_map_delete_elem(&half_open, &flow->key);
	return 0;
}

// Whether the sender, which is no pod, is the node as far as the found connection tells: nobody opens one without
// coming in by an interface but the node.
ALWAYS_INLINE _Bool may_be_node(const struct found_connection *found)
{
	__u8 flags = found->connection->flags;

	return is_from_opener(found) ? !(flags & APUS_CONNECTION_RECEIVED) : flags & APUS_CONNECTION_TO_NODE;
}

// Whether a packet from outside claims to come from this node or a pod of it, by its connection where there is one.
ALWAYS_INLINE _Bool claims_local_source(struct flow *flow)
{
	if (flow->found.connection) {
		struct apus_connection_side *side = connection_side(flow->found.connection, flow->found.from_high);
		struct local_endpoint sender;

		if (likely(!side->endpoint && !may_be_node(&flow->found)))
			return 0;
		sender = endpoint_of_slot(&side->endpoint);
		if (sender.endpoint && side_is_current(side, sender.endpoint))
			return 1;
		// That pod is gone, or the address is the node's no more: it may be one of another node by now.
	}
	return endpoint_of_address(&flow->packet.source).endpoint != NULL ||
	       is_address_of_node(&flow->packet.source, flow->epoch);
}

ALWAYS_INLINE int drop_spoofed(struct flow *flow)
{
	return drop_flow(flow, APUS_REASON_INVALID_SOURCE, APUS_DIRECTION_INGRESS);
}

// Whether the packet asks for a port of a Service's address that no Service has. The node's own addresses are no
// Service's alone, so most of what the node gets is not looked up.
ALWAYS_INLINE _Bool is_refused(const struct flow *flow, const struct apus_uplink *uplink)
{
	if (!is_translatable(&flow->packet) || address_equal(&flow->packet.destination, &uplink->v4) ||
	    address_equal(&flow->packet.destination, &uplink->v6))
		return 0;
	return refuses_port(flow);
}

// As find_translation, for what was unwrapped: it goes to the backend that another node has chosen, by another port
// where the client's has a connection with that one already which it did not open through this frontend.
COLD int find_chosen(struct flow *flow)
{
	struct apus_translation_key key;
	const struct apus_translation *known;

	if (!flow)
		return TRANSLATION_NONE;
	translation_key(&flow->packet, &key);
	known = translation_find(&key);
	if (!known)
		return TRANSLATION_NONE;
	flow->frontend = key.frontend;
	flow->frontend_port = key.frontend_port;
	flow->packet.source_port = known_port(&key, known, flow->now);
	aim_at(flow, &known->backend, known->backend_port);
	if (!is_live(flow) || came_through_frontend(flow))
		return TRANSLATION_KNOWN;
	if (go_by_other_port(flow, &key))
		return TRANSLATION_TAKEN;
	// What is recorded next must not be hidden by it.
	bpf_map_delete_elem(&translations, &key);
	return record_opening(flow, &key, 0) ? TRANSLATION_TAKEN : TRANSLATION_KNOWN;
}

// Refuses a client's packet. What was unwrapped is that no more, once it is the answer.
ALWAYS_INLINE int refuse_client(struct __sk_buff *skb, struct flow *flow)
{
	if (likely(!(flow->frame & FRAME_UNWRAPPED)))
		return refuse_outside(skb, &flow->packet);
	flow->frame &= ~FRAME_UNWRAPPED;
	return refuse_by_stack(skb, &flow->packet);
}

// Whether the packet may be one that leaves again without the stack.
ALWAYS_INLINE _Bool may_go_onward(const struct flow *flow)
{
	return config.redirect_uplink && !flow->destination.endpoint && is_plain(&flow->packet) &&
	       (flow->packet.protocol == IPPROTO_TCP || flow->packet.protocol == IPPROTO_UDP);
}

// Gives the frame the destination that the packet was aimed at. What may go onward gets both ends at once, when it
// does. Returns APUS_REASON_NONE, or why it could not be changed.
COLD int lead_to_destination(struct __sk_buff *skb, struct flow *flow)
{
	if (!flow)
		return APUS_REASON_MALFORMED;
	if (!may_go_onward(flow))
		return rewrite_ends(skb, flow);
	flow->frame |= FRAME_AIMED;
	return APUS_REASON_NONE;
}

// What comes in for no pod of this node: to a Service, or an answer to what has left in the node's name. Returns
// whether it goes the way of its connection; otherwise it is done with, into `result`.
ALWAYS_INLINE _Bool take_in(struct __sk_buff *skb, struct flow *flow, const struct apus_uplink *uplink, int *result)
{
	enum apus_reason reason;
	int state;

	*result = TCX_NEXT_PROGRAM;
	if (!has_ports(flow))
		return 0;
	// Most of what the node gets is its own, and is not looked up where no Service could be asked for.
	if (!(uplink->flags & APUS_UPLINK_SERVES) && likely(!is_source_port(flow->packet.destination_port)))
		return 0;
	flow->own_port = flow->packet.source_port;
	state = unlikely(flow->frame & FRAME_UNWRAPPED) ? find_chosen(flow) : find_translation(flow);
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
	    flow->found.connection->flags & APUS_CONNECTION_UNANSWERED && !is_reset(&flow->packet))
		source_port_answered(flow);
	reason = state == TRANSLATION_NONE ? APUS_REASON_NO_BACKEND : translate_found(skb, flow, state, 1);
	if (likely(!reason)) {
		flow->destination = endpoint_of_address(&flow->packet.destination);
		reason = lead_to_destination(skb, flow);
		if (likely(!reason))
			return 1;
	}
	*result = drop_flow(flow, reason, APUS_DIRECTION_INGRESS);
	if (reason == APUS_REASON_NO_BACKEND || reason == APUS_REASON_SOURCE_PORT)
		*result = refuse_client(skb, flow);
	return 0;
}

// Returns APUS_REASON_NONE, or why it could not be changed. Not inlined, as `rewrite` would crowd the stack.
COLD int rewrite_source(struct __sk_buff *skb, const struct packet *packet, const struct apus_address *address,
			__u32 port)
{
	struct rewrite rewrite = {};

	if (!packet || !address)
		return APUS_REASON_MALFORMED;
	rewrite.from = packet->source;
	rewrite.from_port = packet->source_port;
	rewrite.to = *address;
	rewrite.to_port = port;
	return rewrite_packet(skb, packet, &rewrite);
}

// The port that the opener's packet leaves by in the node's name, which its connection remembers. Returns
// APUS_REASON_NONE, or why it can't go.
ALWAYS_INLINE enum apus_reason find_own_port(struct __sk_buff *skb, struct flow *flow,
					     const struct apus_address *address, __u16 *port)
{
	int found;

	if (address_is_zero(address))
		return APUS_REASON_NO_SOURCE;
	found = source_port(skb, &flow->packet, address, flow->found.connection->source_port, flow->now);
	if (!found)
		return APUS_REASON_PORTS_EXHAUSTED;
	*port = found;
	if (flow->found.connection->source_port != *port)
		flow->found.connection->source_port = *port;
	return APUS_REASON_NONE;
}

// The opener's packet can't leave in the node's name.
ALWAYS_INLINE int drop_nameless(struct flow *flow, enum apus_reason reason, enum apus_direction direction)
{
	flow->source = endpoint_of_slot(&connection_side(flow->found.connection, flow->found.from_high)->endpoint);
	return drop_flow(flow, reason, direction);
}

// The opener's packet leaves, and the other end has to answer to this node: that of a client outside whose backend is
// elsewhere, or that of a pod.
ALWAYS_INLINE int send_in_own_name(struct __sk_buff *skb, struct flow *flow, const struct apus_uplink *uplink,
				   enum apus_direction direction)
{
	const struct apus_address *address = address_of_uplink(uplink, &flow->packet);
	__u16 port = 0;
	enum apus_reason reason = find_own_port(skb, flow, address, &port);

	if (likely(!reason))
		reason = rewrite_source(skb, &flow->packet, address, port);
	return likely(!reason) ? TCX_NEXT_PROGRAM : drop_nameless(flow, reason, direction);
}

// An answer leaves for the client: it comes from the Service again. One of a process of this node, which no program has
// met before, is a packet of its connection that counts here. Datagrams of the process don't keep the connection: the
// same ports may have gone on without the Service, and only the client's packets tell.
ALWAYS_INLINE int send_answer(struct __sk_buff *skb, struct flow *flow)
{
	enum apus_reason reason;

	flow->frontend = flow->found.connection->frontend;
	flow->frontend_port = flow->found.connection->frontend_port;
	flow->own_port = own_port_of_opener(flow->found.connection);
	if (flow->packet.protocol == IPPROTO_UDP)
		flow->now = flow->found.connection->last_seen_ns;
	if (skb->sk)
		follow_connection(flow);
	reason = reverse_translate(skb, flow);
	return unlikely(reason) ? drop_flow(flow, reason, APUS_DIRECTION_INGRESS) : TCX_NEXT_PROGRAM;
}
