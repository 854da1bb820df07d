// Changing addresses, ports, hardware addresses and hop counts of a packet, checksums included.
#pragma once

#include "checksum.h"
#include "crc32c.h"
#include "endpoint.h"

enum {
	IPV4_CHECKSUM = ETH_HLEN + 10,
	IPV4_SOURCE = ETH_HLEN + 12,
	IPV4_DESTINATION = ETH_HLEN + 16,
	IPV4_TTL = ETH_HLEN + 8,
	IPV6_HOP_LIMIT = ETH_HLEN + 7,
	IPV6_SOURCE = ETH_HLEN + 8,
	IPV6_DESTINATION = ETH_HLEN + 24,
	TCP_CHECKSUM = 16, // from the start of the layer 4 header
	UDP_CHECKSUM = 6,
	SCTP_CHECKSUM = 8,
	ICMP_HEADER = 8,
	ICMP_CHECKSUM = 2,
	ICMP_IDENTIFIER = 4, // of an echo: it stands for a port
};

// Which end of a packet is rewritten, and to what.
struct rewrite {
	struct apus_address from;
	struct apus_address to;
	__u16 from_port; // network byte order
	__u16 to_port;
	_Bool destination;
};

// What stands for a port in an echo is its identifier. Of later fragments the first one has told it.
ALWAYS_INLINE _Bool is_echo(const struct packet *packet)
{
	if (packet->flags & PACKET_LATER_FRAGMENT)
		return is_icmp(packet) && (packet->source_port || packet->destination_port);
	if (packet->protocol == IPPROTO_ICMP)
		return packet->icmp_type == ICMP_ECHO_REQUEST || packet->icmp_type == ICMP_ECHO_REPLY;
	return packet->protocol == IPPROTO_ICMPV6 &&
	       (packet->icmp_type == ICMPV6_ECHO_REQUEST || packet->icmp_type == ICMPV6_ECHO_REPLY);
}

// Where the port of one end is, from the start of the frame.
ALWAYS_INLINE __u32 port_offset(const struct packet *packet, _Bool destination)
{
	return packet->l4_offset + (is_icmp(packet) ? ICMP_IDENTIFIER : destination ? 2 : 0);
}

// Bytes as a number whose lowest ones come first, as a CRC32c takes them, from one in network byte order.
ALWAYS_INLINE __u32 low_first(__be32 number)
{
	return __builtin_bswap32(bpf_ntohl(number));
}

// The checksum of SCTP covers the ports and everything behind them, but no addresses. 0 stays: the kernel fills it in
// where the packet leaves the node, or the ends do without one (RFC 9653). One packet in four billion has it as its
// checksum, and comes out with a wrong one, which loses it.
ALWAYS_INLINE enum apus_reason rewrite_sctp_checksum(struct __sk_buff *skb, const struct packet *packet,
						     const struct rewrite *rewrite)
{
	__u32 offset = packet->l4_offset + SCTP_CHECKSUM;
	__u32 from_port = packet->end - packet->l4_offset - (rewrite->destination ? 2 : 0);
	__u16 difference = __builtin_bswap16(bpf_ntohs(rewrite->from_port ^ rewrite->to_port));
	__be32 checksum;

	if (bpf_skb_load_bytes(skb, offset, &checksum, sizeof(checksum)) < 0)
		return APUS_REASON_MALFORMED;
	if (!checksum)
		return APUS_REASON_NONE;
	// How long the whole packet is, a part of it does not tell.
	if (packet->flags & PACKET_FRAGMENT)
		return APUS_REASON_FRAGMENT;
	checksum ^= low_first(crc32c_change(difference, from_port));
	return bpf_skb_store_bytes(skb, offset, &checksum, sizeof(checksum), BPF_F_RECOMPUTE_CSUM) < 0
		       ? APUS_REASON_MALFORMED
		       : APUS_REASON_NONE;
}

// Nothing in the packet makes up for these changes in the sum that a network card took over it (CHECKSUM_COMPLETE).
ALWAYS_INLINE enum apus_reason rewrite_sctp_port(struct __sk_buff *skb, const struct packet *packet,
						 const struct rewrite *rewrite)
{
	enum apus_reason reason;

	if (rewrite->from_port == rewrite->to_port)
		return APUS_REASON_NONE;
	reason = rewrite_sctp_checksum(skb, packet, rewrite);
	if (!reason && bpf_skb_store_bytes(skb, port_offset(packet, rewrite->destination), &rewrite->to_port, 2,
					   BPF_F_RECOMPUTE_CSUM) < 0)
		return APUS_REASON_MALFORMED;
	return reason;
}

ALWAYS_INLINE int rewrite_ports(struct __sk_buff *skb, const struct packet *packet, const struct rewrite *rewrite,
				__s64 address_difference)
{
	_Bool udp = packet->protocol == IPPROTO_UDP;
	__u32 checksum = packet->l4_offset + (udp ? UDP_CHECKSUM : is_icmp(packet) ? ICMP_CHECKSUM : TCP_CHECKSUM);
	// A UDP checksum of 0 means "none" and must stay so; one that becomes 0 is sent as 0xffff.
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;

	// That of ICMP covers no addresses, other than that of ICMPv6.
	if (packet->protocol != IPPROTO_ICMP &&
	    bpf_l4_csum_replace(skb, checksum, 0, address_difference, flags | BPF_F_PSEUDO_HDR) < 0)
		return -1;
	if (bpf_l4_csum_replace(skb, checksum, rewrite->from_port, rewrite->to_port, flags | 2) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, port_offset(packet, rewrite->destination), &rewrite->to_port, 2, 0);
}

ALWAYS_INLINE __s64 rewrite_v4(struct __sk_buff *skb, const struct rewrite *rewrite)
{
	__be32 from = address_v4_bits(&rewrite->from), to = address_v4_bits(&rewrite->to);

	if (bpf_l3_csum_replace(skb, IPV4_CHECKSUM, from, to, sizeof(to)) < 0)
		return -1;
	if (bpf_skb_store_bytes(skb, rewrite->destination ? IPV4_DESTINATION : IPV4_SOURCE, &to, sizeof(to), 0) < 0)
		return -1;
	return bpf_csum_diff(&from, sizeof(from), &to, sizeof(to), 0);
}

ALWAYS_INLINE __s64 rewrite_v6(struct __sk_buff *skb, const struct rewrite *rewrite)
{
	struct apus_address from = rewrite->from, to = rewrite->to;

	// IPv6 has no header checksum that would make up for the address in a sum that the network card took over the
	// whole packet (CHECKSUM_COMPLETE), so the sum changes with it.
	if (bpf_skb_store_bytes(skb, rewrite->destination ? IPV6_DESTINATION : IPV6_SOURCE, &to, sizeof(to),
				BPF_F_RECOMPUTE_CSUM) < 0)
		return -1;
	return bpf_csum_diff((__be32 *)&from, sizeof(from), (__be32 *)&to, sizeof(to), 0);
}

// Rewrites one end of a packet of TCP, UDP, SCTP or an echo. Returns APUS_REASON_NONE, or why it could not be changed.
GLOBAL int rewrite_packet(struct __sk_buff *skb, const struct packet *packet, const struct rewrite *rewrite)
{
	__s64 difference;

	if (!packet || !rewrite)
		return APUS_REASON_MALFORMED;
	difference = packet->flags & PACKET_V6 ? rewrite_v6(skb, rewrite) : rewrite_v4(skb, rewrite);
	if (difference < 0)
		return APUS_REASON_MALFORMED;
	if (packet->flags & PACKET_LATER_FRAGMENT)
		return APUS_REASON_NONE;
	if (packet->protocol == IPPROTO_SCTP)
		return rewrite_sctp_port(skb, packet, rewrite);
	return rewrite_ports(skb, packet, rewrite, difference) < 0 ? APUS_REASON_MALFORMED : APUS_REASON_NONE;
}

// Whether the packet's hop count ends here, so that the stack has to answer.
ALWAYS_INLINE _Bool ends_here(struct __sk_buff *skb, const struct packet *packet)
{
	const __u8 *hops = header_at(skb, IPV4_TTL, 1);

	if (packet->flags & PACKET_V6)
		hops = header_at(skb, IPV6_HOP_LIMIT, 1);
	return !hops || *hops <= 1;
}

// Hands the packet to a pod of this node. `to_peer`: straight into the pod, without the host's stack; then the frame
// gets the hardware addresses and the hop count that the stack would have given it. What the stack has to answer (a
// hop count that ends here) and pods without a veth go through the stack.
ALWAYS_INLINE int deliver(struct __sk_buff *skb, const struct packet *packet, const struct apus_endpoint *endpoint)
{
	struct {
		__u8 destination[6], source[6];
		__u16 type;
		__u8 network[12];
	} head;
	__u32 length = packet->flags & PACKET_V6 ? ETH_HLEN : 26;
	const void *frame = header_at(skb, 0, 26);

	if (!frame)
		return TCX_NEXT_PROGRAM;
	__builtin_memcpy(&head, frame, 26);
	if (packet->flags & PACKET_V6) {
		if (head.network[7] <= 1)
			return TCX_NEXT_PROGRAM;
		head.network[7]--;
		// As for addresses in IPv6: part of the card's sum over the packet, which begins behind the link
		// header.
		if (bpf_skb_store_bytes(skb, IPV6_HOP_LIMIT, &head.network[7], 1, BPF_F_RECOMPUTE_CSUM) < 0)
			return TCX_NEXT_PROGRAM;
	} else {
		__be16 *checksum = (__be16 *)&head.network[10];

		if (head.network[8] <= 1)
			return TCX_NEXT_PROGRAM;
		head.network[8]--;
		*checksum = checksum_after_hop(*checksum);
	}
	__builtin_memcpy(head.destination, endpoint->mac, 6);
	__builtin_memcpy(head.source, endpoint->host_mac, 6);
	if (bpf_skb_store_bytes(skb, 0, &head, length, 0) < 0)
		return TCX_NEXT_PROGRAM;
	return bpf_redirect_peer(endpoint->ifindex, 0);
}

ALWAYS_INLINE _Bool can_redirect(const struct apus_endpoint *endpoint)
{
	return config.redirect_peer && endpoint && endpoint->flags & APUS_ENDPOINT_REDIRECT;
}
