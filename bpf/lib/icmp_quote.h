// The packet that an ICMP error quotes: its receiver has sent it. Reading it, and exchanging its ends.
#pragma once

#include "parse.h"
#include "rewrite.h"

// What an ICMP error is about; it would crowd the stack. Nothing else runs on the CPU meanwhile, as tcx programs run
// with bottom halves disabled.
struct error_subject {
	struct packet quoted;
	struct apus_translation_key name; // that an end goes by
	struct apus_connection_key connection;
	struct rewrite rewrite; // of an end of the error
	__u16 other_port; // that the other end of the quoted packet goes by, network byte order; 0: the one that it has
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct error_subject);
} error_subjects SEC(".maps");

// Parses what an error quotes. NULL when that is no packet of the error's receiver.
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
	return address_equal(&quoted->source, &error->destination) ? subject : NULL;
}

// An end of the quoted packet, and where it is in the frame.
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

// Changes the error's own end, whoever it is.
ALWAYS_INLINE int rewrite_error_end(struct __sk_buff *skb, const struct packet *error, const struct rewrite *rewrite)
{
	struct rewrite end = {.to = rewrite->to, .destination = rewrite->destination};
	__s64 difference;

	end.from = end.destination ? error->destination : error->source;
	if (!(error->flags & PACKET_V6))
		return rewrite_v4(skb, &end) < 0 ? -1 : 0;
	difference = rewrite_v6(skb, &end);
	if (difference < 0)
		return -1;
	return bpf_l4_csum_replace(skb, error->l4_offset + ICMP_CHECKSUM, 0, difference, BPF_F_PSEUDO_HDR);
}

ALWAYS_INLINE int rewrite_quoted_port(struct __sk_buff *skb, const struct packet *error, __u32 offset, __u16 from,
				      __u16 to)
{
	if (bpf_l4_csum_replace(skb, error->l4_offset + ICMP_CHECKSUM, from, to, 2) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, offset, &to, sizeof(to), 0);
}

// Gives the end of the quoted packet that keeps its address the port that it goes by.
ALWAYS_INLINE int rewrite_other_port(struct __sk_buff *skb, const struct packet *error,
				     const struct error_subject *subject)
{
	_Bool destination = subject->rewrite.destination;
	__u16 from = destination ? subject->quoted.destination_port : subject->quoted.source_port;

	if (likely(!subject->other_port || subject->other_port == from))
		return 0;
	return rewrite_quoted_port(skb, error, quoted_end(error, &subject->quoted, destination).port_offset, from,
				   subject->other_port);
}

// Exchanges an end of an ICMP error, unless that stays (`both` is 0), and the other end of the packet that it quotes.
// The checksum of what is quoted stays as it was: nobody can check it, as mostly not all that it covers is there.
GLOBAL int rewrite_error(struct __sk_buff *skb, const struct packet *error, const struct error_subject *subject,
			 __u32 both)
{
	const struct rewrite *rewrite;
	struct quoted_end end;

	if (!error || !subject)
		return -1;
	rewrite = &subject->rewrite;
	end = quoted_end(error, &subject->quoted, !rewrite->destination);
	if (rewrite_quoted_address(skb, error, end.address_offset, rewrite) < 0)
		return -1;
	if (rewrite_quoted_port(skb, error, end.port_offset, rewrite->from_port, rewrite->to_port) < 0)
		return -1;
	if (rewrite_other_port(skb, error, subject) < 0)
		return -1;
	return both ? rewrite_error_end(skb, error, rewrite) : 0;
}
