// Learning from DNS answers, before they are delivered: only from answers to a pod's own question, over a connection
// that it opened to a trusted resolver.
#pragma once

#include "learn_fragment.h"
#include "learn_stream.h"

// Counts what looks like an answer and teaches nobody; not what has no bytes, as acknowledgements have not.
ALWAYS_INLINE void count_stranger(struct __sk_buff *skb, const struct packet *packet, __u32 counter)
{
	__u32 first = packet->flags & PACKET_FRAGMENT ? 0 : dns_payload(skb, packet);

	if (first < packet->end)
		count_dns(counter);
}

// Finds out for whom an answer is learned: the pod that opened the connection. 0: for nobody. What the other end sends
// over a connection that it opened is an answer only in its own words: from the port of resolvers.
ALWAYS_INLINE _Bool find_learner(struct __sk_buff *skb, struct learning *learning, struct apus_connection_key *key,
				 const struct packet *packet, __u64 now)
{
	struct found_connection found = connection_find(packet, key);
	const struct apus_connection_side *side;
	const struct apus_endpoint *endpoint;

	if (!found.connection || (is_from_opener(&found) && packet->source_port != DNS_PORT))
		return 0;
	side = connection_side(found.connection, !found.from_high);
	endpoint = endpoint_at(side->endpoint);
	if (!endpoint || !side_is_current(side, endpoint))
		return 0;
	learning->endpoint = side->endpoint;
	learning->identity = side->identity;
	learning->policies[0] = policy_with_names(endpoint_in(endpoint, current_epoch())->egress_policy);
	learning->policies[1] = policy_with_names(endpoint->coming_policy);
	if (learning->policies[1] == learning->policies[0])
		learning->policies[1] = 0;
	learning->now = now;
	learning->stream.opened_ns = found.connection->opened_ns;
	if (!learning->policies[0] && !learning->policies[1])
		return 0;
	if (is_from_opener(&found)) {
		count_stranger(skb, packet, APUS_DNS_COUNT_UNSOLICITED);
		return 0;
	}
	if (leads_to_resolver(key, found.connection))
		return 1;
	count_stranger(skb, packet, APUS_DNS_COUNT_UNTRUSTED);
	return 0;
}

enum answer_form {
	ANSWER_NONE,
	ANSWER_MESSAGE,
	ANSWER_SEGMENT,
	ANSWER_FRAGMENT,
};

// Finds the bytes that may be an answer to a question of the pod that the packet is about to be delivered to.
GLOBAL int find_answer(struct __sk_buff *skb, const struct packet *packet, __u64 now)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();

	if (!packet || !key || !learning || !find_learner(skb, learning, &key->connection, packet, now))
		return ANSWER_NONE;
	if (packet->flags & PACKET_FRAGMENT)
		return ANSWER_FRAGMENT;
	learning->first = dns_payload(skb, packet);
	learning->end = packet->end;
	if (packet->protocol == IPPROTO_UDP)
		return learning->first < learning->end ? ANSWER_MESSAGE : ANSWER_NONE;
	if (!learning->first || bpf_skb_load_bytes(skb, packet->l4_offset + TCP_SEQUENCE_OFFSET, &learning->sequence,
						   sizeof(learning->sequence)) < 0)
		return ANSWER_NONE;
	if (packet->tcp_flags & TCP_SYN) { // the stream begins behind it
		learning->stream.state = learning->stream.late_length = 0;
		note_stream(bpf_ntohl(learning->sequence) + 1, 0);
		return ANSWER_NONE;
	}
	return learning->first < learning->end ? ANSWER_SEGMENT : ANSWER_NONE;
}

// Learns from a packet that is about to be delivered to a pod, if it is an answer. Inlined, as those who learn need
// most of the stack.
ALWAYS_INLINE void learn_answer(struct __sk_buff *skb, const struct packet *packet, __u64 now)
{
	// Asked for here already, as most nodes have no names: then an answer costs this one look-up.
	int form = names_in_force() ? find_answer(skb, packet, now) : ANSWER_NONE;

	if (form == ANSWER_MESSAGE)
		learn_datagrams(skb);
	else if (form == ANSWER_SEGMENT)
		learn_segment(skb);
	else if (form == ANSWER_FRAGMENT)
		learn_fragment(skb, packet);
}
