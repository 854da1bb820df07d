// Connections: one entry for both directions, found by a key that is the same for both.
#pragma once

#include "address.h"

// The 5-tuple with its ends in canonical order: the smaller (address, port) in memory order is `low`.
// Ports are in network byte order; an ICMP echo has its identifier for the end that asks, protocols without ports 0.
struct apus_connection_key {
	struct apus_address low;
	struct apus_address high;
	__u16 low_port;
	__u16 high_port;
	__u8 protocol;
	__u8 padding[3];
};

_Static_assert(sizeof(struct apus_connection_key) == 40, "connection key layout");

enum apus_connection_flag {
	APUS_CONNECTION_TRANSLATED = 1, // per packet: replies get the frontend as their source again
	APUS_CONNECTION_SOCKET_TRANSLATED = 2, // at the socket: `frontend` is only a record of what was asked for
	APUS_CONNECTION_CLOSED = 4, // a reset, or both ends finished: the closed event was sent
	APUS_CONNECTION_RESET = 8, // one end reset it
	APUS_CONNECTION_UNANSWERED = 16, // half open, whichever map it is in
	APUS_CONNECTION_FROM_OUTSIDE = 32, // translated at an uplink, for a client that came in there
	APUS_CONNECTION_RECEIVED = 64, // came to its pod from an interface, so from no process of the node
	APUS_CONNECTION_TO_NODE = 128, // was opened to an address of this node
};

// Of the side that opened.
enum apus_side_flag {
	APUS_SIDE_WRAPPED = 1, // what it sends leaves wrapped, and the other end's node answers it
	APUS_SIDE_UNWRAPPED = 2, // what it sends comes wrapped, by way of another node
	APUS_SIDE_OTHER_PORT = 4, // the key has another port for it than its own, which is in `retransmissions`
};

// One end of a connection and what it sent.
struct apus_connection_side {
	__u64 packets;
	__u64 bytes; // layer 2 bytes, as the interface counts them
	__u32 endpoint; // slot in `endpoints`, 0: not on this node
	__u32 identity; // that endpoint's identity when the connection was opened
	__u32 generation; // and its policy generation when the connection was last admitted; 0: it is not
	__u32 policy; // policy that judged this side (egress of the opener, ingress of the other), 0: none
	__u32 rule; // and the rule that decided, APUS_RULE_NONE: none did
	__u8 tcp_flags; // every TCP flag this side has sent
	__u8 flags; // enum apus_side_flag
	// Segments that its socket says it sent again, where that is on this node; at most 65535. With
	// APUS_SIDE_OTHER_PORT: the port that it sends from, network byte order.
	__u16 retransmissions;
};

_Static_assert(sizeof(struct apus_connection_side) == 40, "connection side layout");

// How a handshake's time is written into 16 bits: the upper ones say by how much the lower ones are shifted to the left
// to be units.
enum {
	APUS_HANDSHAKE_BITS = 12, // the lower ones
	APUS_HANDSHAKE_UNIT_NS = 256,
};

struct apus_connection {
	__u64 opened_ns; // CLOCK_MONOTONIC
	__u64 last_seen_ns; // CLOCK_MONOTONIC
	struct apus_connection_side sides[2]; // [0] the low end, [1] the high end
	struct apus_address frontend; // the Service address that was asked for; zero: none
	__u16 frontend_port; // network byte order
	__u8 opener; // index in `sides` of the end that opened
	__u8 flags; // enum apus_connection_flag
	// Of ICMP: type | code << 8 of the packet that opened it. Of TCP: how long the handshake took, 0: not known. Of
	// UDP: 1 once the socket that opened it is led on to another backend.
	__u16 detail;
	// The node's port that the opener has towards the other end, network byte order: a client from outside towards
	// a backend elsewhere, or a pod towards the world; 0: it keeps its own address.
	__u16 source_port;
};

_Static_assert(sizeof(struct apus_connection) == 120, "connection layout");

enum apus_translation_flag {
	// `frontend` is a backend that a socket was connected to and that serves no more: of that socket alone.
	APUS_TRANSLATION_LED_ON = 1,
	// The client's port is another connection's with the backend, which knows this client by another port: what
	// that is comes out of the two (bpf/lib/other_port.h).
	APUS_TRANSLATION_OTHER_PORT = 2,
};

// A connection whose destination is translated packet by packet: from the tuple that the client uses …
// Where its source is translated too, the answers have one as well: the backend is the client then, the node's address
// and port the frontend, and they lead to the client.
struct apus_translation_key {
	struct apus_address client;
	struct apus_address frontend;
	__u16 client_port;
	__u16 frontend_port;
	__u8 protocol;
	__u8 padding[3];
};

// … to the backend that was chosen. The connection entry's key is (client, backend).
struct apus_translation {
	struct apus_address backend;
	__u16 backend_port;
	__u16 flags; // enum apus_translation_flag
	__u32 backend_index; // in `backends`, where it may have gone since; 0: not known, or no backend of a Service
};

_Static_assert(sizeof(struct apus_translation_key) == 40, "translation key layout");
_Static_assert(sizeof(struct apus_translation) == 24, "translation layout");

// Where the ports of a fragmented datagram are kept for its later fragments.
struct apus_fragment_key {
	struct apus_address source;
	struct apus_address destination;
	__u32 identification; // network byte order
	__u8 protocol;
	__u8 padding[3];
};

struct apus_fragment {
	__u16 source_port;
	__u16 destination_port;
	__u8 protocol; // of IPv6, where a later fragment may name an extension header instead
	__u8 padding[3];
	__u64 seen_ns;
};

_Static_assert(sizeof(struct apus_fragment_key) == 40, "fragment key layout");
_Static_assert(sizeof(struct apus_fragment) == 16, "fragment layout");
