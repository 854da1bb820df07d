// What pods say about whose address is where, to the neighbours on their link; and what the link brings to others.
#pragma once

#include "parse.h"
#include "sender.h"

enum {
	ARP_LENGTH = 28, // for Ethernet and IPv4 (RFC 826)
	ADVERTISED_TARGET = 8, // from the start of the ICMPv6 header (RFC 4861 §4.4)
};

struct arp_message {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender[4]; // not aligned to its size
};

ALWAYS_INLINE _Bool mac_equal(const __u8 *left, const __u8 *right)
{
	_Bool equal = 1;

#pragma unroll
	for (int i = 0; i < ETH_ALEN; i++)
		equal &= left[i] == right[i];
	return equal;
}

ALWAYS_INLINE _Bool is_arp_of_ipv4(const struct arp_message *message)
{
	return message->hardware == bpf_htons(1) && message->protocol == bpf_htons(ETH_P_IP) &&
	       message->hardware_length == ETH_ALEN && message->protocol_length == 4;
}

// A probe asks whether an address is free, and claims none (RFC 5227 §2.1.1).
ALWAYS_INLINE enum apus_reason check_arp_sender(const struct arp_message *message, const struct apus_endpoint *endpoint)
{
	struct apus_address sender;
	__be32 bits;

	__builtin_memcpy(&bits, message->sender, sizeof(bits));
	sender = address_from_v4(bits);
	if (endpoint->flags & APUS_ENDPOINT_CHECK_MAC && !mac_equal(message->sender_mac, endpoint->mac))
		return APUS_REASON_INVALID_SOURCE_MAC;
	return !bits || endpoint_owns(endpoint, &sender) ? APUS_REASON_NONE : APUS_REASON_INVALID_SOURCE;
}

// Why a pod may not send an ARP frame: on a bridge one could say that the gateway's address is its own. Of the frames
// that are not parsed, those of VLANs are somebody else's.
COLD int check_arp(struct __sk_buff *skb)
{
	struct arp_message message;
	struct local_endpoint sender;

	if (skb->vlan_present ? skb->vlan_tci & 0x0fff : 0)
		return APUS_REASON_NONE;
	if (skb->protocol != bpf_htons(ETH_P_ARP))
		return APUS_REASON_NONE;
	sender = endpoint_of_interface(skb->ifindex);
	if (!sender.endpoint)
		return APUS_REASON_UNKNOWN_ENDPOINT;
	if (skb->len < ETH_HLEN + ARP_LENGTH || bpf_skb_load_bytes(skb, ETH_HLEN, &message, sizeof(message)) < 0)
		return APUS_REASON_TRUNCATED;
	if (!is_arp_of_ipv4(&message))
		return APUS_REASON_MALFORMED;
	if (sender.endpoint->flags & APUS_ENDPOINT_CHECK_MAC && !frame_has_source(skb, sender.endpoint->mac))
		return APUS_REASON_INVALID_SOURCE_MAC;
	return check_arp_sender(&message, sender.endpoint);
}

// Likewise for neighbour discovery, where the target may be another address than the sender's. Which link-local
// addresses are a pod's is not known.
COLD int check_advertisement(struct __sk_buff *skb, const struct packet *packet, const struct apus_endpoint *endpoint)
{
	struct apus_address target;
	__be32 words[4];

	if (!packet || !endpoint || !(packet->flags & (PACKET_NEIGHBOUR | PACKET_SOLICITATION)) ||
	    packet->icmp_type != ICMPV6_NEIGHBOUR_ADVERTISEMENT)
		return APUS_REASON_NONE;
	if (packet->l4_offset + ADVERTISED_TARGET + sizeof(words) > packet->end ||
	    bpf_skb_load_bytes(skb, packet->l4_offset + ADVERTISED_TARGET, words, sizeof(words)) < 0)
		return APUS_REASON_TRUNCATED;
	target = address_from_v6(words);
	return endpoint_owns(endpoint, &target) || address_is_v6_link_local(&target) ? APUS_REASON_NONE
										     : APUS_REASON_INVALID_SOURCE;
}

ALWAYS_INLINE _Bool is_multicast(const struct apus_address *address)
{
	if (address_is_v4(address))
		return (bpf_ntohl(address_v4_bits(address)) & 0xf0000000) == 0xe0000000;
	return (address->high & bpf_cpu_to_be64(0xff00000000000000ull)) == bpf_cpu_to_be64(0xff00000000000000ull);
}

// Whether a packet for none of a pod's addresses comes to its interface nevertheless: for a group, for all on the link,
// or for a link-local address of the pod. Anything else a bridge has flooded, which is another pod's.
COLD int is_for_link(struct __sk_buff *skb, const struct packet *packet)
{
	const __u8 *destination;

	if (!packet)
		return 0;
	if (is_multicast(&packet->destination) || address_is_v6_link_local(&packet->destination))
		return 1;
	destination = header_at(skb, 0, ETH_ALEN);
	return destination && destination[0] & 1;
}
