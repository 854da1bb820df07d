// Refusing a packet to a Service: its sender is told at once, as by a host where nobody listens, instead of being left
// to wait. The packet itself becomes the answer.
#pragma once

#include "rewrite.h"

#include <linux/tcp.h>

enum {
	ANSWER_HOPS = 64,
	QUOTE_CHUNK = 512, // what bpf_csum_diff takes at once
	QUOTE_CHUNKS = 3,
	ICMP_PORT_UNREACHABLE = 3, // codes of ICMP_UNREACHABLE
	ICMP_FRAGMENTATION_NEEDED = 4,
	ICMPV6_UNREACHABLE = 1, // RFC 4443
	ICMPV6_PORT_UNREACHABLE = 4,
	ICMPV6_TOO_BIG = 2,
	// What errors may quote: RFC 1812 wants them to be no longer than 576 bytes, RFC 4443 than the smallest MTU.
	QUOTE_V4 = 576 - 20 - ICMP_HEADER,
	QUOTE_V6 = 1280 - 40 - ICMP_HEADER,
};

// Says between from_pod and to_pod that the packet is an answer of the data path itself, where it can't be put straight
// into the pod. No packet leaves the pod's interface with it.
#define ANSWER_MARK 0x41707573u

struct quote_chunk {
	__u8 bytes[QUOTE_CHUNK + 4];
};

// Where quoted bytes are summed up. Nothing else runs on the CPU meanwhile, as tcx programs run with bottom halves
// disabled.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct quote_chunk);
} quote_chunks SEC(".maps");

ALWAYS_INLINE __u16 fold_sum(__s64 sum)
{
	__u32 folded = (__u32)sum;

	folded = (folded & 0xffff) + (folded >> 16);
	return ~((folded & 0xffff) + (folded >> 16));
}

ALWAYS_INLINE __s64 add_sum(const void *bytes, __u32 length, __s64 sum)
{
	return bpf_csum_diff(NULL, 0, (__be32 *)bytes, length, (__u32)sum);
}

// The sum of a part of the frame, negative when it can't be read.
GLOBAL __s64 sum_of_frame(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	__u32 first = 0;
	struct quote_chunk *chunk = bpf_map_lookup_elem(&quote_chunks, &first);
	__s64 sum = 0;

	if (!chunk)
		return -1;
	for (int i = 0; i < QUOTE_CHUNKS && length; i++) {
		__u32 part = length < QUOTE_CHUNK ? length : QUOTE_CHUNK;

		// The last chunk is padded to whole words.
		*(__u32 *)&chunk->bytes[part & ~3u] = 0;
		if (bpf_skb_load_bytes(skb, offset, chunk->bytes, part) < 0)
			return -1;
		sum = add_sum(chunk->bytes, (part + 3) & ~3u, sum);
		offset += part;
		length -= part;
	}
	return sum;
}

// Writes the header of an answer of so many bytes behind it: from the packet's destination to its source.
ALWAYS_INLINE int write_ipv4(struct __sk_buff *skb, const struct packet *packet, __u8 protocol, __u16 length)
{
	struct iphdr header = {
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(sizeof(header) + length),
		.frag_off = bpf_htons(0x4000), // don't fragment
		.ttl = ANSWER_HOPS,
		.protocol = protocol,
		.saddr = address_v4_bits(&packet->destination),
		.daddr = address_v4_bits(&packet->source),
	};

	header.check = fold_sum(add_sum(&header, sizeof(header), 0));
	return bpf_skb_store_bytes(skb, ETH_HLEN, &header, sizeof(header), 0);
}

ALWAYS_INLINE int write_ipv6(struct __sk_buff *skb, const struct packet *packet, __u8 protocol, __u16 length)
{
	struct ipv6hdr header = {
		.version = 6,
		.payload_len = bpf_htons(length),
		.nexthdr = protocol,
		.hop_limit = ANSWER_HOPS,
	};

	__builtin_memcpy(&header.saddr, &packet->destination, sizeof(header.saddr));
	__builtin_memcpy(&header.daddr, &packet->source, sizeof(header.daddr));
	return bpf_skb_store_bytes(skb, ETH_HLEN, &header, sizeof(header), 0);
}

// Writes the frame's addresses in exchange for each other, and the network header.
GLOBAL int write_answer_headers(struct __sk_buff *skb, const struct packet *packet, __u8 protocol, __u16 length)
{
	__u8 from[ETH_ALEN], to[ETH_ALEN];

	if (!packet || bpf_skb_load_bytes(skb, 0, to, sizeof(to)) < 0 ||
	    bpf_skb_load_bytes(skb, ETH_ALEN, from, sizeof(from)) < 0)
		return -1;
	if (bpf_skb_store_bytes(skb, 0, from, sizeof(from), 0) < 0 ||
	    bpf_skb_store_bytes(skb, ETH_ALEN, to, sizeof(to), 0) < 0)
		return -1;
	return packet->flags & PACKET_V6 ? write_ipv6(skb, packet, protocol, length)
					 : write_ipv4(skb, packet, protocol, length);
}

// The sum of what a checksum covers besides the header and what it carries (RFC 9293, RFC 8200): the same both ways.
ALWAYS_INLINE __s64 sum_of_pseudo_header(const struct packet *packet, __u8 protocol, __u16 length)
{
	struct {
		struct apus_address source, destination;
		__be32 length, protocol;
	} pseudo = {packet->source, packet->destination, bpf_htonl(length), bpf_htonl(protocol)};
	_Bool v6 = packet->flags & PACKET_V6;

	// Of a mapped IPv4 address the last four bytes count.
	if (!v6) {
		pseudo.source.low &= bpf_cpu_to_be64(0xffffffff);
		pseudo.destination.low &= bpf_cpu_to_be64(0xffffffff);
	}
	return add_sum(&pseudo, sizeof(pseudo), 0);
}

// Turns a TCP packet into the reset that a closed port answers (RFC 9293, section 3.10.7.1). Negative: there is none.
GLOBAL int become_reset(struct __sk_buff *skb, const struct packet *packet)
{
	struct tcphdr header, reset = {};
	__u32 network, length;

	if (!packet || bpf_skb_load_bytes(skb, packet->l4_offset, &header, sizeof(header)) < 0)
		return -1;
	network = packet->flags & PACKET_V6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	reset.source = header.dest;
	reset.dest = header.source;
	reset.doff = sizeof(reset) / 4;
	reset.rst = 1;
	if (header.ack) {
		reset.seq = header.ack_seq;
	} else {
		length = packet->end - packet->l4_offset - header.doff * 4 + header.syn + header.fin;
		reset.ack = 1;
		reset.ack_seq = bpf_htonl(bpf_ntohl(header.seq) + length);
	}
	reset.check =
		fold_sum(add_sum(&reset, sizeof(reset), sum_of_pseudo_header(packet, IPPROTO_TCP, sizeof(reset))));
	if (bpf_skb_change_tail(skb, ETH_HLEN + network + sizeof(reset), 0) < 0)
		return -1;
	if (bpf_skb_store_bytes(skb, ETH_HLEN + network, &reset, sizeof(reset), BPF_F_INVALIDATE_HASH) < 0)
		return -1;
	return write_answer_headers(skb, packet, IPPROTO_TCP, sizeof(reset));
}

// Writes what an ICMP error says. `mtu`: of the link that the packet is too long for; 0: nobody has its port.
ALWAYS_INLINE void write_error(__be32 icmp[ICMP_HEADER / 4], _Bool v6, __u32 mtu)
{
	if (v6)
		icmp[0] = mtu ? bpf_htonl(ICMPV6_TOO_BIG << 24)
			      : bpf_htonl(ICMPV6_UNREACHABLE << 24 | ICMPV6_PORT_UNREACHABLE << 16);
	else
		icmp[0] = bpf_htonl(ICMP_UNREACHABLE << 24 | (mtu ? ICMP_FRAGMENTATION_NEEDED : ICMP_PORT_UNREACHABLE)
								     << 16);
	icmp[1] = bpf_htonl(mtu);
}

// Turns a packet into the ICMP error that quotes it, as write_error has it. Negative: it could not be made.
GLOBAL int become_error(struct __sk_buff *skb, const struct packet *packet, __u32 mtu)
{
	__be32 icmp[ICMP_HEADER / 4];
	__u32 network, quoted, most;
	__u8 protocol;
	__s64 sum;

	if (!packet || packet->end <= ETH_HLEN)
		return -1;
	network = packet->flags & PACKET_V6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	protocol = packet->flags & PACKET_V6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	most = packet->flags & PACKET_V6 ? QUOTE_V6 : QUOTE_V4;
	quoted = packet->end - ETH_HLEN;
	if (quoted > most)
		quoted = most;
	sum = sum_of_frame(skb, ETH_HLEN, quoted);
	if (sum < 0 || bpf_skb_change_tail(skb, ETH_HLEN + quoted, 0) < 0)
		return -1;
	if (bpf_skb_adjust_room(skb, network + ICMP_HEADER, BPF_ADJ_ROOM_MAC, 0) < 0)
		return -1;
	write_error(icmp, packet->flags & PACKET_V6, mtu);
	sum = add_sum(icmp, sizeof(icmp), sum);
	// ICMPv6 has a pseudo header in its sum, ICMP has none.
	if (packet->flags & PACKET_V6) {
		__be32 pseudo = (__be32)sum_of_pseudo_header(packet, IPPROTO_ICMPV6, ICMP_HEADER + quoted);

		sum = add_sum(&pseudo, sizeof(pseudo), sum);
	}
	icmp[0] |= bpf_htonl(bpf_ntohs(fold_sum(sum)));
	if (bpf_skb_store_bytes(skb, ETH_HLEN + network, icmp, sizeof(icmp), BPF_F_INVALIDATE_HASH) < 0)
		return -1;
	return write_answer_headers(skb, packet, protocol, ICMP_HEADER + quoted);
}

// Turns a packet into the answer that it is refused by. Negative: it gets none, as a reset or a part of a datagram.
// Associations are refused as kube-proxy does it, by an error.
GLOBAL int become_refusal(struct __sk_buff *skb, const struct packet *packet)
{
	if (!packet || packet->flags & PACKET_FRAGMENT || is_reset(packet))
		return -1;
	if (packet->protocol == IPPROTO_TCP)
		return become_reset(skb, packet);
	return packet->protocol == IPPROTO_UDP || packet->protocol == IPPROTO_SCTP ? become_error(skb, packet, 0) : -1;
}

// Tells somebody outside that the packet is refused, by the uplink that it came in by.
ALWAYS_INLINE int refuse_outside(struct __sk_buff *skb, const struct packet *packet)
{
	return become_refusal(skb, packet) < 0 ? TCX_DROP_PACKET : bpf_redirect(skb->ifindex, 0);
}

// Tells somebody outside whose packet came by way of another node, which must not get the answer: the stack routes it.
ALWAYS_INLINE int refuse_by_stack(struct __sk_buff *skb, const struct packet *packet)
{
	return become_refusal(skb, packet) < 0 ? TCX_DROP_PACKET : TCX_NEXT_PROGRAM;
}

// Tells a pod that its packet is refused; what gets no answer is dropped.
ALWAYS_INLINE int refuse(struct __sk_buff *skb, const struct packet *packet, const struct apus_endpoint *endpoint)
{
	if (become_refusal(skb, packet) < 0)
		return TCX_DROP_PACKET;
	if (can_redirect(endpoint))
		return bpf_redirect_peer(endpoint->ifindex, 0);
	skb->mark = ANSWER_MARK;
	return bpf_redirect(endpoint->ifindex, 0);
}

// Whether to_pod meets an answer of from_pod, which nobody else has to judge.
ALWAYS_INLINE _Bool takes_answer(struct __sk_buff *skb)
{
	if (likely(skb->mark != ANSWER_MARK))
		return 0;
	skb->mark = 0;
	return 1;
}
