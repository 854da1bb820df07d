// How a packet leaves that the stack does not see: its new ends, the hop that it goes to, and what a router changes.
#pragma once

#include "route.h"

struct way {
	struct apus_address source;
	struct apus_address destination;
	__be16 ports[2]; // of the source and of the destination
	__u32 interface;
	_Bool returns; // that is the one that it came by, which takes frames back
	__u8 source_mac[ETH_ALEN];
	__u8 destination_mac[ETH_ALEN];
};

enum {
	TCP_CHECKSUM_PORT = 8, // where checksums are, counted in ports from the start of layer 4
	UDP_CHECKSUM_PORT = 3,
	V4_PAIR = 2 * sizeof(__be32), // both addresses, as they are in the header
	V6_PAIR = 2 * sizeof(struct in6_addr),
};

// The start of a frame up to the end of its layer 4 header; NULL where the frame is shorter. One check for all of it:
// the verifier loses what two of them have found.
ALWAYS_INLINE __u8 *start_of(frame_t *frame, __u32 l4, _Bool tcp)
{
	return (__u8 *)header_at(frame, 0, l4 + (tcp ? TCP_HEADER : UDP_HEADER));
}

// Whether the checksum is that of the pseudo header alone: the frame never was on a wire, and its sender left the rest
// to a card. What is added to such a sum can't be told from here, so the kernel has to change it.
ALWAYS_INLINE _Bool is_checksum_partial(const struct packet *packet, __u32 addresses, __be16 checksum)
{
	__u64 sum = (__u64)addresses + bpf_htons(packet->protocol) + bpf_htons(packet->end - packet->l4_offset);

	return checksum == checksum_fold(sum);
}

// Gives layer 4 other ports and its checksum what those and the addresses make of it.
ALWAYS_INLINE void change_l4(__be16 *ports, __be16 *checksum, const struct way *way, __u32 difference, _Bool udp)
{
	difference = bpf_csum_diff((__be32 *)ports, sizeof(way->ports), (__be32 *)way->ports, sizeof(way->ports),
				   difference);
	ports[0] = way->ports[0];
	ports[1] = way->ports[1];
	// A UDP checksum of 0 means "none" and must stay so; one that becomes 0 is sent as 0xffff.
	if (udp && !*checksum)
		return;
	*checksum = checksum_changed(*checksum, difference);
	if (udp && !*checksum)
		*checksum = 0xffff;
}

ALWAYS_INLINE void change_link(__u8 *start, const struct way *way)
{
	struct ethhdr *link = (struct ethhdr *)start;

	__builtin_memcpy(link->h_dest, way->destination_mac, ETH_ALEN);
	__builtin_memcpy(link->h_source, way->source_mac, ETH_ALEN);
}

ALWAYS_INLINE _Bool change_v4(frame_t *frame, const struct packet *packet, const struct way *way, _Bool tcp)
{
	__be32 ends[2] = {address_v4_bits(&way->source), address_v4_bits(&way->destination)};
	__u8 *start = start_of(frame, IPV4_L4, tcp);
	struct iphdr *header;
	__be16 *ports, *checksum;
	__u32 difference;

	if (!start)
		return 0;
	header = (struct iphdr *)(start + ETH_HLEN);
	ports = (__be16 *)(start + IPV4_L4);
	checksum = ports + (tcp ? TCP_CHECKSUM_PORT : UDP_CHECKSUM_PORT);
	difference = bpf_csum_diff(NULL, 0, &header->saddr, V4_PAIR, 0);
	if (header->ttl <= 1 || !is_header_whole(header) || is_checksum_partial(packet, difference, *checksum))
		return 0;
	difference = bpf_csum_diff(&header->saddr, V4_PAIR, ends, V4_PAIR, 0);
	header->saddr = ends[0];
	header->daddr = ends[1];
	header->ttl--;
	header->check = checksum_after_hop(checksum_changed(header->check, difference));
	change_l4(ports, checksum, way, difference, !tcp);
	change_link(start, way);
	return 1;
}

ALWAYS_INLINE _Bool change_v6(frame_t *frame, const struct packet *packet, const struct way *way, _Bool tcp)
{
	struct apus_address ends[2] = {way->source, way->destination};
	__u8 *start = start_of(frame, IPV6_L4, tcp);
	struct ipv6hdr *header;
	__be16 *ports, *checksum;
	__u32 difference;

	if (!start)
		return 0;
	header = (struct ipv6hdr *)(start + ETH_HLEN);
	ports = (__be16 *)(start + IPV6_L4);
	checksum = ports + (tcp ? TCP_CHECKSUM_PORT : UDP_CHECKSUM_PORT);
	difference = bpf_csum_diff(NULL, 0, (__be32 *)&header->saddr, V6_PAIR, 0);
	if (header->hop_limit <= 1 || is_checksum_partial(packet, difference, *checksum))
		return 0;
	difference = bpf_csum_diff((__be32 *)&header->saddr, V6_PAIR, (__be32 *)ends, V6_PAIR, 0);
	__builtin_memcpy(&header->saddr, ends, V6_PAIR);
	header->hop_limit--;
	change_l4(ports, checksum, way, difference, !tcp);
	change_link(start, way);
	return 1;
}

// Sends the frame on its way; 0 where a router would not, and then nothing of it has changed.
GLOBAL int take_way(frame_t *frame, const struct packet *packet, const struct way *way)
{
	if (!packet || !way)
		return 0;
	if (packet->flags & PACKET_V6)
		return packet->protocol == IPPROTO_TCP ? change_v6(frame, packet, way, 1)
						       : change_v6(frame, packet, way, 0);
	return packet->protocol == IPPROTO_TCP ? change_v4(frame, packet, way, 1) : change_v4(frame, packet, way, 0);
}
