// Answers over UDP in IP fragments: they are for the agent, part by part.
#pragma once

#include "learn_message.h"

enum {
	IPV4_FRAGMENT_OFFSET = 6, // of the field in its header
	IPV6_FRAGMENT_HEADER = 8,
};

// Where a fragment's bytes belong in their datagram, and whether others follow.
struct fragment_place {
	__u32 offset;
	_Bool is_last;
};

// Returns whether the fragment's place is known: in IPv6 only where nothing lies between the fragment header and UDP's.
ALWAYS_INLINE _Bool find_fragment_place(struct __sk_buff *skb, const struct packet *packet,
					struct fragment_place *place)
{
	__be16 field;

	if (packet->flags & PACKET_V6) {
		struct {
			__u8 next;
			__u8 reserved;
			__be16 field;
			__be32 identification;
		} header;

		if (bpf_skb_load_bytes(skb, packet->l4_offset - IPV6_FRAGMENT_HEADER, &header, sizeof(header)) < 0 ||
		    header.next != IPPROTO_UDP || header.identification != packet->identification)
			return 0;
		place->offset = bpf_ntohs(header.field) & 0xfff8;
		place->is_last = !(header.field & bpf_htons(1));
		return 1;
	}
	if (bpf_skb_load_bytes(skb, ETH_HLEN + IPV4_FRAGMENT_OFFSET, &field, sizeof(field)) < 0)
		return 0;
	place->offset = (bpf_ntohs(field) & 0x1fff) * 8;
	place->is_last = !(field & bpf_htons(0x2000));
	return 1;
}

// Hands a fragment over. UDP's header goes with it, as the agent checks its sum: a forger may have put a fragment of
// his own among the others.
GLOBAL int learn_fragment(struct __sk_buff *skb, const struct packet *packet)
{
	struct learning *learning = learning_here();
	struct fragment_place place;
	__u32 length;

	if (!packet || !learning)
		return 0;
	count_dns(APUS_DNS_COUNT_FRAGMENTED);
	if (packet->protocol != IPPROTO_UDP || packet->l4_offset >= packet->end ||
	    !find_fragment_place(skb, packet, &place))
		return 0;
	// Only the first one has the id.
	if (!place.offset && !is_asked(skb, packet->l4_offset + UDP_HEADER)) {
		count_dns(APUS_DNS_COUNT_UNASKED);
		return 0;
	}
	length = packet->end - packet->l4_offset;
	learning->record.kind = APUS_HANDED_OVER_FRAGMENT;
	learning->record.number = packet->identification;
	learning->record.offset = place.offset;
	hand_over_part(skb, learning, packet->l4_offset, length, place.is_last ? place.offset + length : 0);
	return 0;
}
