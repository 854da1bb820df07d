// Where the node's routes lead a packet that it forwards.
#pragma once

#include "checksum.h"
#include "parse_l4.h"

enum {
	IPV4_L4 = ETH_HLEN + sizeof(struct iphdr), // where layer 4 is without options
	IPV6_L4 = ETH_HLEN + sizeof(struct ipv6hdr), // and without extension headers
};

// Whether routers need to look at nothing but the usual header.
ALWAYS_INLINE _Bool is_plain(const struct packet *packet)
{
	return !(packet->flags & PACKET_FRAGMENT) &&
	       packet->l4_offset == (packet->flags & PACKET_V6 ? IPV6_L4 : IPV4_L4);
}

// Whether a host beyond this link may have the address: a router forwards nothing that comes from another one (RFC
// 1812, section 5.3.7; RFC 4291, section 2.5).
ALWAYS_INLINE _Bool is_routable(const struct apus_address *address)
{
	__u8 first = *(const __u8 *)address;

	if (address_is_v4(address)) {
		first = bpf_ntohl(address_v4_bits(address)) >> 24;
		return first != 0 && first != 127 && first < 224;
	}
	return first != 0xff && !(address->high == 0 && bpf_be64_to_cpu(address->low) <= 1) &&
	       !address_is_v6_link_local(address);
}

// Whether the checksum of an IPv4 header without options is right: what a router must not forward otherwise.
ALWAYS_INLINE _Bool is_header_whole(const struct iphdr *header)
{
	return checksum_fold((__u32)bpf_csum_diff(NULL, 0, (__be32 *)header, sizeof(*header), 0)) == 0xffff;
}

// Asks for the way of a packet between its two ends, as the stack would when it came in by that interface. `route` is
// all zero before. Returns BPF_FIB_LKUP_RET_… or a negative errno.
//
// `length`: of the longest IP packet that leaves by it, in bytes. `flags`: BPF_FIB_LOOKUP_…
ALWAYS_INLINE long ask_route(frame_t *frame, const struct packet *packet, __u32 length, __u32 flags,
			     struct bpf_fib_lookup *route)
{
	const void *header = header_at(frame, ETH_HLEN, sizeof(struct iphdr));

	if (!header)
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	route->ifindex = frame_interface(frame);
	route->l4_protocol = packet->protocol;
	route->sport = packet->source_port;
	route->dport = packet->destination_port;
	route->tot_len = length > 0xffff ? 0xffff : length;
	if (packet->flags & PACKET_V6) {
		route->family = ADDRESS_FAMILY_IPV6;
		route->flowinfo = *(const __be32 *)header & bpf_htonl(0x0fffffff);
		__builtin_memcpy(route->ipv6_src, &packet->source, sizeof(route->ipv6_src));
		__builtin_memcpy(route->ipv6_dst, &packet->destination, sizeof(route->ipv6_dst));
	} else {
		route->family = ADDRESS_FAMILY_IPV4;
		route->tos = ((const struct iphdr *)header)->tos;
		route->ipv4_src = address_v4_bits(&packet->source);
		route->ipv4_dst = address_v4_bits(&packet->destination);
	}
	return bpf_fib_lookup(frame, route, sizeof(*route), flags);
}
