// What happens at a pod's host-side interface.
#pragma once

#include "arp.h"
#include "ask.h"
#include "path.h"
#include "refuse.h"
#include "socket_frontend.h"
#include "translate.h"

// A packet that a pod sends and that no connection is known for.
ALWAYS_INLINE enum apus_reason prepare_opening(struct __sk_buff *skb, struct flow *flow)
{
	if (is_translatable(&flow->packet)) {
		enum apus_reason reason = translate_packet(skb, flow);

		if (reason)
			return reason;
	}
	if (flow->found.connection)
		return APUS_REASON_NONE; // translated onto a connection that exists
	if (!flow->frontend_port)
		note_socket_frontend(skb, flow);
	return APUS_REASON_NONE;
}

// Whether what the packet would go on with, without an answer so far, was opened when its destination was no Service's
// yet. Segments of a connection whose opening is not seen again can't begin one with a backend.
COLD int is_older_than_service(struct flow *flow)
{
	const struct apus_service *service;

	if (!flow || !flow->found.connection || flow->found.connection->flags & APUS_CONNECTION_TRANSLATED)
		return 0;
	if (!is_from_opener(&flow->found) || !is_translatable(&flow->packet) ||
	    !(flow->packet.protocol == IPPROTO_UDP || is_connection_opening(&flow->packet)))
		return 0;
	service = service_find(&flow->packet.destination, flow->packet.destination_port, flow->packet.protocol);
	return service && !is_not_for_sender(service);
}

// The pod that sends. The connection mostly names it, also one that this packet does not continue, and saves a look-up.
// Its slot may have gone to another pod since, whose interface is another one.
ALWAYS_INLINE void find_sender(const struct __sk_buff *skb, struct flow *flow)
{
	struct apus_connection *connection = flow->found.connection ? flow->found.connection : flow->ended;

	if (likely(connection)) {
		flow->source = endpoint_of_slot(&connection_side(connection, flow->found.from_high)->endpoint);
		if (likely(flow->source.endpoint && flow->source.endpoint->ifindex == skb->ifindex &&
			   endpoint_owns(flow->source.endpoint, &flow->packet.source)))
			return;
	}
	flow->source = endpoint_of_interface(skb->ifindex);
}

// Not inlined, as the packets that need it are rare.
COLD int find_connection_of_special(struct flow *flow)
{
	if (flow)
		find_connection(flow);
	return 0;
}

// Whether the packet is to a backend itself, from a port from which the pod has a connection with it through a Service:
// that one's own packets go to the Service's address. To a later fragment it was told already which port it goes by.
ALWAYS_INLINE _Bool is_beside_translation(const struct flow *flow)
{
	const struct apus_connection *connection = flow->found.connection;

	if (likely(!(connection->flags & APUS_CONNECTION_TRANSLATED)) || !is_from_opener(&flow->found))
		return 0;
	return !(flow->packet.flags & PACKET_LATER_FRAGMENT && own_port_of_opener(connection));
}

// Drops what can't go on. The pod is told where another try could do better, or at least end at once.
ALWAYS_INLINE int turn_away(struct __sk_buff *skb, struct flow *flow, enum apus_reason reason)
{
	drop_flow(flow, reason, APUS_DIRECTION_EGRESS);
	if (reason != APUS_REASON_NO_BACKEND && reason != APUS_REASON_SOURCE_PORT)
		return TCX_DROP_PACKET;
	return refuse(skb, &flow->packet, flow->source.endpoint);
}

// Whether the packet is an ICMP error that passes, about a connection that may be translated at this hook.
ALWAYS_INLINE _Bool is_about_translated(const struct flow *flow)
{
	return flow->packet.flags & PACKET_ICMP_ERROR && flow->found.connection &&
	       flow->found.connection->flags & APUS_CONNECTION_TRANSLATED;
}

ALWAYS_INLINE int handle_from_pod(struct __sk_buff *skb, __u64 now)
{
	struct flow flow = {.now = now, .epoch = current_epoch(), .counts = 1, .direction = APUS_DIRECTION_EGRESS};
	enum apus_reason reason;
	int parsed = parse_packet(skb, &flow.packet);
	int result;

	if (unlikely(parsed == PARSE_PASS)) {
		reason = check_arp(skb);
		return reason ? drop_unparsed(skb, PARSE_DROP(reason), APUS_DIRECTION_EGRESS) : TCX_NEXT_PROGRAM;
	}
	if (unlikely(parsed != PARSE_PACKET))
		return drop_unparsed(skb, parsed, APUS_DIRECTION_EGRESS);
	if (likely(!is_special(&flow.packet)))
		find_connection(&flow);
	find_sender(skb, &flow);
	if (unlikely(!flow.source.endpoint))
		return drop_flow(&flow, APUS_REASON_UNKNOWN_ENDPOINT, APUS_DIRECTION_EGRESS);
	reason = check_source(skb, &flow.packet, flow.source.endpoint);
	if (unlikely(reason))
		return drop_flow(&flow, reason, APUS_DIRECTION_EGRESS);
	if (unlikely(is_special(&flow.packet))) {
		reason = check_advertisement(skb, &flow.packet, flow.source.endpoint);
		if (reason)
			return drop_flow(&flow, reason, APUS_DIRECTION_EGRESS);
		if (handle_special(skb, &flow, &result)) {
			if (is_about_translated(&flow))
				lead_error(skb, &flow.packet, 0, now);
			return result;
		}
		find_connection_of_special(&flow);
	}
	flow.own_port = flow.packet.source_port;
	if (flow.found.connection && unlikely(flow.found.connection->flags & APUS_CONNECTION_UNANSWERED) &&
	    is_older_than_service(&flow))
		leave_connection(&flow);
	if (unlikely(may_be_cut_off(&flow)))
		find_cut_off(skb, &flow);
	flow.beside = skb->ifindex >> 31; // 0, which the verifier does not know
	if (flow.found.connection && unlikely(is_beside_translation(&flow))) {
		flow.found.connection = NULL;
		flow.beside = 1;
	}
	reason = APUS_REASON_NONE;
	if (!flow.found.connection)
		reason = prepare_opening(skb, &flow);
	if (unlikely(reason))
		return turn_away(skb, &flow, reason);
	if (unlikely(track(&flow)))
		return drop_denied(&flow);
	if (unlikely(is_dns(&flow)) && names_in_force())
		note_question(skb, &flow.packet);
	return forward_to_pod(skb, &flow);
}

// What a link brings to many, or to an address that is not known to be the pod's: each receiver judges it for itself,
// as nothing that is kept of it could be of one alone. It is no packet of a connection; a reply to it opens one.
ALWAYS_INLINE int take_from_link(struct flow *flow)
{
	int denied = judge_alone(flow);

	// Only for what is told: its sender was judged where it sent.
	flow->source = endpoint_of_address(&flow->packet.source);
	if (denied)
		return drop_denied(flow);
	report_audit(flow);
	return TCX_NEXT_PROGRAM;
}

// What the host's stack sends to a pod: from the node itself, from outside, and from local pods that were not
// redirected (those were judged when they left, and counted).
ALWAYS_INLINE int handle_to_pod(struct __sk_buff *skb, __u64 now)
{
	struct flow flow = {.now = now,
			    .epoch = current_epoch(),
			    .direction = APUS_DIRECTION_INGRESS,
			    .connection_flags = (skb->ingress_ifindex != 0) * APUS_CONNECTION_RECEIVED};
	int parsed = parse_packet(skb, &flow.packet);
	enum apus_reason reason;
	_Bool is_own;
	int result;

	if (parsed == PARSE_PASS || takes_answer(skb))
		return TCX_NEXT_PROGRAM;
	if (unlikely(parsed != PARSE_PACKET))
		return drop_unparsed(skb, parsed, APUS_DIRECTION_INGRESS);
	flow.destination = endpoint_of_interface(skb->ifindex);
	if (unlikely(!flow.destination.endpoint))
		return drop_flow(&flow, APUS_REASON_UNKNOWN_ENDPOINT, APUS_DIRECTION_INGRESS);
	is_own = endpoint_owns(flow.destination.endpoint, &flow.packet.destination);
	if (unlikely(!is_own) && !is_for_link(skb, &flow.packet))
		return drop_flow(&flow, APUS_REASON_INVALID_DESTINATION, APUS_DIRECTION_INGRESS);
	if (handle_special(skb, &flow, &result)) {
		if (is_about_translated(&flow))
			name_in_error(skb, &flow.packet, NULL, now);
		return result;
	}
	if (unlikely(!is_own))
		return take_from_link(&flow);
	find_connection(&flow);
	// What was translated at an uplink on its way here was counted there.
	flow.counts =
		flow.found.connection && !connection_side(flow.found.connection, flow.found.from_high)->endpoint &&
		!(flow.found.connection->flags & APUS_CONNECTION_FROM_OUTSIDE) && !flow.found.connection->source_port;
	if (unlikely(track(&flow)))
		return drop_denied(&flow);
	if (unlikely(is_dns(&flow)))
		learn_answer(skb, &flow.packet, flow.now);
	if (unlikely(flow.reverse) && (reason = reverse_translate(skb, &flow)))
		return drop_flow(&flow, reason, APUS_DIRECTION_INGRESS);
	return TCX_NEXT_PROGRAM;
}
