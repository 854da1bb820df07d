// Connections: finding, opening, following and ending them.
#pragma once

#include "endpoint.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct apus_connection_key);
	__type(value, struct apus_connection);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct apus_connection_key);
	__type(value, struct apus_connection);
} half_open SEC(".maps");

// Where a new connection is put together: it would take a quarter of the stack. Nothing else runs on the CPU meanwhile,
// as tcx programs run with bottom halves disabled.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct apus_connection);
} new_connection SEC(".maps");

// A connection as one packet of it finds it.
struct found_connection {
	struct apus_connection *connection; // NULL: none
	_Bool half_open; // the map that it is in
	_Bool from_high; // the packet's sender is the high end
};

// Writes the key of a connection of two ends. Returns whether the sender is the high end.
ALWAYS_INLINE _Bool connection_key_of(const struct apus_address *sender, __u16 sender_port,
				      const struct apus_address *receiver, __u16 receiver_port, __u8 protocol,
				      struct apus_connection_key *key)
{
	int order = address_compare(sender, receiver);
	_Bool from_high = order > 0 || (order == 0 && sender_port > receiver_port);

	key->low = from_high ? *receiver : *sender;
	key->high = from_high ? *sender : *receiver;
	key->low_port = from_high ? receiver_port : sender_port;
	key->high_port = from_high ? sender_port : receiver_port;
	key->protocol = protocol;
	key->padding[0] = key->padding[1] = key->padding[2] = 0;
	return from_high;
}

// That of a packet's connection.
ALWAYS_INLINE _Bool connection_key(const struct packet *packet, struct apus_connection_key *key)
{
	return connection_key_of(&packet->source, packet->source_port, &packet->destination, packet->destination_port,
				 packet->protocol, key);
}

ALWAYS_INLINE _Bool opener_is_local(const struct apus_connection *connection)
{
	return (connection->opener ? connection->sides[1].endpoint : connection->sides[0].endpoint) != 0;
}

ALWAYS_INLINE struct apus_connection_side *connection_side(struct apus_connection *connection, _Bool high)
{
	// Not indexed: the verifier follows two constant offsets, but not a computed one.
	return high ? &connection->sides[1] : &connection->sides[0];
}

// The port that the opener sends from, where the key has another one for it; 0: that is its own.
GLOBAL int own_port_of_opener(const struct apus_connection *connection)
{
	const struct apus_connection_side *side;

	if (!connection)
		return 0;
	side = connection->opener ? &connection->sides[1] : &connection->sides[0];
	return unlikely(side->flags & APUS_SIDE_OTHER_PORT) ? side->retransmissions : 0;
}

ALWAYS_INLINE __u64 connection_timeout(const struct apus_connection *connection, __u8 protocol)
{
	if (connection->flags & APUS_CONNECTION_CLOSED)
		return config.closing_timeout_ns;
	if (connection->flags & APUS_CONNECTION_UNANSWERED)
		return config.half_open_timeout_ns;
	if (tells_openings(protocol))
		return config.established_timeout_ns;
	return config.datagram_timeout_ns;
}

ALWAYS_INLINE _Bool connection_is_expired(const struct apus_connection *connection, __u8 protocol, __u64 now)
{
	// Another CPU may have seen a packet after this one took its time.
	__s64 idle = now - connection->last_seen_ns;

	return idle > (__s64)connection_timeout(connection, protocol);
}

// Finds the connection of a key. Answered ones first: an established packet costs this one lookup.
ALWAYS_INLINE struct found_connection connection_with(const struct apus_connection_key *key)
{
	struct found_connection found = {};

	found.connection = bpf_map_lookup_elem(&connections, key);
	if (likely(found.connection))
		return found;
	found.connection = bpf_map_lookup_elem(&half_open, key);
	found.half_open = found.connection != NULL;
	return found;
}

// Finds a packet's connection and writes its key.
ALWAYS_INLINE struct found_connection connection_find(const struct packet *packet, struct apus_connection_key *key)
{
	_Bool from_high = connection_key(packet, key);
	struct found_connection found = connection_with(key);

	found.from_high = from_high;
	return found;
}

ALWAYS_INLINE _Bool is_from_opener(const struct found_connection *found)
{
	return found->connection->opener == found->from_high;
}

// Records a connection that opens. Where one has ended under the same key it takes that entry over: this evicts
// nothing, so a flood of openings can do no harm, and spares both maps the work on their lists that a new entry and its
// move take. Whoever reads the entry meanwhile judges anew, as its sides don't fit.
ALWAYS_INLINE int connection_record(const struct apus_connection_key *key, const struct apus_connection *connection,
				    struct apus_connection *ended)
{
	if (!ended)
		return bpf_map_update_elem(&half_open, key, connection, BPF_ANY);
	*ended = *connection;
	return 0;
}

// The first answer: the connection moves to the map that a flood of openings can't touch, if it isn't there.
ALWAYS_INLINE void connection_answered(const struct apus_connection_key *key, const struct found_connection *found)
{
	struct apus_connection *connection = found->connection;

	connection->flags &= ~APUS_CONNECTION_UNANSWERED;
	if (!found->half_open)
		return;
	if (bpf_map_update_elem(&connections, key, connection, BPF_ANY) < 0)
		connection->flags |= APUS_CONNECTION_UNANSWERED; // the next answer tries again
	else
		bpf_map_delete_elem(&half_open, key);
}

// Whether both ends are done with the connection, seen to the last packet or not.
ALWAYS_INLINE _Bool has_ended(const struct apus_connection *connection)
{
	return connection->flags & APUS_CONNECTION_CLOSED ||
	       connection->sides[0].tcp_flags & connection->sides[1].tcp_flags & TCP_FIN;
}

// Rarely writes, as the clock is coarse; and an exact time may have been written before.
ALWAYS_INLINE void connection_seen(struct apus_connection *connection, __u64 now)
{
	if (connection->last_seen_ns < now)
		connection->last_seen_ns = now;
}

// Notes what a chunk of SCTP says of the association. Returns whether it ends it.
ALWAYS_INLINE _Bool follow_chunk(struct apus_connection *connection, __u8 chunk)
{
	if (likely(chunk != SCTP_ABORT && chunk != SCTP_SHUTDOWN_COMPLETE) ||
	    connection->flags & APUS_CONNECTION_CLOSED)
		return 0;
	connection->flags |= APUS_CONNECTION_CLOSED;
	if (chunk == SCTP_ABORT)
		connection->flags |= APUS_CONNECTION_RESET;
	return 1;
}

// How a time is written as `detail`; what is longer than can be written is the longest.
ALWAYS_INLINE __u16 handshake_detail(__u64 nanoseconds)
{
	__u64 units = nanoseconds / APUS_HANDSHAKE_UNIT_NS;
	__u32 shift = 0;

	while (units >> APUS_HANDSHAKE_BITS && shift < 15) {
		units >>= 1;
		shift++;
	}
	if (units >> APUS_HANDSHAKE_BITS)
		units = (1 << APUS_HANDSHAKE_BITS) - 1;
	return shift << APUS_HANDSHAKE_BITS | (units ? units : 1);
}

// Whether a packet with these flags, already counted, is the acknowledgement that ends the handshake. Where either end
// sent more than one packet before, nobody knows which of them was answered (Karn's rule, RFC 6298).
ALWAYS_INLINE _Bool ends_handshake(const struct apus_connection_side *opener, const struct apus_connection_side *other,
				   __u32 flags)
{
	return (flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK &&
	       (opener->tcp_flags & (TCP_ACK | TCP_SYN)) == TCP_SYN && other->tcp_flags & TCP_SYN &&
	       opener->packets == 2 && other->packets == 1;
}

// Notes flags of TCP that a side had not sent before, which happens a few times in a connection's life.
GLOBAL int note_tcp_flags(struct apus_connection *connection, __u32 from_high, __u32 flags)
{
	struct apus_connection_side *side;

	if (!connection)
		return 0;
	side = connection_side(connection, from_high);
	if (connection->opener == from_high && ends_handshake(side, connection_side(connection, !from_high), flags))
		connection->detail = handshake_detail(bpf_ktime_get_ns() - connection->opened_ns);
	side->tcp_flags |= flags;
	return 0;
}

// Counts a packet on its side and notes its TCP flags or SCTP chunk. Returns whether it ends the connection.
ALWAYS_INLINE _Bool connection_follow(const struct found_connection *found, const struct packet *packet, __u64 now,
				      _Bool counts)
{
	struct apus_connection *connection = found->connection;
	struct apus_connection_side *side = connection_side(connection, found->from_high);
	__u32 both;

	connection_seen(connection, now);
	if (counts) {
		count(&side->packets, 1);
		count(&side->bytes, packet->length);
	}
	if (packet->protocol != IPPROTO_TCP)
		return follow_chunk(connection, packet->chunk);
	// Written only when it changes: the other direction's CPU reads this cache line too.
	if (unlikely((side->tcp_flags | packet->tcp_flags) != side->tcp_flags))
		note_tcp_flags(connection, found->from_high, packet->tcp_flags);
	if (likely(connection->flags & APUS_CONNECTION_CLOSED))
		return 0;
	if (unlikely(packet->tcp_flags & TCP_RST)) {
		connection->flags |= APUS_CONNECTION_CLOSED | APUS_CONNECTION_RESET;
		return 1;
	}
	both = connection->sides[0].tcp_flags & connection->sides[1].tcp_flags;
	// Both sent FIN and this packet has none: it acknowledges the second one.
	if (unlikely(both & TCP_FIN) && !(packet->tcp_flags & TCP_FIN)) {
		connection->flags |= APUS_CONNECTION_CLOSED;
		return 1;
	}
	return 0;
}

// Whether a side's endpoint is still the one that the connection was opened by or to.
ALWAYS_INLINE _Bool side_is_current(const struct apus_connection_side *side, const struct apus_endpoint *endpoint)
{
	return side->identity == endpoint->identity;
}
