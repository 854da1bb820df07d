// How a packet is parsed out of a frame.
#pragma once

#include "packet.h"

// What a frame turned out to be; anything above PARSE_PASS is an enum apus_reason + PARSE_PASS.
enum {
	PARSE_PACKET = 0, // IP, described by struct packet
	PARSE_PASS = 1, // nothing to judge: ARP, a VLAN of somebody else
};

#define PARSE_DROP(reason) (PARSE_PASS + (reason))

enum {
	IPV4_FRAGMENT_MASK = 0x3fff, // more-fragments flag and offset
	IPV4_OFFSET_MASK = 0x1fff,
	IPV6_EXTENSIONS_MAX = 8,
	TCP_HEADER = 20,
	UDP_HEADER = 8,
	SCTP_HEADER = 12,
	L4_HEADER_READ = 8, // what an ICMP error quotes at least
};

// Whether `size` bytes of layer 4 are in the IP packet: what follows it is padding of the link, which a receiver cuts
// off.
ALWAYS_INLINE _Bool holds_l4(const struct packet *packet, __u32 size)
{
	return packet->l4_offset + size <= packet->end;
}

ALWAYS_INLINE int parse_tcp(struct __sk_buff *skb, struct packet *packet)
{
	struct {
		__be16 source, destination;
		__be32 sequence, acknowledged;
		__u8 offset, flags;
	} header;
	__u32 length;

	if (!holds_l4(packet, TCP_HEADER) || bpf_skb_load_bytes(skb, packet->l4_offset, &header, 14) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	length = (header.offset >> 4) * 4;
	if (length < TCP_HEADER)
		return PARSE_DROP(APUS_REASON_MALFORMED);
	// The options may continue in the next fragment.
	if (!(packet->flags & PACKET_FRAGMENT) && !holds_l4(packet, length))
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	packet->source_port = header.source;
	packet->destination_port = header.destination;
	packet->tcp_flags = header.flags;
	return PARSE_PACKET;
}

ALWAYS_INLINE int parse_ports(struct __sk_buff *skb, struct packet *packet, __u32 header)
{
	__be16 ports[2];

	if (!holds_l4(packet, header) || bpf_skb_load_bytes(skb, packet->l4_offset, ports, sizeof(ports)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	packet->source_port = ports[0];
	packet->destination_port = ports[1];
	return PARSE_PACKET;
}

// An echo's identifier stands for the port of the end that asks, so that request and reply share a key, and requests
// the other way have another one.
ALWAYS_INLINE int parse_icmp(struct __sk_buff *skb, struct packet *packet)
{
	__u8 header[8];

	if (!holds_l4(packet, sizeof(header)) || bpf_skb_load_bytes(skb, packet->l4_offset, header, sizeof(header)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	packet->icmp_type = header[0];
	packet->icmp_code = header[1];
	switch (header[0]) {
	case ICMP_ECHO_REQUEST:
		packet->source_port = *(__be16 *)&header[4];
		break;
	case ICMP_ECHO_REPLY:
		packet->destination_port = *(__be16 *)&header[4];
		break;
	case ICMP_UNREACHABLE:
	case ICMP_SOURCE_QUENCH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER_PROBLEM:
		packet->flags |= PACKET_ICMP_ERROR;
		break;
	}
	return PARSE_PACKET;
}

// Whether no router may forward the packet: link-local, unspecified, or multicast of at most link scope (RFC 4291).
ALWAYS_INLINE _Bool stays_on_link(const struct packet *packet)
{
	return address_is_zero(&packet->source) || address_is_v6_link_local(&packet->source) ||
	       address_is_v6_link_local(&packet->destination) ||
	       (packet->destination.high & bpf_cpu_to_be64(0xff0f000000000000ull)) ==
		       bpf_cpu_to_be64(0xff02000000000000ull);
}

// What a host has to say on its link. Router advertisements, redirects and listener queries are a router's: they are
// judged like any other packet, and a pod's have a source address that it may not use.
ALWAYS_INLINE _Bool is_host_discovery(__u8 type)
{
	switch (type) {
	case 131: // listener report (RFC 2710)
	case 132: // listener done
	case 133: // router solicitation (RFC 4861)
	case ICMPV6_NEIGHBOUR_SOLICITATION:
	case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
	case 143: // listener report (RFC 3810)
		return 1;
	}
	return 0;
}

ALWAYS_INLINE int parse_icmpv6(struct __sk_buff *skb, struct packet *packet)
{
	__u8 header[8];

	// MLD and some error messages are exactly 8 bytes or longer; nothing shorter is legal (RFC 4443 §2.1, RFC 4861
	// §4).
	if (!holds_l4(packet, sizeof(header)) || bpf_skb_load_bytes(skb, packet->l4_offset, header, sizeof(header)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	packet->icmp_type = header[0];
	packet->icmp_code = header[1];
	if (header[0] == ICMPV6_ECHO_REQUEST)
		packet->source_port = *(__be16 *)&header[4];
	else if (header[0] == ICMPV6_ECHO_REPLY)
		packet->destination_port = *(__be16 *)&header[4];
	else if (header[0] >= ICMPV6_DEST_UNREACH && header[0] <= ICMPV6_PARAMPROB)
		packet->flags |= PACKET_ICMP_ERROR;
	else if (is_host_discovery(header[0]) && !(packet->flags & PACKET_FRAGMENT)) // RFC 6980: it is never fragmented
		packet->flags |= stays_on_link(packet) ? PACKET_NEIGHBOUR : PACKET_SOLICITATION;
	return PARSE_PACKET;
}

// `quoted`: the packet inside an ICMP error, of which only the beginning is there. RFC 792 quotes no more than 8 bytes
// of layer 4: enough for the ports, not for a whole TCP header.
ALWAYS_INLINE int parse_l4(struct __sk_buff *skb, struct packet *packet, _Bool quoted)
{
	if (packet->l4_offset > packet->end)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	if (packet->flags & PACKET_LATER_FRAGMENT)
		return PARSE_PACKET;
	switch (packet->protocol) {
	case IPPROTO_TCP:
		return quoted ? parse_ports(skb, packet, L4_HEADER_READ) : parse_tcp(skb, packet);
	case IPPROTO_UDP:
		return parse_ports(skb, packet, UDP_HEADER);
	case IPPROTO_SCTP:
		return parse_ports(skb, packet, quoted ? L4_HEADER_READ : SCTP_HEADER);
	case IPPROTO_ICMP:
		return packet->flags & PACKET_V6 ? PARSE_PACKET : parse_icmp(skb, packet);
	case IPPROTO_ICMPV6:
		return packet->flags & PACKET_V6 ? parse_icmpv6(skb, packet) : PARSE_PACKET;
	}
	return PARSE_PACKET;
}

// `packet->end` is the end of the frame, or of the packet that quotes this one.
ALWAYS_INLINE int parse_ipv4(struct __sk_buff *skb, struct packet *packet, __u32 offset, _Bool quoted)
{
	struct iphdr header;
	__u16 total, fragment;

	if (offset + sizeof(header) > packet->end || bpf_skb_load_bytes(skb, offset, &header, sizeof(header)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	if (header.version != 4 || header.ihl < 5)
		return PARSE_DROP(APUS_REASON_MALFORMED);
	// Before anything else is refused: an uplink has to know for whom it is.
	packet->source = address_from_v4(header.saddr);
	packet->destination = address_from_v4(header.daddr);
	total = bpf_ntohs(header.tot_len);
	// A zero total is legal only for segments over 64 KiB that the kernel itself builds (BIG TCP).
	if (!quoted && !(total == 0 && skb->gso_size)) {
		if (total < header.ihl * 4)
			return PARSE_DROP(APUS_REASON_MALFORMED);
		if (offset + total > skb->len)
			return PARSE_DROP(APUS_REASON_TRUNCATED);
		packet->end = offset + total;
	}
	packet->protocol = header.protocol;
	packet->l4_offset = offset + header.ihl * 4;
	fragment = bpf_ntohs(header.frag_off);
	if (unlikely(fragment & IPV4_FRAGMENT_MASK)) {
		packet->flags |= PACKET_FRAGMENT;
		packet->identification = header.id;
		if (fragment & IPV4_OFFSET_MASK)
			packet->flags |= PACKET_LATER_FRAGMENT;
	}
	return parse_l4(skb, packet, quoted);
}

ALWAYS_INLINE _Bool is_ipv6_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT || next == IPPROTO_AH;
}

// One extension header: moves `offset` behind it and sets `next`.
ALWAYS_INLINE int skip_ipv6_extension(struct __sk_buff *skb, struct packet *packet, __u32 *offset, __u8 *next)
{
	__u8 header[8]; // the shortest extension header

	if (bpf_skb_load_bytes(skb, *offset, header, sizeof(header)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	if (*next == IPPROTO_FRAGMENT) {
		__u16 fragment = bpf_ntohs(*(__be16 *)&header[2]);

		// Offset 0 without more fragments is a whole packet (RFC 6946).
		if (fragment & 0xfff9)
			packet->flags |= PACKET_FRAGMENT;
		if (fragment & 0xfff8)
			packet->flags |= PACKET_LATER_FRAGMENT;
		packet->identification = *(__be32 *)&header[4];
		*offset += 8;
	} else if (*next == IPPROTO_AH) {
		*offset += ((__u32)header[1] + 2) * 4;
	} else {
		*offset += ((__u32)header[1] + 1) * 8;
	}
	*next = header[0];
	return PARSE_PACKET;
}

// Extension headers are rare; a function of its own keeps their loop out of the hot path.
COLD int parse_ipv6_extensions(struct __sk_buff *skb, struct packet *packet)
{
	__u32 offset;
	__u8 next;

	if (!packet)
		return PARSE_DROP(APUS_REASON_MALFORMED);
	offset = packet->l4_offset;
	next = packet->protocol;
	for (int i = 0; i < IPV6_EXTENSIONS_MAX && is_ipv6_extension(next); i++) {
		int result;

		if (packet->flags & PACKET_LATER_FRAGMENT)
			break;
		result = skip_ipv6_extension(skb, packet, &offset, &next);
		if (result)
			return result;
	}
	if (is_ipv6_extension(next) && !(packet->flags & PACKET_LATER_FRAGMENT))
		return PARSE_DROP(APUS_REASON_MALFORMED);
	packet->l4_offset = offset;
	packet->protocol = next;
	return PARSE_PACKET;
}

ALWAYS_INLINE int parse_ipv6(struct __sk_buff *skb, struct packet *packet, __u32 offset, _Bool quoted)
{
	struct ipv6hdr header;
	__u32 payload;

	if (offset + sizeof(header) > packet->end || bpf_skb_load_bytes(skb, offset, &header, sizeof(header)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	if (header.version != 6)
		return PARSE_DROP(APUS_REASON_MALFORMED);
	packet->source = address_from_v6(header.saddr.in6_u.u6_addr32);
	packet->destination = address_from_v6(header.daddr.in6_u.u6_addr32);
	payload = bpf_ntohs(header.payload_len);
	// A zero length is legal only for segments over 64 KiB that the kernel itself builds (BIG TCP).
	if (!quoted && !(payload == 0 && skb->gso_size)) {
		if (offset + sizeof(header) + payload > skb->len)
			return PARSE_DROP(APUS_REASON_TRUNCATED);
		packet->end = offset + sizeof(header) + payload;
	}
	// An IPv4-mapped address on the wire would be taken for IPv4 in every key (RFC 4942 §2.2).
	if (address_is_v4(&packet->source) || address_is_v4(&packet->destination))
		return PARSE_DROP(APUS_REASON_MALFORMED);
	packet->flags |= PACKET_V6;
	packet->protocol = header.nexthdr;
	packet->l4_offset = offset + sizeof(header);
	if (unlikely(is_ipv6_extension(header.nexthdr))) {
		int result = parse_ipv6_extensions(skb, packet);

		if (result)
			return result;
	}
	return parse_l4(skb, packet, quoted);
}

// Frames of a VLAN other than 0 belong to whoever made that VLAN. VLAN 0 only carries a priority: the kernel delivers
// it as if it were untagged, so it is judged as such, but only where the tag is the outermost header.
ALWAYS_INLINE int parse_link(struct __sk_buff *skb)
{
	if (unlikely(skb->vlan_present)) {
		if (skb->vlan_tci & 0x0fff)
			return PARSE_PASS;
		if (skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD))
			return PARSE_DROP(APUS_REASON_UNSUPPORTED);
	}
	return PARSE_PACKET;
}

// A tag that is still in the frame, as only the host's stack can send it; a driver or the kernel takes it out of what
// is received. Priority tags are not looked behind.
ALWAYS_INLINE int parse_inline_tag(struct __sk_buff *skb)
{
	__be16 tag;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &tag, sizeof(tag)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	return tag & bpf_htons(0x0fff) ? PARSE_PASS : PARSE_DROP(APUS_REASON_UNSUPPORTED);
}

// Parses a whole frame. `packet` is all zero before.
ALWAYS_INLINE int parse_packet(struct __sk_buff *skb, struct packet *packet)
{
	int result = parse_link(skb);

	if (result)
		return result;
	packet->length = packet->end = skb->len;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return parse_ipv4(skb, packet, ETH_HLEN, 0);
	case bpf_htons(ETH_P_IPV6):
		return parse_ipv6(skb, packet, ETH_HLEN, 0);
	case bpf_htons(ETH_P_ARP):
		return PARSE_PASS;
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return parse_inline_tag(skb);
	}
	return PARSE_DROP(APUS_REASON_UNSUPPORTED);
}
