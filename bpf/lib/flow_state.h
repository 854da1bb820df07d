// One packet on its way: what is known of it.
#pragma once

#include "connection.h"
#include "verdict.h"

// What would have denied a packet that passes, were it not in audit mode; of both ends, the sender's egress first.
struct audit {
	__u32 policy;
	__u32 rule; // APUS_RULE_NONE: nothing
};

// What its frame is, other than the packet.
enum frame_flag {
	FRAME_UNWRAPPED = 1, // another node had wrapped it, for a backend that it has chosen
	FRAME_AIMED = 2, // it has the destination still that it came with
};

struct flow {
	struct packet packet;
	struct apus_connection_key key;
	struct found_connection found;
	struct apus_connection *ended; // under the same key: what a new connection takes the place of
	struct local_endpoint source; // the sender, where it is an endpoint of this node
	struct local_endpoint destination; // the receiver, likewise
	__u64 now; // coarse: it may be some milliseconds old
	const struct apus_service *service; // that the packet asks for, if it opens a connection
	// Of a new connection, of one to a resolver, and of an answer to a translated one: the Service address that was
	// asked for.
	struct apus_address frontend;
	struct judgement judgement;
	struct audit audit; // of what is judged now
	__u16 frontend_port;
	__u8 connection_flags; // of a new connection: enum apus_connection_flag
	__u8 direction; // enum apus_direction, where a drop happens
	_Bool counts; // this hook is the one that counts the packet
	__u8 audit_direction : 1; // enum apus_direction, where a drop would happen without audit mode
	_Bool answers : 1; // denied while its connection lived, on the way to the end that opened it
	_Bool beside : 1; // the connection with its ports is another one's
	_Bool reverse; // an answer of a backend: its source becomes the frontend again
	__u8 epoch; // in force when the packet came: all that judges it is of this one
	__u8 frame; // enum frame_flag
	_Bool cut_off; // its socket was led to what serves its Service no more: `service` is that, NULL where it is
		       // gone
	// The port of the end that opened the connection, which may have another one in its key (other_port.h): of what
	// may ask for a Service the one that it came from, of an answer to a translated connection the one that it goes
	// to; 0: that of the key.
	__u16 own_port;
};

// Whether a found connection is the one that this packet continues. A new SYN or INIT replaces what has ended, and what
// the other end had opened. Of ICMP that end only answers: what it asks is its own, though most queries have the same
// key both ways.
ALWAYS_INLINE _Bool continues(const struct flow *flow)
{
	const struct found_connection *found = &flow->found;

	if (unlikely(is_connection_opening(&flow->packet)) && (has_ended(found->connection) || !is_from_opener(found)))
		return 0;
	if (unlikely(is_icmp(&flow->packet)) && !is_from_opener(found) && !is_icmp_answer(&flow->packet))
		return 0;
	return !connection_is_expired(found->connection, flow->packet.protocol, flow->now);
}

// The found connection is not the packet's. It goes when another one opens, not before: a packet that is denied must
// not end what it has no part in.
ALWAYS_INLINE void leave_connection(struct flow *flow)
{
	flow->ended = flow->found.connection;
	flow->found.connection = NULL;
}

// Leaves the connection that was found, if the packet doesn't continue it.
ALWAYS_INLINE void settle_connection(struct flow *flow)
{
	if (flow->found.connection && unlikely(!continues(flow)))
		leave_connection(flow);
}

// Finds the packet's connection, unless the packet doesn't continue it.
ALWAYS_INLINE void find_connection(struct flow *flow)
{
	flow->ended = NULL;
	flow->found = connection_find(&flow->packet, &flow->key);
	settle_connection(flow);
}
