// What pods ask trusted resolvers, noted as it passes.
#pragma once

#include "answer.h"

// A question that is being put together: see question_key.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct apus_question);
} new_question SEC(".maps");

// The question that is noted now, for its place in the ring, and the one that it takes the place of.
struct pod_question_places {
	struct apus_pod_question noted;
	struct apus_pod_question former;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pod_question_places);
} pod_question_places SEC(".maps");

enum {
	DNS_QUESTIONS = 8, // that are looked for in one TCP segment
};

ALWAYS_INLINE struct apus_question *new_question_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&new_question, &first);
}

// The length of the message at `*offset`, which is moved behind what TCP puts before it. 0: there is none, or not all
// of it.
ALWAYS_INLINE __u32 dns_message_length(struct __sk_buff *skb, const struct packet *packet, __u32 *offset)
{
	__be16 length;

	if (*offset >= packet->end)
		return 0;
	if (packet->protocol == IPPROTO_UDP)
		return packet->end - *offset;
	if (bpf_skb_load_bytes(skb, *offset, &length, sizeof(length)) < 0)
		return 0;
	*offset += DNS_STREAM_LENGTH;
	return *offset + bpf_ntohs(length) <= packet->end ? bpf_ntohs(length) : 0;
}

// Whether answers teach the pod that opened the connection anything. Others' questions wait for nothing: they would
// only take the room of those that do, and be told as unanswered, as nobody reads their answers.
ALWAYS_INLINE _Bool opener_has_names(struct apus_connection *connection)
{
	const struct apus_connection_side *side = connection_side(connection, connection->opener);
	const struct apus_endpoint *endpoint = endpoint_at(side->endpoint);

	return endpoint && (policy_with_names(endpoint_in(endpoint, current_epoch())->egress_policy) ||
			    policy_with_names(endpoint->coming_policy));
}

// Says who asks, and through what.
ALWAYS_INLINE void question_set_path(struct apus_question *question, struct apus_connection *connection)
{
	const struct apus_connection_side *side = connection_side(connection, connection->opener);

	question->frontend = connection->frontend;
	question->frontend_port = connection->frontend_port;
	question->opener = connection->opener;
	question->endpoint = side->endpoint;
	question->identity = side->identity;
	question->policy = side->policy;
	question->rule = side->rule;
}

// Parses the question that lies in this CPU's memory. Returns whether it is one: of operation 0, about one name.
ALWAYS_INLINE _Bool parse_question(struct dns_message *message, struct apus_question *question)
{
	__u32 place;

	message->name_count = message->known_place = 0;
	if (dns_short(message, 2) & 0xf800 || dns_short(message, 4) != 1)
		return 0;
	if (!dns_walk_name(DNS_HEADER_BYTES, message->length))
		return 0;
	place = message->walk.after;
	if (place + 4 > message->length || dns_short(message, place + 2) != DNS_CLASS_INTERNET)
		return 0;
	message->answer.type = dns_short(message, place);
	message->names[0] = message->walk.hash;
	question->hash = question_hash(message);
	question->type = message->answer.type;
	question->name_length = message->walk.text ? message->walk.text - 1 : 0;
	__builtin_memcpy(question->name, message->name, sizeof(question->name));
	return 1;
}

// The place of a pod's next question in its ring.
ALWAYS_INLINE __u32 next_place(__u32 endpoint)
{
	__u32 none = 0, *count = bpf_map_lookup_elem(&pod_question_counts, &endpoint);

	if (!count) {
		bpf_map_update_elem(&pod_question_counts, &endpoint, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&pod_question_counts, &endpoint);
	}
	return count ? __sync_fetch_and_add(count, 1) % APUS_QUESTIONS_OF_POD : 0;
}

// Forgets the question that has the place, unless it is answered or was asked again since.
GLOBAL int forget_question(void)
{
	__u32 first = 0;
	const struct pod_question_places *places = bpf_map_lookup_elem(&pod_question_places, &first);
	const struct apus_question *question;

	if (!places)
		return 0;
	question = bpf_map_lookup_elem(&dns_questions, &places->former.key);
	if (!question || question->asked_ns != places->former.asked_ns)
		return 0;
	bpf_map_delete_elem(&dns_questions, &places->former.key);
	count_dns(APUS_DNS_COUNT_FORGOTTEN);
	return 0;
}

// Gives the question a place among those of its pod, where the oldest one goes.
GLOBAL int place_question(const struct apus_question_key *key, const struct apus_question *question)
{
	__u32 first = 0;
	struct pod_question_places *places = bpf_map_lookup_elem(&pod_question_places, &first);
	struct apus_pod_question_key place = {};
	struct apus_pod_question *former;

	if (!places || !key || !question)
		return 0;
	place.endpoint = question->endpoint;
	place.place = next_place(question->endpoint);
	places->noted.key = *key;
	places->noted.asked_ns = question->asked_ns;
	former = bpf_map_lookup_elem(&pod_questions, &place);
	if (!former)
		return bpf_map_update_elem(&pod_questions, &place, &places->noted, BPF_ANY);
	places->former = *former;
	*former = places->noted;
	forget_question();
	return 0;
}

// Notes the question that lies in this CPU's memory for the connection of the key there. One that is asked again under
// its id waits anew; one that is not, and has no answer yet, gets none any more. Returns whether it is one.
GLOBAL int note_message(void)
{
	struct apus_question_key *key = question_key_here();
	struct apus_question *question = new_question_here();
	struct dns_message *message = dns_message_here();
	const struct apus_question *known;

	if (!message || !key || !question || !parse_question(message, question))
		return 0;
	// Exact: an answer may come before the coarse clock moves on.
	question->asked_ns = bpf_ktime_get_ns();
	key->id = dns_short(message, 0);
	known = bpf_map_lookup_elem(&dns_questions, key);
	if (known && known->hash != question->hash) {
		count_dns(APUS_DNS_COUNT_REPLACED);
		report_unanswered(known);
	}
	bpf_map_update_elem(&dns_questions, key, question, BPF_ANY);
	place_question(key, question);
	count_dns(APUS_DNS_COUNT_QUESTIONS);
	return 1;
}

// Notes the questions of a packet from `offset` on. The pod decides what it asks, so where they begin may be guessed:
// many clients send the length of a question before it, in a segment of its own.
ALWAYS_INLINE void note_messages(struct __sk_buff *skb, const struct packet *packet, struct dns_message *message,
				 __u32 offset)
{
	__u32 first = offset;
	int noted = 0;

	for (int i = 0; i < DNS_QUESTIONS && offset; i++) {
		__u32 length = dns_message_length(skb, packet, &offset);

		if (!length || !dns_load(skb, message, offset, length))
			break;
		noted += note_message();
		offset += length;
	}
	if (packet->protocol == IPPROTO_UDP || first + DNS_STREAM_LENGTH >= packet->end)
		return;
	if (!noted && dns_load(skb, message, first, packet->end - first))
		noted = note_message();
	else if (offset < packet->end)
		noted = 0;
	if (!noted)
		count_dns(APUS_DNS_COUNT_UNNOTED);
}

// Notes what a pod whose policies have names asks a trusted resolver.
GLOBAL int note_question(struct __sk_buff *skb, const struct packet *packet)
{
	struct apus_question_key *key = question_key_here();
	struct apus_question *question = new_question_here();
	struct dns_message *message = dns_message_here();
	struct found_connection found;
	__u32 offset;

	if (!packet || packet->flags & PACKET_FRAGMENT || !key || !question || !message)
		return 0;
	found = connection_find(packet, &key->connection);
	if (!found.connection || !is_from_opener(&found) || !opener_has_names(found.connection) ||
	    !leads_to_resolver(&key->connection, found.connection))
		return 0;
	question_set_path(question, found.connection);
	offset = dns_payload(skb, packet);
	if (offset)
		note_messages(skb, packet, message, offset);
	return 0;
}
