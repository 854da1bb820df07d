// Learning from DNS answers, before they are delivered: only from answers to a pod's own question, over a connection
// that it opened to a trusted resolver.
#pragma once

#include "answer.h"
#include "hand_over.h"

// Whether the parsed answer is to a question that was asked over the connection: then that is answered.
ALWAYS_INLINE _Bool answers_question(const struct dns_message *message)
{
	struct apus_question_key *key = question_key_here();
	struct answer_path *path = answer_path_here();
	const struct apus_question *question;
	_Bool fits;

	if (!key || !path)
		return 0;
	key->id = message->answer.id;
	question = bpf_map_lookup_elem(&dns_questions, key);
	if (!question) {
		count_dns(APUS_DNS_COUNT_UNASKED);
		return 0;
	}
	path->asked_ns = question->asked_ns;
	fits = question->hash == question_hash(message);
	if (fits)
		bpf_map_delete_elem(&dns_questions, key);
	else
		count_dns(APUS_DNS_COUNT_MISMATCHED);
	return fits;
}

// Learns from the answer that was parsed in this CPU's memory. Returns whether there was room for all.
GLOBAL int learn_parsed(void)
{
	struct dns_message *message = dns_message_here();
	struct learning *learning = learning_here();
	int outcome;

	if (!message || !learning || !answers_question(message))
		return 1;
	report_answer();
	learning->set = message->answer.address_count ? domain_match(message) : 0;
	if (!learning->set) {
		count_dns(APUS_DNS_COUNT_UNMATCHED);
		return 1;
	}
	learning->name = message->names[0];
	learning->place = learning->missed = learning->claimed = 0;
	outcome = note_name();
	if (outcome == NAME_COLLIDES) {
		count_dns(APUS_DNS_COUNT_COLLIDED);
		return 1;
	}
	if (outcome == NAME_HAS_NO_ROOM) {
		count_dns(APUS_DNS_COUNT_NO_ROOM);
		return 0;
	}
	bpf_loop(APUS_DNS_ADDRESSES_MAX, learn_step, &message, 0);
	let_go_of_name(learning->name, APUS_NAME_LEARNING, learning->claimed);
	count_dns(APUS_DNS_COUNT_LEARNED);
	return !learning->missed;
}

ALWAYS_INLINE __u32 policy_with_names(__u32 policy)
{
	struct apus_policy_page_key key = {.policy = policy};
	const struct apus_policy_page *page = policy ? bpf_map_lookup_elem(&policy_pages, &key) : NULL;

	return page && page->flags & APUS_POLICY_NAMES ? policy : 0;
}

// Finds out for whom an answer is learned: the pod that opened the connection. 0: for nobody.
ALWAYS_INLINE _Bool find_learner(struct learning *learning, struct apus_connection_key *key,
				 const struct packet *packet, __u64 now)
{
	struct found_connection found = connection_find(packet, key);
	const struct apus_connection_side *side;
	const struct apus_endpoint *endpoint;

	if (!found.connection || is_from_opener(&found))
		return 0;
	side = connection_side(found.connection, !found.from_high);
	endpoint = endpoint_at(side->endpoint);
	if (!endpoint || !side_is_current(side, endpoint))
		return 0;
	learning->endpoint = side->endpoint;
	learning->identity = side->identity;
	learning->policies[0] = policy_with_names(endpoint->egress_policy);
	learning->policies[1] = policy_with_names(endpoint->coming_policy);
	learning->now = now;
	if (!learning->policies[0] && !learning->policies[1])
		return 0;
	note_answer_path(found.connection, side);
	if (leads_to_resolver(key, found.connection))
		return 1;
	count_dns(APUS_DNS_COUNT_UNTRUSTED);
	return 0;
}

// Learns from a packet that is about to be delivered to a pod, if it is an answer.
GLOBAL int learn_answer(struct __sk_buff *skb, const struct packet *packet, __u64 now)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();
	__u32 offset;

	if (!packet || !key || !learning || !names_in_force() || !find_learner(learning, &key->connection, packet, now))
		return 0;
	if (packet->flags & PACKET_FRAGMENT) {
		count_dns(APUS_DNS_COUNT_FRAGMENTED);
		return 0;
	}
	offset = dns_payload(skb, packet);
	for (int i = 0; i < DNS_STREAM_MESSAGES && offset && offset < packet->end; i++) {
		__u32 length = dns_message_length(skb, packet, &offset);
		int problem;

		if (!length) {
			count_dns(APUS_DNS_COUNT_SEGMENTED);
			break;
		}
		problem = dns_read(skb, offset, length);
		if (problem)
			count_dns(APUS_DNS_COUNT_UNPARSED);
		if (problem || !learn_parsed())
			hand_over(skb, offset, length, problem);
		offset += length;
	}
	return 0;
}
