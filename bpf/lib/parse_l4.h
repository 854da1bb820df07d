// How the layer 4 header of a packet is parsed.
#pragma once

#include "packet.h"

// What a frame turned out to be; anything above PARSE_PASS is an enum apus_reason + PARSE_PASS.
enum {
	PARSE_PACKET = 0, // IP, described by struct packet
	PARSE_PASS = 1, // nothing to judge: ARP, a VLAN of somebody else
};

#define PARSE_DROP(reason) (PARSE_PASS + (reason))

enum {
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

struct tcp_start {
	__be16 source, destination;
	__be32 sequence, acknowledged;
	__u8 offset, flags;
};

ALWAYS_INLINE int parse_tcp_start(const struct tcp_start *header, struct packet *packet)
{
	__u32 length = (header->offset >> 4) * 4;

	if (length < TCP_HEADER)
		return PARSE_DROP(APUS_REASON_MALFORMED);
	// The options may continue in the next fragment.
	if (!(packet->flags & PACKET_FRAGMENT) && !holds_l4(packet, length))
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	packet->source_port = header->source;
	packet->destination_port = header->destination;
	packet->tcp_flags = header->flags;
	return PARSE_PACKET;
}

ALWAYS_INLINE int parse_tcp(frame_t *frame, struct packet *packet)
{
	struct tcp_start header;

	if (!holds_l4(packet, TCP_HEADER) || frame_load(frame, packet->l4_offset, &header, 14) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	return parse_tcp_start(&header, packet);
}

ALWAYS_INLINE int parse_ports(frame_t *frame, struct packet *packet, __u32 header)
{
	__be16 ports[2];

	if (!holds_l4(packet, header) || frame_load(frame, packet->l4_offset, ports, sizeof(ports)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	packet->source_port = ports[0];
	packet->destination_port = ports[1];
	return PARSE_PACKET;
}

// A first fragment has the first chunk, too. Who sends less than a chunk has said nothing of the association.
ALWAYS_INLINE int parse_sctp(frame_t *frame, struct packet *packet)
{
	int result = parse_ports(frame, packet, SCTP_HEADER);

	if (result || !holds_l4(packet, SCTP_HEADER + sizeof(packet->chunk)))
		return result;
	if (frame_load(frame, packet->l4_offset + SCTP_HEADER, &packet->chunk, sizeof(packet->chunk)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	return PARSE_PACKET;
}

// An echo's identifier stands for the port of the end that asks, so that request and reply share a key, and requests
// the other way have another one.
ALWAYS_INLINE int parse_icmp(frame_t *frame, struct packet *packet)
{
	__u8 header[8];

	if (!holds_l4(packet, sizeof(header)) || frame_load(frame, packet->l4_offset, header, sizeof(header)) < 0)
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

// What a message of neighbour or listener discovery is: a flag, or 0 for what is judged like any other packet. It is
// never fragmented (RFC 6980).
GLOBAL int discovery_flag(frame_t *frame, const struct packet *packet)
{
	__u8 hop_limit;

	if (!packet || packet->flags & PACKET_FRAGMENT ||
	    frame_load(frame, ETH_HLEN + __builtin_offsetof(struct ipv6hdr, hop_limit), &hop_limit, 1) < 0)
		return 0;
	switch (packet->icmp_type) {
	case ICMPV6_NEIGHBOUR_SOLICITATION:
	case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
		if (stays_on_link(packet))
			return PACKET_NEIGHBOUR;
		return hop_limit == HOP_LIMIT_NEIGHBOUR ? PACKET_SOLICITATION : 0;
	case ICMPV6_LISTENER_REPORT:
	case ICMPV6_LISTENER_DONE:
	case ICMPV6_ROUTER_SOLICITATION:
	case ICMPV6_LISTENER_REPORT_2:
		return stays_on_link(packet) ? PACKET_NEIGHBOUR : 0;
	case ICMPV6_ROUTER_ADVERTISEMENT:
	case ICMPV6_REDIRECT:
		return hop_limit == HOP_LIMIT_NEIGHBOUR && address_is_v6_link_local(&packet->source) ? PACKET_ROUTER
												     : 0;
	case ICMPV6_LISTENER_QUERY:
		return hop_limit == HOP_LIMIT_LISTENER && address_is_v6_link_local(&packet->source) ? PACKET_ROUTER : 0;
	}
	return 0;
}

ALWAYS_INLINE int parse_icmpv6(frame_t *frame, struct packet *packet)
{
	__u8 header[8];

	// MLD and some error messages are exactly 8 bytes or longer; nothing shorter is legal (RFC 4443 §2.1, RFC 4861
	// §4).
	if (!holds_l4(packet, sizeof(header)) || frame_load(frame, packet->l4_offset, header, sizeof(header)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	packet->icmp_type = header[0];
	packet->icmp_code = header[1];
	if (header[0] == ICMPV6_ECHO_REQUEST)
		packet->source_port = *(__be16 *)&header[4];
	else if (header[0] == ICMPV6_ECHO_REPLY)
		packet->destination_port = *(__be16 *)&header[4];
	else if (header[0] >= ICMPV6_DEST_UNREACH && header[0] <= ICMPV6_PARAMPROB)
		packet->flags |= PACKET_ICMP_ERROR;
	else if (header[0] >= ICMPV6_LISTENER_QUERY && header[0] <= ICMPV6_LISTENER_REPORT_2)
		packet->flags |= discovery_flag(frame, packet);
	return PARSE_PACKET;
}

// `quoted`: the packet inside an ICMP error, of which only the beginning is there. RFC 792 quotes no more than 8 bytes
// of layer 4: enough for the ports, not for a whole TCP header.
ALWAYS_INLINE int parse_l4(frame_t *frame, struct packet *packet, _Bool quoted)
{
	if (packet->l4_offset > packet->end)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	if (packet->flags & PACKET_LATER_FRAGMENT)
		return PARSE_PACKET;
	switch (packet->protocol) {
	case IPPROTO_TCP:
		return quoted ? parse_ports(frame, packet, L4_HEADER_READ) : parse_tcp(frame, packet);
	case IPPROTO_UDP:
		return parse_ports(frame, packet, UDP_HEADER);
	case IPPROTO_SCTP:
		return quoted ? parse_ports(frame, packet, L4_HEADER_READ) : parse_sctp(frame, packet);
	case IPPROTO_ICMP:
		return packet->flags & PACKET_V6 ? PARSE_PACKET : parse_icmp(frame, packet);
	case IPPROTO_ICMPV6:
		return packet->flags & PACKET_V6 ? parse_icmpv6(frame, packet) : PARSE_PACKET;
	}
	return PARSE_PACKET;
}

// As parse_l4, for what follows a header of the usual length: TCP's is read where it lies then.
ALWAYS_INLINE int parse_usual_l4(frame_t *frame, struct packet *packet, __u32 offset)
{
	const struct tcp_start *header;

	if (unlikely(packet->protocol != IPPROTO_TCP || packet->l4_offset != offset ||
		     packet->flags & PACKET_FRAGMENT || !holds_l4(packet, TCP_HEADER)))
		return parse_l4(frame, packet, 0);
	header = header_at(frame, offset, sizeof(*header));
	return header ? parse_tcp_start(header, packet) : PARSE_DROP(APUS_REASON_TRUNCATED);
}
