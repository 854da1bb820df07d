// The largest segment that an end of a TCP connection takes, as it says in its SYN (RFC 9293, section 3.7.1).
#pragma once

#include "parse_l4.h"
#include "rewrite.h"

enum {
	TCP_OPTION_END = 0,
	TCP_OPTION_NONE = 1,
	TCP_OPTION_SEGMENT_SIZE = 2,
	TCP_OPTIONS_READ = 10, // options that are looked at, and one is the first almost always
	TCP_SMALLEST_SEGMENT = 536, // RFC 9293; smaller ones stay as they are
};

// Changes the size at `place` in the layer 4 header.
ALWAYS_INLINE int lower_segment_size(struct __sk_buff *skb, const struct packet *packet, __u32 place, __u32 by)
{
	__be16 from, to;

	if (bpf_skb_load_bytes(skb, packet->l4_offset + place, &from, sizeof(from)) < 0 ||
	    bpf_ntohs(from) < TCP_SMALLEST_SEGMENT + by)
		return 0;
	to = bpf_htons(bpf_ntohs(from) - by);
	if (bpf_skb_store_bytes(skb, packet->l4_offset + place, &to, sizeof(to), 0) < 0)
		return 0;
	// At an odd place its bytes are in other halves of the words that are summed up.
	if (place & 1) {
		from = __builtin_bswap16(from);
		to = __builtin_bswap16(to);
	}
	return bpf_l4_csum_replace(skb, packet->l4_offset + TCP_CHECKSUM, from, to, 2);
}

// Has the sender of a SYN take segments that are shorter by so many bytes.
GLOBAL int shorten_segments(struct __sk_buff *skb, const struct packet *packet, __u32 by)
{
	__u32 place = TCP_HEADER, end;
	__u8 offset, option[2];

	if (!packet || packet->flags & PACKET_FRAGMENT ||
	    bpf_skb_load_bytes(skb, packet->l4_offset + 12, &offset, sizeof(offset)) < 0)
		return 0;
	end = (offset >> 4) * 4;
#pragma clang loop unroll(disable)
	for (int i = 0; i < TCP_OPTIONS_READ && place + 4 <= end; i++) {
		if (bpf_skb_load_bytes(skb, packet->l4_offset + place, option, sizeof(option)) < 0)
			return 0;
		if (option[0] == TCP_OPTION_END)
			return 0;
		if (option[0] == TCP_OPTION_SEGMENT_SIZE)
			return lower_segment_size(skb, packet, place + 2, by);
		place += option[0] == TCP_OPTION_NONE ? 1 : option[1] > 2 ? option[1] : 2;
	}
	return 0;
}
