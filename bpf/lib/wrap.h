// Direct server return: what a client outside sends to a Service goes on to a backend elsewhere as the client has sent
// it, wrapped in a packet to that backend, whose node unwraps it and answers the client itself.
//
// The wrapping is IP and GRE (RFC 2784) with a key (RFC 2890): 28 bytes by IPv4, 48 by IPv6. It is addressed to the
// backend, so that it takes the way that everything to the backend takes; the packet in it is to the frontend, and the
// key has the backend's port. Why it is so: decision 28.
#pragma once

#include "outside.h"
#include "segment_size.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_prefix_key);
	__type(value, __u32);
} node_ranges SEC(".maps");

struct wrap_header {
	__be16 flags;
	__be16 protocol;
	__be32 key;
};

enum {
	WRAP_V4 = sizeof(struct iphdr) + sizeof(struct wrap_header),
	WRAP_V6 = sizeof(struct ipv6hdr) + sizeof(struct wrap_header),
	WRAP_HAS_KEY = 0x2000, // the only flag: version 0, no checksum, no sequence number
	WRAP_HOPS = 64,
	UNSEEN_OPENING_PACKETS = 8,
	IPV4_DO_NOT_FRAGMENT = 0x4000,
	DSCP = 0xfc, // of a traffic class; the rest tells of congestion, which an unwrapped packet would not keep
};

// The upper half of each key, which tells what nodes have wrapped from GRE of others.
#define WRAP_MARK 0x41700000u

// What `unwrap` says besides why a packet is dropped.
enum {
	NOT_WRAPPED = 0,
	UNWRAPPED = -1,
};

ALWAYS_INLINE __u32 wrap_length(const struct packet *packet)
{
	return packet->flags & PACKET_V6 ? WRAP_V6 : WRAP_V4;
}

// What is known of an address: enum apus_node_range_flag.
GLOBAL int node_range_flags(const struct apus_address *address)
{
	struct apus_prefix_key key = {.prefix_length = 128};
	const __u32 *flags;

	if (!address)
		return 0;
	__builtin_memcpy(key.address, address, sizeof(key.address));
	flags = bpf_map_lookup_elem(&node_ranges, &key);
	return flags ? *flags : 0;
}

// The backend's port of a packet that another node has wrapped for this one, network byte order; 0: it is none.
ALWAYS_INLINE __u16 wrapped_port(struct __sk_buff *skb, const struct packet *packet, __u8 epoch)
{
	__u32 network = wrap_length(packet) - sizeof(struct wrap_header);
	const struct apus_uplink *uplink = uplink_of(skb);
	struct wrap_header header;

	if (!uplink || !(uplink->flags & APUS_UPLINK_SERVES) || packet->flags & PACKET_FRAGMENT ||
	    packet->l4_offset != ETH_HLEN + network || !holds_l4(packet, sizeof(header)) ||
	    bpf_skb_load_bytes(skb, packet->l4_offset, &header, sizeof(header)) < 0)
		return 0;
	if (header.flags != bpf_htons(WRAP_HAS_KEY) || header.protocol != (__be16)skb->protocol ||
	    (bpf_ntohl(header.key) & 0xffff0000) != WRAP_MARK)
		return 0;
	if (!(node_range_flags(&packet->source) & APUS_NODE_RANGE_SENDS))
		return 0;
	if (!endpoint_of_address(&packet->destination).endpoint && !is_address_of_node(&packet->destination, epoch))
		return 0;
	return bpf_htons(bpf_ntohl(header.key) & 0xffff);
}

// Leads the client's ports to the backend that another node has chosen. A later fragment has none, and goes where the
// first one went.
ALWAYS_INLINE int record_choice(const struct packet *packet, const struct apus_address *backend, __u16 port)
{
	struct apus_translation_key key;
	struct apus_translation fresh = {.backend = *backend, .backend_port = port};
	const struct apus_translation *known;

	if (!is_translatable(packet) || packet->flags & PACKET_LATER_FRAGMENT)
		return UNWRAPPED;
	translation_key(packet, &key);
	// A node speaks for Services and for its own node ports, and for nobody else.
	if (!service_find(&key.frontend, key.frontend_port, key.protocol) &&
	    !(node_range_flags(&key.frontend) & APUS_NODE_RANGE_SENDS))
		return PARSE_DROP(APUS_REASON_INVALID_DESTINATION);
	known = translation_find(&key);
	if (known && known->backend_port == port && address_equal(&known->backend, backend))
		return UNWRAPPED;
	// What is recorded next must not be hidden by it.
	bpf_map_delete_elem(&translations, &key);
	return translation_record(&key, &fresh) < 0 ? PARSE_DROP(APUS_REASON_CONNECTION_FAILED) : UNWRAPPED;
}

// Unwraps what another node has wrapped for a backend of this node. UNWRAPPED: `packet` is the client's now, and its
// ports lead to that backend; NOT_WRAPPED: it is as it was; else PARSE_DROP of a reason.
GLOBAL int unwrap(struct __sk_buff *skb, struct packet *packet, __u8 epoch)
{
	struct apus_address backend;
	__u16 port;
	int result;

	if (!packet)
		return NOT_WRAPPED;
	port = wrapped_port(skb, packet, epoch);
	if (!port)
		return NOT_WRAPPED;
	backend = packet->destination;
	// The segments inside stay as long as they came.
	if (bpf_skb_adjust_room(skb, -(__s32)wrap_length(packet), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) < 0)
		return PARSE_DROP(APUS_REASON_MALFORMED);
	__builtin_memset(packet, 0, sizeof(*packet));
	result = parse_packet(skb, packet);
	if (result == PARSE_PASS)
		return PARSE_DROP(APUS_REASON_UNSUPPORTED);
	return result ? result : record_choice(packet, &backend, port);
}

// What was unwrapped and goes to no backend here must not be routed: it might come back, wrapped again.
COLD int end_unwrapped(struct flow *flow, int result)
{
	enum apus_reason reason;

	if (!flow)
		return result;
	reason = flow->packet.flags & PACKET_FRAGMENT ? APUS_REASON_FRAGMENT : APUS_REASON_UNSUPPORTED;
	return result == TCX_NEXT_PROGRAM ? drop_flow(flow, reason, APUS_DIRECTION_INGRESS) : result;
}

// Whether the client's packet to a backend elsewhere goes there wrapped. That is decided when the connection opens.
// Those inside the cluster are answered by way of this node in any case: they may be on the backend's own. And other
// nodes unwrap only what comes from an address that this one's Node has.
COLD int returns_directly(struct flow *flow, const struct apus_address *own)
{
	const struct apus_connection *connection;
	__u8 wanted;

	if (!flow || !own || !flow->found.connection)
		return 0;
	connection = flow->found.connection;
	if (connection_side(flow->found.connection, connection->opener)->flags & APUS_SIDE_WRAPPED)
		return 1;
	// The other node would meet the client's own port.
	if (own_port_of_opener(connection))
		return 0;
	wanted = tells_openings(flow->packet.protocol) ? APUS_DIRECT_RETURN_CONNECTIONS : APUS_DIRECT_RETURN_DATAGRAMS;
	if (!(config.direct_return & wanted) || connection->source_port ||
	    !(connection->flags & APUS_CONNECTION_UNANSWERED))
		return 0;
	return node_range_flags(&flow->packet.destination) & APUS_NODE_RANGE_UNWRAPS &&
	       !node_range_flags(&flow->packet.source) && node_range_flags(own) & APUS_NODE_RANGE_OWN;
}

// Whether the client has gone on as only one does that was answered. Any packet may be forged: one alone says nothing,
// and of TCP whose opening was not seen a few don't either.
ALWAYS_INLINE _Bool goes_on(const struct packet *packet, const struct apus_connection_side *side)
{
	if (is_connection_opening(packet) || is_reset(packet))
		return 0;
	if (packet->protocol == IPPROTO_TCP && !(side->tcp_flags & TCP_SYN))
		return side->packets >= UNSEEN_OPENING_PACKETS;
	return side->packets >= 2;
}

// Keeps a connection that the client has ended, from its last packet on, for as long as one that nobody has answered:
// the other end may still have much to say, and the client acknowledges that.
ALWAYS_INLINE void keep_half_closed(struct apus_connection *connection, __u64 now)
{
	if (!(connection->flags & APUS_CONNECTION_RESET) && config.half_open_timeout_ns > config.closing_timeout_ns)
		connection_seen(connection, now + config.half_open_timeout_ns - config.closing_timeout_ns);
}

// No answer comes by here. So what tells of one is that the client goes on, and of the end that the client ends.
COLD int follow_alone(struct flow *flow)
{
	struct apus_connection *connection;
	struct apus_connection_side *side;

	if (!flow || !flow->found.connection)
		return 0;
	connection = flow->found.connection;
	side = connection_side(connection, connection->opener);
	side->flags |= APUS_SIDE_WRAPPED;
	if (flow->packet.tcp_flags & TCP_FIN && !(connection->flags & APUS_CONNECTION_CLOSED)) {
		connection->flags |= APUS_CONNECTION_CLOSED;
		report_connection(&flow->key, connection, bpf_ktime_get_ns(), APUS_ENDING_FINISHED);
		translation_ended(&flow->key, connection);
	}
	if (connection->flags & APUS_CONNECTION_CLOSED)
		keep_half_closed(connection, flow->now);
	if (!(connection->flags & APUS_CONNECTION_UNANSWERED) || !goes_on(&flow->packet, side))
		return 0;
	translation_answered(&flow->key, connection);
	connection_answered(&flow->key, &flow->found);
	return 0;
}

// Gives the client's packet the destination that it came with. Returns APUS_REASON_NONE, or why it can't. Not inlined,
// as `rewrite` would crowd the stack.
COLD int aim_at_frontend(struct __sk_buff *skb, struct flow *flow)
{
	struct rewrite rewrite = {.destination = 1};
	enum apus_reason reason;

	if (!flow || !flow->found.connection)
		return APUS_REASON_MALFORMED;
	rewrite.from = flow->packet.destination;
	rewrite.from_port = flow->packet.destination_port;
	rewrite.to = flow->found.connection->frontend;
	rewrite.to_port = flow->found.connection->frontend_port;
	reason = rewrite_packet(skb, &flow->packet, &rewrite);
	flow->packet.destination = rewrite.to;
	flow->packet.destination_port = rewrite.to_port;
	return reason;
}

ALWAYS_INLINE int wrap_in_ipv4(struct __sk_buff *skb, const struct apus_address *source,
			       const struct apus_address *destination, __u32 length)
{
	struct iphdr inner,
		outer = {
			.version = 4,
			.ihl = 5,
			.tot_len = bpf_htons(length),
			.frag_off = bpf_htons(IPV4_DO_NOT_FRAGMENT), // the other node does not put it together
			.ttl = WRAP_HOPS,
			.protocol = IPPROTO_GRE,
			.saddr = address_v4_bits(source),
			.daddr = address_v4_bits(destination),
		};

	if (bpf_skb_load_bytes(skb, ETH_HLEN + WRAP_V4, &inner, sizeof(inner)) < 0)
		return -1;
	outer.tos = inner.tos & DSCP;
	outer.check = fold_sum(add_sum(&outer, sizeof(outer), 0));
	return bpf_skb_store_bytes(skb, ETH_HLEN, &outer, sizeof(outer), 0);
}

ALWAYS_INLINE int wrap_in_ipv6(struct __sk_buff *skb, const struct apus_address *source,
			       const struct apus_address *destination, __u32 length)
{
	struct ipv6hdr outer;

	// Version, traffic class and flow label are the client's.
	if (bpf_skb_load_bytes(skb, ETH_HLEN + WRAP_V6, &outer, sizeof(outer)) < 0)
		return -1;
	outer.flow_lbl[0] &= DSCP << 4 | 0x0f;
	outer.payload_len = bpf_htons(length - sizeof(outer));
	outer.nexthdr = IPPROTO_GRE;
	outer.hop_limit = WRAP_HOPS;
	__builtin_memcpy(&outer.saddr, source, sizeof(outer.saddr));
	__builtin_memcpy(&outer.daddr, destination, sizeof(outer.daddr));
	return bpf_skb_store_bytes(skb, ETH_HLEN, &outer, sizeof(outer), 0);
}

// Wraps a packet for a backend. Negative: it could not be. Of segments that are cut later the kernel makes each as much
// shorter as the wrapping is long; datagrams that are cut stay as they are.
GLOBAL int wrap(struct __sk_buff *skb, const struct packet *packet, const struct apus_address *source,
		const struct apus_address *backend, __u16 port)
{
	struct wrap_header header = {.flags = bpf_htons(WRAP_HAS_KEY), .protocol = skb->protocol};
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L4_GRE;
	__u32 added, length;
	_Bool v6;

	if (!packet || !source || !backend)
		return -1;
	v6 = packet->flags & PACKET_V6;
	added = wrap_length(packet);
	length = packet->end - ETH_HLEN + added;
	// Each segment gets a length of its own when they are cut.
	if (length > 0xffff && skb->gso_size)
		length = 0xffff;
	if (length > 0xffff)
		return -1;
	flags |= v6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	if (packet->protocol != IPPROTO_TCP)
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	if (bpf_skb_adjust_room(skb, added, BPF_ADJ_ROOM_MAC, flags) < 0)
		return -1;
	header.key = bpf_htonl(WRAP_MARK | bpf_ntohs(port));
	if (bpf_skb_store_bytes(skb, ETH_HLEN + added - sizeof(header), &header, sizeof(header), 0) < 0)
		return -1;
	return v6 ? wrap_in_ipv6(skb, source, backend, length) : wrap_in_ipv4(skb, source, backend, length);
}

// The size of packets that fit into the link when they are wrapped, where this one does not; 0: it does.
ALWAYS_INLINE __u32 largest_wrapped(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 mtu = 0;

	if (likely(bpf_check_mtu(skb, 0, &mtu, wrap_length(packet), 0) == BPF_MTU_CHK_RET_SUCCESS))
		return 0;
	return mtu > wrap_length(packet) ? mtu - wrap_length(packet) : 1;
}

// Whether a router may cut the packet.
ALWAYS_INLINE _Bool may_be_fragmented(struct __sk_buff *skb, const struct packet *packet)
{
	__be16 fragment;

	return !(packet->flags & PACKET_V6) &&
	       bpf_skb_load_bytes(skb, ETH_HLEN + __builtin_offsetof(struct iphdr, frag_off), &fragment,
				  sizeof(fragment)) == 0 &&
	       !(fragment & bpf_htons(IPV4_DO_NOT_FRAGMENT));
}

// The client has to send smaller packets. The error comes from the frontend, and leaves by the interface that the
// packet came in by.
ALWAYS_INLINE int turn_back_too_big(struct __sk_buff *skb, struct flow *flow, __u32 mtu)
{
	if (aim_at_frontend(skb, flow) || become_error(skb, &flow->packet, mtu) < 0)
		return drop_flow(flow, APUS_REASON_MALFORMED, APUS_DIRECTION_INGRESS);
	return bpf_redirect_neigh(skb->ingress_ifindex, NULL, 0, 0);
}

// The client's packet leaves for the backend's node. A datagram that is too long for it and may be cut goes in this
// node's name, and so do the parts of one that is cut already, all of them: the other node could not tell whose each
// is.
ALWAYS_INLINE int send_wrapped(struct __sk_buff *skb, struct flow *flow, const struct apus_uplink *uplink)
{
	const struct apus_address *source = address_of_uplink(uplink, &flow->packet);
	struct apus_address backend = flow->packet.destination;
	__u16 port = flow->packet.destination_port;
	__u32 mtu = largest_wrapped(skb, &flow->packet);
	enum apus_reason reason;

	if (unlikely(address_is_zero(source)))
		return drop_flow(flow, APUS_REASON_NO_SOURCE, APUS_DIRECTION_INGRESS);
	if (unlikely(mtu || flow->packet.flags & PACKET_FRAGMENT) && !tells_openings(flow->packet.protocol) &&
	    may_be_fragmented(skb, &flow->packet))
		return send_in_own_name(skb, flow, uplink, APUS_DIRECTION_INGRESS);
	if (unlikely(mtu))
		return turn_back_too_big(skb, flow, mtu);
	reason = aim_at_frontend(skb, flow);
	// Its entry may move to another map, and is not read after this.
	follow_alone(flow);
	if (reason || wrap(skb, &flow->packet, source, &backend, port) < 0)
		return drop_flow(flow, APUS_REASON_MALFORMED, APUS_DIRECTION_INGRESS);
	return TCX_NEXT_PROGRAM;
}

// An answer leaves for the client. One whose packets come wrapped is told to send segments that are as much shorter.
ALWAYS_INLINE int answer_client(struct __sk_buff *skb, struct flow *flow)
{
	struct apus_connection *connection = flow->found.connection;

	if (unlikely((flow->packet.tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)) &&
	    connection_side(connection, connection->opener)->flags & APUS_SIDE_UNWRAPPED)
		shorten_segments(skb, &flow->packet, wrap_length(&flow->packet));
	return send_answer(skb, flow);
}
