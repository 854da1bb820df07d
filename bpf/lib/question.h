// Questions to resolvers: which are trusted, and where it is kept what pods asked them.
#pragma once

#include "connection.h"
#include "dns.h"
#include "parse_l4.h"
#include "policy.h"

// Addresses whose answers teach names; the value is of enum apus_resolver_trust.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_prefix_key);
	__type(value, __u32);
} dns_resolvers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct apus_question_key);
	__type(value, struct apus_question);
} dns_questions SEC(".maps");

// Which questions each pod asked last, so that one pod can't push out those of all others.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_pod_question_key);
	__type(value, struct apus_pod_question);
} pod_questions SEC(".maps");

// How many questions each pod has asked.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} pod_question_counts SEC(".maps");

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
	DNS_STREAM_LENGTH = 2, // bytes before each message (RFC 1035 §4.2.2)
};

ALWAYS_INLINE void count_dns(__u32 index)
{
	__u64 *counter = bpf_map_lookup_elem(&dns_counters, &index);

	if (counter)
		(*counter)++;
}

// enum apus_resolver_trust of an address.
ALWAYS_INLINE __u32 resolver_trust(const struct apus_address *address)
{
	struct apus_prefix_key key = {.prefix_length = 128};
	const __u32 *found;

	__builtin_memcpy(key.address, address, sizeof(key.address));
	found = bpf_map_lookup_elem(&dns_resolvers, &key);
	return found ? *found : 0;
}

// The policy, if rules of it have names; 0 otherwise.
ALWAYS_INLINE __u32 policy_with_names(__u32 policy)
{
	struct apus_policy_page_key key = {.policy = policy};
	const struct apus_policy_page *page = policy ? bpf_map_lookup_elem(&policy_pages, &key) : NULL;

	return page && page->flags & APUS_POLICY_NAMES ? policy : 0;
}

// Whether the connection leads to a resolver that the node trusts, by its own address or by that of its Service. Of a
// Service only the cluster's own resolvers' count: whoever may give one an external IP could name any other address.
// And it has to lead there still: a socket stays with a backend that is gone, whose address may be another pod's by
// now.
ALWAYS_INLINE _Bool leads_to_resolver(const struct apus_connection_key *key, const struct apus_connection *connection)
{
	__u16 port = connection->opener ? key->low_port : key->high_port;
	__u32 trust = resolver_trust(connection->opener ? &key->low : &key->high);

	if (port == DNS_PORT && trust & APUS_RESOLVER_PEER)
		return 1;
	return trust & (APUS_RESOLVER_PEER | APUS_RESOLVER_BACKEND) && connection->frontend_port == DNS_PORT &&
	       resolver_trust(&connection->frontend) & APUS_RESOLVER_FRONTEND;
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

ALWAYS_INLINE __u64 question_hash(const struct dns_message *message)
{
	return message->names[0] ^ message->answer.type * 0x9e3779b97f4a7c15;
}

ALWAYS_INLINE struct apus_question_key *question_key_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&question_key, &first);
}
