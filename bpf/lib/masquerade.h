// What pods send to the world leaves in the node's name, as the way back to their own addresses is not known there.
//
// A pod's packet is judged, counted and reported under the pod's address, where it leaves the pod; only its last step
// is here. Its connection remembers the port that it got, and decides by that from then on.
#pragma once

#include "outside.h"

// Where to packets keep a pod's address; the values have no meaning.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_prefix_key);
	__type(value, __u32);
} non_masquerade SEC(".maps");

GLOBAL int is_non_masquerade(const struct apus_address *destination)
{
	struct apus_prefix_key key = {.prefix_length = 128};

	if (!destination)
		return 1;
	__builtin_memcpy(key.address, destination, sizeof(key.address));
	return bpf_map_lookup_elem(&non_masquerade, &key) != NULL;
}

// Whether the packet leaves in the node's name: a pod of this node has opened its connection. One that was answered
// without goes on as it is, whatever has changed since.
ALWAYS_INLINE _Bool is_masqueraded(struct flow *flow, const struct apus_uplink *uplink)
{
	const struct apus_connection *connection = flow->found.connection;

	if (!is_from_opener(&flow->found) || !opener_is_local(connection))
		return 0;
	if (likely(connection->source_port))
		return 1;
	return uplink->flags & APUS_UPLINK_MASQUERADES && connection->flags & APUS_CONNECTION_UNANSWERED &&
	       !is_non_masquerade(&flow->packet.destination);
}

// An end of a packet that an ICMP error quotes, and where it is in the frame.
struct quoted_end {
	__u32 address_offset;
	__u32 port_offset;
};

ALWAYS_INLINE struct quoted_end quoted_end(const struct packet *error, const struct packet *quoted, _Bool destination)
{
	__u32 network = error->l4_offset + ICMP_HEADER;
	__u32 address = error->flags & PACKET_V6 ? (destination ? IPV6_DESTINATION : IPV6_SOURCE)
						 : (destination ? IPV4_DESTINATION : IPV4_SOURCE);

	return (struct quoted_end){network + address - ETH_HLEN, port_offset(quoted, destination)};
}

// Changes the address in the quoted packet. In IPv4 its header's checksum makes up for it; that of ICMPv6 covers it.
ALWAYS_INLINE int rewrite_quoted_address(struct __sk_buff *skb, const struct packet *error, __u32 offset,
					 const struct rewrite *rewrite)
{
	struct apus_address from = rewrite->from, to = rewrite->to;
	__be32 from_v4 = address_v4_bits(&from), to_v4 = address_v4_bits(&to);
	__s64 difference;

	if (!(error->flags & PACKET_V6)) {
		if (bpf_l3_csum_replace(skb, error->l4_offset + ICMP_HEADER + IPV4_CHECKSUM - ETH_HLEN, from_v4, to_v4,
					sizeof(to_v4)) < 0)
			return -1;
		return bpf_skb_store_bytes(skb, offset, &to_v4, sizeof(to_v4), 0);
	}
	difference = bpf_csum_diff((__be32 *)&from, sizeof(from), (__be32 *)&to, sizeof(to), 0);
	if (bpf_l4_csum_replace(skb, error->l4_offset + ICMP_CHECKSUM, 0, difference, 0) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, offset, &to, sizeof(to), 0);
}

// Changes the error's own end.
ALWAYS_INLINE int rewrite_error_end(struct __sk_buff *skb, const struct packet *error, const struct rewrite *rewrite)
{
	__s64 difference;

	if (!(error->flags & PACKET_V6))
		return rewrite_v4(skb, rewrite) < 0 ? -1 : 0;
	difference = rewrite_v6(skb, rewrite);
	if (difference < 0)
		return -1;
	return bpf_l4_csum_replace(skb, error->l4_offset + ICMP_CHECKSUM, 0, difference, BPF_F_PSEUDO_HDR);
}

// Exchanges an end of an ICMP error, unless that is somebody else's (`both` is 0), and the other end of the packet that
// it quotes. The checksum of what is quoted stays as it was: nobody can check it, as mostly not all that it covers is
// there.
GLOBAL int rewrite_error(struct __sk_buff *skb, const struct packet *error, const struct packet *quoted,
			 const struct rewrite *rewrite, __u32 both)
{
	struct quoted_end end;

	if (!error || !quoted || !rewrite)
		return -1;
	end = quoted_end(error, quoted, !rewrite->destination);
	if (rewrite_quoted_address(skb, error, end.address_offset, rewrite) < 0)
		return -1;
	if (bpf_l4_csum_replace(skb, error->l4_offset + ICMP_CHECKSUM, rewrite->from_port, rewrite->to_port, 2) < 0)
		return -1;
	if (bpf_skb_store_bytes(skb, end.port_offset, &rewrite->to_port, 2, 0) < 0)
		return -1;
	return both ? rewrite_error_end(skb, error, rewrite) : 0;
}

// The node's port that the connection of a pod and another end has; 0: it has none, or has ended.
//
// `pod_is_high`: which end has to be the pod.
GLOBAL int port_of_masqueraded(const struct apus_connection_key *key, __u32 pod_is_high, __u64 now)
{
	const struct apus_connection *connection;

	if (!key)
		return 0;
	connection = bpf_map_lookup_elem(&connections, key);
	if (!connection)
		connection = bpf_map_lookup_elem(&half_open, key);
	if (!connection || connection->opener != pod_is_high || !opener_is_local(connection) ||
	    connection_is_expired(connection, key->protocol, now))
		return 0;
	return connection->source_port;
}

// What an ICMP error is about; it would crowd the stack. Nothing else runs on the CPU meanwhile, as tcx programs run
// with bottom halves disabled.
struct error_subject {
	struct packet quoted;
	struct apus_translation_key answer;
	struct apus_connection_key connection;
	struct rewrite rewrite;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct error_subject);
} error_subjects SEC(".maps");

// Parses what an error quotes: a packet of its receiver. NULL when that one can't have a port of the node.
ALWAYS_INLINE struct error_subject *subject_of_error(struct __sk_buff *skb, const struct packet *error)
{
	__u32 first = 0;
	struct error_subject *subject = bpf_map_lookup_elem(&error_subjects, &first);
	struct packet *quoted;

	if (!subject)
		return NULL;
	__builtin_memset(subject, 0, sizeof(*subject));
	quoted = &subject->quoted;
	quoted->end = error->end;
	if (parse_quoted(skb, quoted, error->l4_offset + ICMP_HEADER, error->flags & PACKET_V6) != PARSE_PACKET)
		return NULL;
	if (quoted->flags & PACKET_LATER_FRAGMENT || !address_equal(&quoted->source, &error->destination))
		return NULL;
	return is_translatable(quoted) || is_echo(quoted) ? subject : NULL;
}

// Leads an ICMP error about a packet that has left in the node's name to the pod that has sent it. 1: it was led there.
GLOBAL int lead_error(struct __sk_buff *skb, const struct packet *error, __u64 now)
{
	struct error_subject *subject = error ? subject_of_error(skb, error) : NULL;
	const struct apus_translation *known;
	struct apus_translation_key *key;
	struct rewrite *rewrite;
	_Bool pod_is_high;

	if (!subject)
		return 0;
	key = &subject->answer;
	rewrite = &subject->rewrite;
	answer_key(&subject->quoted, &subject->quoted.source, subject->quoted.source_port, key);
	known = translation_find(key);
	if (!known)
		return 0;
	rewrite->destination = 1;
	rewrite->from = key->frontend;
	rewrite->from_port = key->frontend_port;
	rewrite->to = known->backend;
	rewrite->to_port = known->backend_port;
	pod_is_high = connection_key_of(&rewrite->to, rewrite->to_port, &key->client, key->client_port, key->protocol,
					&subject->connection);
	if (port_of_masqueraded(&subject->connection, pod_is_high, now) != rewrite->from_port)
		return 0;
	return rewrite_error(skb, error, &subject->quoted, rewrite, 1) < 0 ? 0 : 1;
}

// An ICMP error that comes in for no pod of this node. Where it was led to one, the stack brings it there, and its own
// hook judges it by the connection that it is about.
ALWAYS_INLINE int take_in_error(struct __sk_buff *skb, struct flow *flow)
{
	if (lead_error(skb, &flow->packet, flow->now) && claims_local_source(flow))
		return drop_spoofed(flow);
	return TCX_NEXT_PROGRAM;
}

// An ICMP error that leaves, of a pod or of the node: about an answer to what has left in the node's name, it says of
// it what its receiver knows.
GLOBAL int send_error_about(struct __sk_buff *skb, const struct packet *error, const struct apus_address *address,
			    __u64 now)
{
	struct error_subject *subject = error && address ? subject_of_error(skb, error) : NULL;
	struct rewrite *rewrite;
	_Bool pod_is_high;

	if (!subject || address_is_zero(address))
		return 0;
	rewrite = &subject->rewrite;
	pod_is_high = !connection_key(&subject->quoted, &subject->connection);
	rewrite->from = subject->quoted.destination;
	rewrite->from_port = subject->quoted.destination_port;
	rewrite->to = *address;
	rewrite->to_port = port_of_masqueraded(&subject->connection, pod_is_high, now);
	if (!rewrite->to_port)
		return 0;
	// A router in between speaks for itself.
	return rewrite_error(skb, error, &subject->quoted, rewrite, address_equal(&error->source, &rewrite->from));
}

ALWAYS_INLINE int send_error(struct __sk_buff *skb, const struct packet *error, const struct apus_uplink *uplink,
			     __u64 now)
{
	send_error_about(skb, error, address_of_uplink(uplink, error), now);
	return TCX_NEXT_PROGRAM;
}
