// The shortcut past the host's stack, at XDP: for packets of connections that the programs of tcx have opened, between
// clients outside and backends on other nodes. It does at once what those and the stack do one after the other; what it
// has any doubt about it leaves to them, as it came (docs/decisions/0027-xdp.md).
#pragma once

#include "answer_translation.h"
#include "known_translation.h"
#include "parse.h"
#include "uplinks.h"
#include "way.h"

// Keyed by the index of the interface.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct apus_xdp_link);
} xdp_links SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, APUS_XDP_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} xdp_counters SEC(".maps");

ALWAYS_INLINE void count_result(__u32 result)
{
	__u64 *counter = bpf_map_lookup_elem(&xdp_counters, &result);

	if (counter)
		++*counter;
}

ALWAYS_INLINE const struct apus_xdp_link *xdp_link_at(__u32 index)
{
	return bpf_map_lookup_elem(&xdp_links, &index);
}

ALWAYS_INLINE _Bool is_for_link(frame_t *frame, const struct apus_xdp_link *link)
{
	const __u8 *destination = header_at(frame, 0, ETH_ALEN);

	return destination && *(const __u32 *)destination == *(const __u32 *)link->mac &&
	       *(const __u16 *)&destination[4] == *(const __u16 *)&link->mac[4];
}

// Whether the packet may be one of an established connection that needs nothing but to be forwarded.
ALWAYS_INLINE _Bool is_usual(const struct packet *packet, const struct apus_uplink *uplink)
{
	if (!is_plain(packet))
		return 0;
	if (packet->protocol == IPPROTO_TCP ? packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)
					    : packet->protocol != IPPROTO_UDP)
		return 0;
	return uplink->flags & APUS_UPLINK_SERVES || is_source_port(packet->destination_port);
}

// Finds the connection that the packet goes on with, and points it at that one's other end.
COLD int find_established(struct flow *flow)
{
	struct apus_translation_key key;
	const struct apus_translation *known;

	if (!flow)
		return TRANSLATION_NONE;
	translation_key(&flow->packet, &key);
	known = translation_find(&key);
	if (!known || known->flags & APUS_TRANSLATION_LED_ON)
		return TRANSLATION_NONE;
	if (!goes_on_without_service(flow)) {
		flow->service = service_find(&key.frontend, key.frontend_port, key.protocol);
		leave_others_service(flow, &key);
	}
	return continue_known(flow, &key, known);
}

// Whether nothing has to be judged, told or recorded of the found connection but that it had a packet more: both of its
// ends are elsewhere, and it is neither opening nor ending.
ALWAYS_INLINE _Bool is_established(const struct flow *flow, int state)
{
	const struct apus_connection *connection = flow->found.connection;
	const __u8 is = APUS_CONNECTION_TRANSLATED | APUS_CONNECTION_FROM_OUTSIDE | APUS_CONNECTION_RECEIVED;
	const __u8 is_not = APUS_CONNECTION_UNANSWERED | APUS_CONNECTION_CLOSED | APUS_CONNECTION_TO_NODE;

	if (!connection || (connection->flags & (is | is_not)) != is || has_ended(connection))
		return 0;
	if ((connection->sides[0].flags | connection->sides[1].flags) & (APUS_SIDE_WRAPPED | APUS_SIDE_OTHER_PORT))
		return 0;
	if (!connection->source_port || connection->sides[0].endpoint || connection->sides[1].endpoint)
		return 0;
	return is_from_opener(&flow->found) == (state == TRANSLATION_KNOWN);
}

// What the routes of the node say of a packet between two ends, as the stack would ask them. 0: it goes on by `way`.
COLD int find_hop(frame_t *frame, const struct packet *packet, struct way *way)
{
	struct bpf_fib_lookup route = {};

	if (!packet || !way || ask_route(frame, packet, packet->end - ETH_HLEN, 0, &route))
		return 1;
	way->interface = route.ifindex;
	__builtin_memcpy(way->source_mac, route.smac, ETH_ALEN);
	__builtin_memcpy(way->destination_mac, route.dmac, ETH_ALEN);
	return 0;
}

// The client's packet leaves in the node's name, if the answers to that still lead to the client.
COLD int name_node(const struct flow *flow, const struct apus_uplink *uplink, struct way *way)
{
	const struct apus_address *address;
	const struct apus_translation *answers;
	struct apus_translation_key key;

	if (!flow || !uplink || !way || !flow->found.connection)
		return 1;
	address = address_of_uplink(uplink, &flow->packet);
	if (address_is_zero(address))
		return 1;
	answer_key(&flow->packet, address, flow->found.connection->source_port, &key);
	answers = translation_find(&key);
	if (!answers || !leads_to_sender(answers, &flow->packet))
		return 1;
	way->source = *address;
	way->ports[0] = flow->found.connection->source_port;
	return 0;
}

// The interface that the packet leaves by has to be an uplink, that frames can be handed to from here.
ALWAYS_INLINE const struct apus_uplink *uplink_of_way(frame_t *frame, struct way *way)
{
	const struct apus_xdp_link *link = xdp_link_at(way->interface);

	if (!link)
		return NULL;
	way->returns = way->interface == frame_interface(frame) && link->flags & APUS_XDP_BOUNCES;
	if (!way->returns && !(link->flags & APUS_XDP_TRANSMITS))
		return NULL;
	return bpf_map_lookup_elem(&uplinks, &way->interface);
}

// How the packet leaves that was pointed at its connection's other end; 0: not by this way.
ALWAYS_INLINE _Bool choose_way(frame_t *frame, const struct flow *flow, int state, struct way *way)
{
	const struct apus_uplink *uplink;

	if (find_hop(frame, &flow->packet, way))
		return 0;
	uplink = uplink_of_way(frame, way);
	if (!uplink || address_equal(&flow->packet.source, address_of_uplink(uplink, &flow->packet)))
		return 0;
	way->destination = flow->packet.destination;
	way->ports[1] = flow->packet.destination_port;
	if (state == TRANSLATION_KNOWN)
		return !name_node(flow, uplink, way);
	way->source = flow->found.connection->frontend;
	way->ports[0] = flow->found.connection->frontend_port;
	return 1;
}

ALWAYS_INLINE _Bool forward_frame(frame_t *frame, __u64 now, struct way *way)
{
	struct flow flow = {.now = now, .counts = 1, .direction = APUS_DIRECTION_INGRESS};
	const struct apus_xdp_link *link = xdp_link_at(frame_interface(frame));
	const struct apus_uplink *uplink = uplink_of(frame);
	int state;

	if (!link || !uplink || !is_for_link(frame, link) || parse_packet(frame, &flow.packet) != PARSE_PACKET)
		return 0;
	if (!is_usual(&flow.packet, uplink) || endpoint_of_address(&flow.packet.destination).endpoint)
		return 0;
	state = find_established(&flow);
	if (state == TRANSLATION_NONE || !is_established(&flow, state))
		return 0;
	if (endpoint_of_address(&flow.packet.destination).endpoint || !choose_way(frame, &flow, state, way))
		return 0;
	if (!take_way(frame, &flow.packet, way))
		return 0;
	connection_follow(&flow.found, &flow.packet, now, 1);
	return 1;
}

ALWAYS_INLINE int handle_frame(frame_t *frame, __u64 now)
{
	struct way way = {};

	// Where each packet is told, each has to meet what tells it.
	if (config.flow_detail == APUS_FLOW_DETAIL_PACKETS || !forward_frame(frame, now, &way)) {
		count_result(APUS_XDP_PASSED);
		return XDP_PASS;
	}
	count_result(APUS_XDP_FORWARDED);
	return way.returns ? XDP_TX : bpf_redirect(way.interface, 0);
}
