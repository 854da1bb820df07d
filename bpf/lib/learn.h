// Learning from DNS answers, before they are delivered: only from answers to a pod's own question, over a connection
// that it opened to a trusted resolver.
#pragma once

#include "answer.h"
#include "policy.h"

// Answers for the agent.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} dns_messages SEC(".maps");

// What is being learned. Nothing else runs on the CPU meanwhile, as tcx programs run with bottom halves disabled.
struct learning {
	__u32 endpoint;
	__u32 identity;
	__u32 policies[2]; // that it is learned for, 0: none
	__u64 now;
	__u64 name; // hash
	__u32 set;
	__u32 place; // of the next address
	__u32 missed; // addresses for which there was no room
	struct apus_learned_address fresh;
	struct apus_learned_name text;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct learning);
} learning SEC(".maps");

ALWAYS_INLINE struct learning *learning_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&learning, &first);
}

// Gives a message to the agent.
GLOBAL int hand_over(struct __sk_buff *skb, __u32 offset, __u32 length, __u32 problem)
{
	struct apus_question_key *key = question_key_here();
	struct learning *learning = learning_here();
	struct apus_handed_over *record;

	if (!learning || !key)
		return 0;
	barrier_var(length);
	if (!length || length > APUS_HANDED_OVER_MAX) {
		count_dns(APUS_DNS_COUNT_LOST);
		return 0;
	}
	record = bpf_ringbuf_reserve(&dns_messages, sizeof(*record), 0);
	if (!record) {
		count_dns(APUS_DNS_COUNT_LOST);
		return 0;
	}
	record->time_ns = bpf_ktime_get_ns();
	record->connection = key->connection;
	record->endpoint = learning->endpoint;
	record->identity = learning->identity;
	record->length = length;
	record->problem = problem;
	if (bpf_skb_load_bytes(skb, offset, record->message, length) < 0) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		count_dns(APUS_DNS_COUNT_LOST);
		return 0;
	}
	count_dns(APUS_DNS_COUNT_HANDED_OVER);
	// The agent looks at a timer; nobody waits for the ring.
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

ALWAYS_INLINE _Bool is_same_text(const struct apus_learned_name *left, const struct apus_learned_name *right)
{
	__u64 different = left->length ^ right->length;

#pragma clang loop unroll(disable)
	for (__u32 place = 0; place < APUS_DNS_NAME_MAX; place += 8)
		different |= *(const __u64 *)&left->text[place] ^ *(const __u64 *)&right->text[place];
	return !different;
}

// Copies the name in question, padded with zero bytes.
static long copy_name_step(__attribute__((unused)) __u64 index, void *context)
{
	struct dns_message *message = *(struct dns_message **)context;
	struct learning *learning = learning_here();
	__u32 place = message->place++;

	if (!learning || place >= APUS_DNS_NAME_MAX)
		return 1;
	barrier_var(place);
	learning->text.text[place & (APUS_DNS_NAME_MAX - 1)] =
		place < message->answer.name_length ? message->name[place & (APUS_DNS_NAME_MAX - 1)] : 0;
	return 0;
}

enum name_outcome {
	NAME_NOTED,
	NAME_COLLIDES, // another one has its hash
	NAME_HAS_NO_ROOM,
};

// Makes sure that the name in question is held with the patterns that match it.
GLOBAL int note_name(void)
{
	struct dns_message *message = dns_message_here();
	struct learning *learning = learning_here();
	struct apus_learned_name *known;

	if (!message || !learning)
		return NAME_HAS_NO_ROOM;
	learning->text.seen_ns = learning->now;
	learning->text.set = learning->set;
	learning->text.length = message->answer.name_length;
	message->place = 0;
	bpf_loop(APUS_DNS_NAME_MAX, copy_name_step, &message, 0);
	known = bpf_map_lookup_elem(&learned_names, &learning->name);
	if (!known) {
		long failed = bpf_map_update_elem(&learned_names, &learning->name, &learning->text, BPF_NOEXIST);

		if (!failed)
			return NAME_NOTED;
		known = bpf_map_lookup_elem(&learned_names, &learning->name);
		if (!known)
			return NAME_HAS_NO_ROOM;
	}
	if (!is_same_text(known, &learning->text))
		return NAME_COLLIDES;
	known->seen_ns = learning->now;
	known->set = learning->set;
	return NAME_NOTED;
}

// Takes a use over for the name. Its end comes after its name: until then it does not count. Returns whether another
// CPU was not there first.
ALWAYS_INLINE _Bool claim_use(struct apus_learned_use *use, __u64 old, __u64 name, __u64 end)
{
	if (__sync_val_compare_and_swap(&use->name, old, name) != old)
		return 0;
	*(volatile __u64 *)&use->end_ns = end;
	return 1;
}

// Whether a name may take the place of another: of none, of one that has ended, of one of the same patterns that ends
// before. In this order, as what has ended may still be what a live connection was admitted by.
ALWAYS_INLINE _Bool may_replace(const struct apus_learned_use *use, __u32 round, const struct learning *learning,
				__u64 end)
{
	if (!use->name)
		return 1;
	if (round == 1)
		return use->end_ns <= learning->now;
	return round == 2 && use->end_ns < end && learned_set(use, 0) == learning->set;
}

enum {
	USE_ROUNDS = 3,
};

// Adds the name to an address, or renews it. Returns whether there was room.
GLOBAL int renew_address(struct apus_learned_address *address, __u64 end)
{
	struct learning *learning = learning_here();

	if (!address || !learning)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 index = 0; index < APUS_LEARNED_NAMES; index++) {
		if (address->uses[index].name != learning->name)
			continue;
		if (address->uses[index].end_ns < end)
			address->uses[index].end_ns = end;
		return 1;
	}
#pragma clang loop unroll(disable)
	for (__u32 place = 0; place < USE_ROUNDS * APUS_LEARNED_NAMES; place++) {
		struct apus_learned_use *use = &address->uses[place % APUS_LEARNED_NAMES];

		if (may_replace(use, place / APUS_LEARNED_NAMES, learning, end) &&
		    claim_use(use, use->name, learning->name, end))
			return 1;
	}
	return 0;
}

// Learns an address for one policy. Returns whether there was room.
ALWAYS_INLINE _Bool learn_for(struct learning *learning, __u32 policy, const struct apus_address *address, __u64 end)
{
	struct apus_learned_key key = {.address = *address, .policy = policy};
	struct apus_learned_address *known = bpf_map_lookup_elem(&learned_addresses, &key);

	if (!known) {
		learning->fresh.uses[0].name = learning->name;
		learning->fresh.uses[0].end_ns = end;
		learning->fresh.used_ns = learning->now;
		if (!bpf_map_update_elem(&learned_addresses, &key, &learning->fresh, BPF_NOEXIST))
			return 1;
		known = bpf_map_lookup_elem(&learned_addresses, &key);
		if (!known) {
			count_dns(APUS_DNS_COUNT_NO_ROOM);
			return 0;
		}
	}
	if (renew_address(known, end))
		return 1;
	count_dns(APUS_DNS_COUNT_CROWDED);
	return 1; // the agent could do no more about it
}

static long learn_step(__attribute__((unused)) __u64 index, void *context)
{
	struct dns_message *message = *(struct dns_message **)context;
	struct learning *learning = learning_here();
	const struct apus_dns_address *address;
	__u64 end;
	__u32 place;

	if (!learning)
		return 1;
	place = learning->place++;
	if (place >= message->answer.address_count)
		return 1;
	barrier_var(place);
	address = &message->addresses[place & (APUS_DNS_ADDRESSES_MAX - 1)];
	end = (__u64)address->lifetime * 1000000000;
	if (end < config.name_minimum_ns)
		end = config.name_minimum_ns;
	end += learning->now + config.name_grace_ns;
	for (__u32 number = 0; number < 2; number++) {
		__u32 policy = learning->policies[number];

		if (policy && !learn_for(learning, policy, &address->address, end))
			learning->missed++;
	}
	count_dns(APUS_DNS_COUNT_ADDRESSES);
	return 0;
}

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
	learning->place = learning->missed = 0;
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
