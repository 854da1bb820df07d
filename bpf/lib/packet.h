// The packet as the data path sees it.
#pragma once

#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "address.h"

enum packet_flag {
	PACKET_V6 = 1,
	PACKET_FRAGMENT = 2, // part of a datagram, the first one or a later one
	PACKET_LATER_FRAGMENT = 4, // has no layer 4 header
	PACKET_ICMP_ERROR = 8, // quotes the packet that it is about
	PACKET_NEIGHBOUR = 16, // what a host says by neighbour or multicast listener discovery, and no router forwards
	PACKET_SOLICITATION = 32, // neighbour discovery between other addresses, that no router has forwarded
	PACKET_ROUTER = 64, // what a router says to its link by either
};

// Types of RFC 792; <linux/icmp.h> would pull in the C library.
enum {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_ECHO_REQUEST = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
};

// Types of ICMP messages that answer one: RFC 792, RFC 950, RFC 8335; and of ICMPv6: RFC 4443, RFC 4620, RFC 8335.
enum {
	ICMP_TIMESTAMP_REPLY = 14,
	ICMP_INFORMATION_REPLY = 16,
	ICMP_ADDRESS_MASK_REPLY = 18,
	ICMP_EXTENDED_ECHO_REPLY = 43,
	ICMPV6_NODE_INFORMATION_REPLY = 140,
	ICMPV6_EXTENDED_REPLY = 161,
};

// Types of neighbour discovery (RFC 4861) and of multicast listener discovery (RFC 2710, RFC 3810).
enum {
	ICMPV6_LISTENER_QUERY = 130,
	ICMPV6_LISTENER_REPORT = 131,
	ICMPV6_LISTENER_DONE = 132,
	ICMPV6_ROUTER_SOLICITATION = 133,
	ICMPV6_ROUTER_ADVERTISEMENT = 134,
	ICMPV6_NEIGHBOUR_SOLICITATION = 135,
	ICMPV6_NEIGHBOUR_ADVERTISEMENT = 136,
	ICMPV6_REDIRECT = 137,
	ICMPV6_LISTENER_REPORT_2 = 143,
};

// Hop limits that they have: one that no router leaves as it is, and one that none lets pass.
enum {
	HOP_LIMIT_NEIGHBOUR = 255,
	HOP_LIMIT_LISTENER = 1,
};

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

// Chunks that open and end an association (RFC 9260). They are alone in their packet, but for an ABORT that other
// control chunks may come before: that one is not seen.
enum {
	SCTP_INIT = 1,
	SCTP_ABORT = 6,
	SCTP_SHUTDOWN_COMPLETE = 14,
};

struct packet {
	struct apus_address source;
	struct apus_address destination;
	__u16 source_port; // network byte order
	__u16 destination_port;
	__u32 length; // of the frame
	__u32 end; // of the IP packet, from the start of the frame
	__u32 identification; // of a fragment, network byte order
	__u16 l4_offset; // from the start of the frame
	__u8 protocol;
	__u8 flags; // enum packet_flag
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 chunk; // type of the first one of SCTP; 0, which is data: there is none, or the protocol has none
};

// Whether the protocol tells its openings from what follows them.
ALWAYS_INLINE _Bool tells_openings(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_SCTP;
}

ALWAYS_INLINE _Bool is_connection_opening(const struct packet *packet)
{
	return (packet->protocol == IPPROTO_TCP && (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) ||
	       packet->chunk == SCTP_INIT;
}

// Whether the sender wants to know nothing of the connection, or no more.
ALWAYS_INLINE _Bool is_reset(const struct packet *packet)
{
	return packet->tcp_flags & TCP_RST || packet->chunk == SCTP_ABORT;
}

ALWAYS_INLINE _Bool is_icmp(const struct packet *packet)
{
	return packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6;
}

// Whether an ICMP message answers one of the other end. 0, an echo's answer, is also what is known of the type of a
// later fragment, and no type of ICMPv6.
ALWAYS_INLINE _Bool is_icmp_answer(const struct packet *packet)
{
	switch (packet->icmp_type) {
	case ICMP_ECHO_REPLY:
	case ICMP_TIMESTAMP_REPLY:
	case ICMP_INFORMATION_REPLY:
	case ICMP_ADDRESS_MASK_REPLY:
	case ICMP_EXTENDED_ECHO_REPLY:
	case ICMPV6_ECHO_REPLY:
	case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
	case ICMPV6_NODE_INFORMATION_REPLY:
	case ICMPV6_EXTENDED_REPLY:
		return 1;
	}
	return 0;
}
