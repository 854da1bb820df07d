// Questions to resolvers: which are trusted, and what pods asked them.
#pragma once

#include "connection.h"
#include "dns.h"
#include "parse_l4.h"

// Addresses whose answers teach names; the value says nothing.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_prefix_key);
	__type(value, __u32);
} dns_resolvers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct apus_question_key);
	__type(value, struct apus_question);
} dns_questions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, APUS_DNS_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} dns_counters SEC(".maps");

// The key of a question: the stack of those who handle one is short. Nothing else runs on the CPU meanwhile, as tcx
// programs run with bottom halves disabled.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct apus_question_key);
} question_key SEC(".maps");

enum {
	DNS_PORT = bpf_htons(53),
	DNS_QUESTIONS = 4, // that are looked for in one TCP segment
	DNS_STREAM_LENGTH = 2, // bytes before each message (RFC 1035 §4.2.2)
};

ALWAYS_INLINE void count_dns(__u32 index)
{
	__u64 *counter = bpf_map_lookup_elem(&dns_counters, &index);

	if (counter)
		(*counter)++;
}

ALWAYS_INLINE _Bool is_resolver(const struct apus_address *address)
{
	struct apus_prefix_key key = {.prefix_length = 128};

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&dns_resolvers, &key) != NULL;
}

// Whether the connection leads to a resolver that the node trusts, by its own address or by that of its Service.
ALWAYS_INLINE _Bool leads_to_resolver(const struct apus_connection_key *key, const struct apus_connection *connection)
{
	__u16 port = connection->opener ? key->low_port : key->high_port;

	if (port == DNS_PORT && is_resolver(connection->opener ? &key->low : &key->high))
		return 1;
	return connection->frontend_port == DNS_PORT && is_resolver(&connection->frontend);
}

// Where the messages of a packet begin, 0: nowhere.
ALWAYS_INLINE __u32 dns_payload(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 length;

	if (packet->protocol == IPPROTO_UDP)
		return packet->l4_offset + UDP_HEADER;
	if (packet->protocol != IPPROTO_TCP || bpf_skb_load_bytes(skb, packet->l4_offset + 12, &length, 1) < 0)
		return 0;
	return packet->l4_offset + (length >> 4) * 4;
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

ALWAYS_INLINE __u64 question_hash(const struct dns_message *message)
{
	return message->names[0] ^ message->answer.type * 0x9e3779b97f4a7c15;
}

ALWAYS_INLINE struct apus_question_key *question_key_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&question_key, &first);
}

// Parses the question that lies in this CPU's memory, and notes it for the connection of the key there.
GLOBAL int note_message(void)
{
	struct apus_question_key *key = question_key_here();
	struct dns_message *message = dns_message_here();
	// Exact: an answer may come before the coarse clock moves on.
	struct apus_question question = {.asked_ns = bpf_ktime_get_ns()};
	__u32 place;

	if (!message || !key)
		return 0;
	message->name_count = message->known_place = 0;
	// A question, of operation 0, about one name.
	if (dns_short(message, 2) & 0xf800 || dns_short(message, 4) != 1)
		return 0;
	if (!dns_walk_name(DNS_HEADER_BYTES, message->length))
		return 0;
	place = message->walk.after;
	if (place + 4 > message->length || dns_short(message, place + 2) != DNS_CLASS_INTERNET)
		return 0;
	message->answer.type = dns_short(message, place);
	message->names[0] = message->walk.hash;
	key->id = dns_short(message, 0);
	question.hash = question_hash(message);
	bpf_map_update_elem(&dns_questions, key, &question, BPF_ANY);
	count_dns(APUS_DNS_COUNT_QUESTIONS);
	return 0;
}

// Notes what a pod asks a trusted resolver.
GLOBAL int note_question(struct __sk_buff *skb, const struct packet *packet)
{
	struct apus_question_key *key = question_key_here();
	struct dns_message *message = dns_message_here();
	struct found_connection found;
	__u32 offset;

	if (!packet || packet->flags & PACKET_FRAGMENT || !key || !message)
		return 0;
	found = connection_find(packet, &key->connection);
	if (!found.connection || !is_from_opener(&found) || !leads_to_resolver(&key->connection, found.connection))
		return 0;
	offset = dns_payload(skb, packet);
	for (int i = 0; i < DNS_QUESTIONS && offset; i++) {
		__u32 length = dns_message_length(skb, packet, &offset);

		if (!length || !dns_load(skb, message, offset, length))
			break;
		note_message();
		offset += length;
	}
	return 0;
}
