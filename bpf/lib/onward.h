// What comes in by an uplink and leaves by one again, between a client outside and a backend elsewhere: the node's
// routes are asked here, and it goes on without the host's stack. What the stack has to answer, cut or decide takes the
// way through it, to the same end (docs/decisions/0029-forwarding-past-the-stack.md).
#pragma once

#include <linux/if_packet.h>

#include "route.h"
#include "wrap.h"

enum {
	// In the control block of what goes on: at the uplink's egress nothing is to be done any more. The stack writes
	// over it in all that it forwards. Where it is lost no connection is found by the new ends, which costs time
	// alone.
	ONWARD_MARK = 0x41707573,
	TCP_WORDS = 12, // where the header says how long it is, in the upper four bits
};

ALWAYS_INLINE _Bool went_onward(const struct __sk_buff *skb)
{
	return skb->cb[1] == ONWARD_MARK;
}

// How long the packets are that leave, with what may be behind the IP packet: what the kernel has merged is cut again.
ALWAYS_INLINE __u32 longest_sent(struct __sk_buff *skb, const struct packet *packet)
{
	const __u8 *words;

	if (likely(!skb->gso_size))
		return packet->length - ETH_HLEN;
	if (packet->protocol != IPPROTO_TCP)
		return packet->l4_offset - ETH_HLEN + UDP_HEADER + skb->gso_size;
	words = header_at(skb, (packet->flags & PACKET_V6 ? IPV6_L4 : IPV4_L4) + TCP_WORDS, 1);
	return words ? packet->l4_offset - ETH_HLEN + (*words >> 4) * 4 + skb->gso_size : 0xffff;
}

// The interface and the neighbour by which the packet goes on; 0: that is for the stack to say. One that is not known
// yet the kernel asks for when it gets the packet.
GLOBAL int next_hop(struct __sk_buff *skb, const struct packet *packet, struct bpf_redir_neigh *hop)
{
	struct bpf_fib_lookup route = {};

	if (!packet || !hop || ask_route(skb, packet, longest_sent(skb, packet), BPF_FIB_LOOKUP_SKIP_NEIGH, &route))
		return 0;
	// A gateway may be of another family than the packet. It is in the place of the destination.
	hop->nh_family = route.family;
	__builtin_memcpy(hop->ipv6_nh, route.ipv6_dst, sizeof(hop->ipv6_nh));
	return route.ifindex;
}

// Whether the packet fits into each route of the uplink. Those of IPv4 say so to the stack alone (`mtu` without
// `lock`).
GLOBAL int fits_routes(struct __sk_buff *skb, const struct packet *packet, __u32 mtu)
{
	return packet && (packet->flags & PACKET_V6 || !mtu || longest_sent(skb, packet) <= mtu);
}

// Whether a router forwards the packet: its hop count does not end here, and its header is whole.
ALWAYS_INLINE _Bool is_forwardable(struct __sk_buff *skb, const struct packet *packet)
{
	const void *header = header_at(skb, ETH_HLEN, sizeof(struct iphdr));

	if (!header)
		return 0;
	if (packet->flags & PACKET_V6)
		return ((const struct ipv6hdr *)header)->hop_limit > 1;
	return ((const struct iphdr *)header)->ttl > 1 && is_header_whole(header);
}

// Whether the packet is one that a router sends on without further thought, for a client outside or from one. Not
// inlined, for the stack of what calls it.
COLD int is_for_onward(struct __sk_buff *skb, struct flow *flow)
{
	__u8 flags;

	if (!flow || skb->pkt_type != PACKET_HOST || skb->vlan_present || flow->frame & FRAME_UNWRAPPED ||
	    flow->destination.endpoint || !is_routable(&flow->packet.source))
		return 0;
	// One that has just been opened.
	if (unlikely(!flow->found.connection))
		flow->found = connection_find(&flow->packet, &flow->key);
	if (!flow->found.connection)
		return 0;
	flags = flow->found.connection->flags;
	if (!(flags & APUS_CONNECTION_FROM_OUTSIDE) || flags & APUS_CONNECTION_TO_NODE)
		return 0;
	return is_forwardable(skb, &flow->packet);
}

// Gives the IPv4 header its new ends and counts the hop. Returns what that is in a checksum over the addresses.
ALWAYS_INLINE __s64 change_header_v4(struct __sk_buff *skb, const struct packet *packet,
				     const struct apus_address *source)
{
	const struct iphdr *header = header_at(skb, ETH_HLEN, sizeof(*header));
	struct {
		__u8 hops, protocol;
		__be16 checksum;
		__be32 ends[2];
	} part = {.ends = {address_v4_bits(source), address_v4_bits(&packet->destination)}};
	__s64 difference;

	if (!header)
		return -1;
	difference = bpf_csum_diff((__be32 *)&header->saddr, sizeof(part.ends), part.ends, sizeof(part.ends), 0);
	part.hops = header->ttl - 1;
	part.protocol = header->protocol;
	part.checksum = checksum_after_hop(checksum_changed(header->check, difference));
	return bpf_skb_store_bytes(skb, IPV4_TTL, &part, sizeof(part), 0) < 0 ? -1 : difference;
}

// As change_header_v4. The header is part of a sum that the card took over the whole packet.
ALWAYS_INLINE __s64 change_header_v6(struct __sk_buff *skb, const struct packet *packet,
				     const struct apus_address *source)
{
	const struct ipv6hdr *header = header_at(skb, ETH_HLEN, sizeof(*header));
	struct ipv6hdr changed;
	__s64 difference;

	if (!header)
		return -1;
	changed = *header;
	changed.hop_limit--;
	__builtin_memcpy(&changed.saddr, source, sizeof(changed.saddr));
	__builtin_memcpy(&changed.daddr, &packet->destination, sizeof(changed.daddr));
	difference = bpf_csum_diff((__be32 *)&header->saddr, 2 * sizeof(changed.saddr), (__be32 *)&changed.saddr,
				   2 * sizeof(changed.saddr), 0);
	return bpf_skb_store_bytes(skb, ETH_HLEN, &changed, sizeof(changed), BPF_F_RECOMPUTE_CSUM) < 0 ? -1
												       : difference;
}

// Gives a plain packet of TCP or UDP, whose destination is known, both of its ends, and counts the hop: what rewrite.h
// does for one end after the other, at once.
GLOBAL int change_ends(struct __sk_buff *skb, const struct packet *packet, const struct apus_address *source,
		       __u16 source_port)
{
	__be16 ports[2], changed[2] = {source_port};
	_Bool udp;
	__u32 checksum;
	__u64 flags;
	__s64 difference;

	if (!packet || !source || bpf_skb_load_bytes(skb, packet->l4_offset, ports, sizeof(ports)) < 0)
		return -1;
	udp = packet->protocol == IPPROTO_UDP;
	checksum = packet->l4_offset + (udp ? UDP_CHECKSUM : TCP_CHECKSUM);
	flags = udp ? BPF_F_MARK_MANGLED_0 : 0;
	changed[1] = packet->destination_port;
	difference = packet->flags & PACKET_V6 ? change_header_v6(skb, packet, source)
					       : change_header_v4(skb, packet, source);
	if (difference < 0 || bpf_l4_csum_replace(skb, checksum, 0, difference, flags | BPF_F_PSEUDO_HDR) < 0)
		return -1;
	difference = bpf_csum_diff((__be32 *)ports, sizeof(ports), (__be32 *)changed, sizeof(changed), 0);
	if (bpf_l4_csum_replace(skb, checksum, 0, difference, flags) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, packet->l4_offset, changed, sizeof(changed), 0);
}

// The packet goes on through the stack, with the destination that it was aimed at. Which one its frame has is read
// there: the record of an answer has the client's instead. Returns APUS_REASON_NONE, or why it could not be changed.
COLD int leave_to_stack(struct __sk_buff *skb, const struct flow *flow)
{
	struct rewrite rewrite = {.destination = 1};
	_Bool v6;
	__be32 v4_bits;
	long failure;
	int reason;

	if (!flow)
		return APUS_REASON_MALFORMED;
	v6 = flow->packet.flags & PACKET_V6;
	failure = v6 ? bpf_skb_load_bytes(skb, IPV6_DESTINATION, &rewrite.from, sizeof(rewrite.from))
		     : bpf_skb_load_bytes(skb, IPV4_DESTINATION, &v4_bits, sizeof(v4_bits));
	failure |= bpf_skb_load_bytes(skb, port_offset(&flow->packet, 1), &rewrite.from_port, 2);
	if (failure < 0)
		return APUS_REASON_MALFORMED;
	if (!v6)
		rewrite.from = address_from_v4(v4_bits);
	rewrite.to = flow->packet.destination;
	rewrite.to_port = flow->packet.destination_port;
	reason = rewrite_packet(skb, &flow->packet, &rewrite);
	if (reason || flow->reverse)
		return reason;
	return rewrite_port(skb, &flow->packet, 0, flow->own_port, flow->packet.source_port);
}

// The uplink that the packet leaves by without the stack; NULL: it does not.
ALWAYS_INLINE const struct apus_uplink *onward_uplink(struct __sk_buff *skb, struct flow *flow, __u32 interface)
{
	const struct apus_uplink *uplink = bpf_map_lookup_elem(&uplinks, &interface);

	if (!uplink || !flow->found.connection || !fits_routes(skb, &flow->packet, uplink->route_mtu))
		return NULL;
	// It is wrapped where it leaves.
	if (!flow->reverse && unlikely(returns_directly(flow, address_of_uplink(uplink, &flow->packet))))
		return NULL;
	return uplink;
}

// Sends on what was aimed at its destination and taken through its connection.
COLD int forward_onward(struct __sk_buff *skb, struct flow *flow)
{
	struct bpf_redir_neigh hop = {};
	const struct apus_address *source;
	enum apus_reason reason = APUS_REASON_NONE;
	const struct apus_uplink *uplink;
	__u32 interface;
	__u16 port;

	if (!flow)
		return TCX_NEXT_PROGRAM;
	interface = is_for_onward(skb, flow) ? next_hop(skb, &flow->packet, &hop) : 0;
	uplink = onward_uplink(skb, flow, interface);
	if (!uplink) {
		reason = leave_to_stack(skb, flow);
		return reason ? drop_flow(flow, reason, APUS_DIRECTION_INGRESS) : TCX_NEXT_PROGRAM;
	}
	source = flow->reverse ? &flow->frontend : address_of_uplink(uplink, &flow->packet);
	port = flow->frontend_port;
	if (!flow->reverse)
		reason = find_own_port(skb, flow, source, &port);
	if (unlikely(reason))
		return drop_nameless(flow, reason, APUS_DIRECTION_INGRESS);
	if (flow->reverse && unlikely(flow->own_port))
		flow->packet.destination_port = flow->own_port;
	if (change_ends(skb, &flow->packet, source, port) < 0)
		return drop_flow(flow, APUS_REASON_MALFORMED, APUS_DIRECTION_INGRESS);
	skb->cb[1] = ONWARD_MARK;
	return bpf_redirect_neigh(interface, &hop, sizeof(hop), 0);
}
