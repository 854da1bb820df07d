// How a packet is parsed out of a frame.
#pragma once

#include "parse_l4.h"

enum {
	IPV4_FRAGMENT_MASK = 0x3fff, // more-fragments flag and offset
	IPV4_OFFSET_MASK = 0x1fff,
	IPV6_EXTENSIONS_MAX = 8,
};

// `packet->end` is the end of the frame, or of the packet that quotes this one.
ALWAYS_INLINE int parse_ipv4(frame_t *frame, struct packet *packet, const struct iphdr *header, __u32 offset,
			     _Bool quoted)
{
	__u16 total, fragment;

	if (header->version != 4 || header->ihl < 5)
		return PARSE_DROP(APUS_REASON_MALFORMED);
	// Before anything else is refused: an uplink has to know for whom it is.
	packet->source = address_from_v4(header->saddr);
	packet->destination = address_from_v4(header->daddr);
	total = bpf_ntohs(header->tot_len);
	// A zero total is legal only for segments over 64 KiB that the kernel itself builds (BIG TCP).
	if (!quoted && !(total == 0 && frame_is_merged(frame))) {
		if (total < header->ihl * 4)
			return PARSE_DROP(APUS_REASON_MALFORMED);
		if (offset + total > frame_length(frame))
			return PARSE_DROP(APUS_REASON_TRUNCATED);
		packet->end = offset + total;
	}
	packet->protocol = header->protocol;
	packet->l4_offset = offset + header->ihl * 4;
	fragment = bpf_ntohs(header->frag_off);
	if (unlikely(fragment & IPV4_FRAGMENT_MASK)) {
		packet->flags |= PACKET_FRAGMENT;
		packet->identification = header->id;
		if (fragment & IPV4_OFFSET_MASK)
			packet->flags |= PACKET_LATER_FRAGMENT;
	}
	return quoted ? parse_l4(frame, packet, 1) : parse_usual_l4(frame, packet, ETH_HLEN + sizeof(*header));
}

ALWAYS_INLINE _Bool is_ipv6_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT || next == IPPROTO_AH;
}

// One extension header: moves `offset` behind it and sets `next`.
ALWAYS_INLINE int skip_ipv6_extension(frame_t *frame, struct packet *packet, __u32 *offset, __u8 *next)
{
	__u8 header[8]; // the shortest extension header

	if (frame_load(frame, *offset, header, sizeof(header)) < 0)
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
COLD int parse_ipv6_extensions(frame_t *frame, struct packet *packet)
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
		result = skip_ipv6_extension(frame, packet, &offset, &next);
		if (result)
			return result;
	}
	if (is_ipv6_extension(next) && !(packet->flags & PACKET_LATER_FRAGMENT))
		return PARSE_DROP(APUS_REASON_MALFORMED);
	packet->l4_offset = offset;
	packet->protocol = next;
	return PARSE_PACKET;
}

ALWAYS_INLINE int parse_ipv6(frame_t *frame, struct packet *packet, const struct ipv6hdr *header, __u32 offset,
			     _Bool quoted)
{
	__u32 payload;

	if (header->version != 6)
		return PARSE_DROP(APUS_REASON_MALFORMED);
	packet->source = address_from_v6(header->saddr.in6_u.u6_addr32);
	packet->destination = address_from_v6(header->daddr.in6_u.u6_addr32);
	payload = bpf_ntohs(header->payload_len);
	// A zero length is legal only for segments over 64 KiB that the kernel itself builds (BIG TCP).
	if (!quoted && !(payload == 0 && frame_is_merged(frame))) {
		if (offset + sizeof(*header) + payload > frame_length(frame))
			return PARSE_DROP(APUS_REASON_TRUNCATED);
		packet->end = offset + sizeof(*header) + payload;
	}
	// An IPv4-mapped address on the wire would be taken for IPv4 in every key (RFC 4942 §2.2).
	if (address_is_v4(&packet->source) || address_is_v4(&packet->destination))
		return PARSE_DROP(APUS_REASON_MALFORMED);
	packet->flags |= PACKET_V6;
	packet->protocol = header->nexthdr;
	packet->l4_offset = offset + sizeof(*header);
	if (unlikely(is_ipv6_extension(header->nexthdr))) {
		int result = parse_ipv6_extensions(frame, packet);

		if (result)
			return result;
	}
	return quoted ? parse_l4(frame, packet, 1) : parse_usual_l4(frame, packet, ETH_HLEN + sizeof(*header));
}

// Frames of a VLAN other than 0 belong to whoever made that VLAN. VLAN 0 only carries a priority: the kernel delivers
// it as if it were untagged, so it is judged as such, but only where the tag is the outermost header.
ALWAYS_INLINE int parse_link(frame_t *frame)
{
	if (unlikely(frame_was_tagged(frame))) {
		if (frame_tag(frame) & 0x0fff)
			return PARSE_PASS;
		if (frame_protocol(frame) == bpf_htons(ETH_P_8021Q) || frame_protocol(frame) == bpf_htons(ETH_P_8021AD))
			return PARSE_DROP(APUS_REASON_UNSUPPORTED);
	}
	return PARSE_PACKET;
}

// A tag that is still in the frame, as only the host's stack can send it; a driver or the kernel takes it out of what
// is received. Priority tags are not looked behind.
ALWAYS_INLINE int parse_inline_tag(frame_t *frame)
{
	__be16 tag;

	if (frame_load(frame, ETH_HLEN, &tag, sizeof(tag)) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	return tag & bpf_htons(0x0fff) ? PARSE_PASS : PARSE_DROP(APUS_REASON_UNSUPPORTED);
}

// Parses the packet that an ICMP error quotes at `offset`. `quoted` is all zero before, but for `end`.
ALWAYS_INLINE int parse_quoted(frame_t *frame, struct packet *quoted, __u32 offset, _Bool v6)
{
	union {
		struct iphdr v4;
		struct ipv6hdr v6;
	} header;
	__u32 size = v6 ? sizeof(header.v6) : sizeof(header.v4);

	if (offset + size > quoted->end || frame_load(frame, offset, &header, size) < 0)
		return PARSE_DROP(APUS_REASON_TRUNCATED);
	return v6 ? parse_ipv6(frame, quoted, &header.v6, offset, 1) : parse_ipv4(frame, quoted, &header.v4, offset, 1);
}

// Parses a whole frame. `packet` is all zero before.
ALWAYS_INLINE int parse_packet(frame_t *frame, struct packet *packet)
{
	int result = parse_link(frame);
	const void *header;

	if (result)
		return result;
	packet->length = packet->end = frame_length(frame);
	switch (frame_protocol(frame)) {
	case bpf_htons(ETH_P_IP):
		header = header_at(frame, ETH_HLEN, sizeof(struct iphdr));
		return header ? parse_ipv4(frame, packet, header, ETH_HLEN, 0) : PARSE_DROP(APUS_REASON_TRUNCATED);
	case bpf_htons(ETH_P_IPV6):
		header = header_at(frame, ETH_HLEN, sizeof(struct ipv6hdr));
		return header ? parse_ipv6(frame, packet, header, ETH_HLEN, 0) : PARSE_DROP(APUS_REASON_TRUNCATED);
	case bpf_htons(ETH_P_ARP):
		return PARSE_PASS;
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return parse_inline_tag(frame);
	}
	return PARSE_DROP(APUS_REASON_UNSUPPORTED);
}
