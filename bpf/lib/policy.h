// Network policy: the first matching bit (docs/policy.md).
#pragma once

#include "epoch.h"
#include "learned.h"
#include "packet.h"
#include "verdict.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_address);
	__type(value, struct apus_peer);
} peer_classes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_prefix_key);
	__type(value, struct apus_prefix_peer);
} peer_prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_policy_page_key);
	__type(value, struct apus_policy_page);
} policy_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_policy_ports_key);
	__type(value, struct apus_policy_bits);
} policy_single_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct apus_policy_ports_key);
	__type(value, struct apus_policy_bits);
} policy_ports SEC(".maps");

struct peer {
	__u32 class_id;
	__u32 flags; // enum apus_peer_flag
};

// Looks twice where there seems to be none, as service_find: an entry may be on its way to its next epoch.
ALWAYS_INLINE const struct apus_peer *exact_peer(const struct apus_address *address)
{
	const struct apus_peer *found = bpf_map_lookup_elem(&peer_classes, address);

	return found ? found : bpf_map_lookup_elem(&peer_classes, address);
}

// What an address is in an epoch.
ALWAYS_INLINE struct peer peer_of(const struct apus_address *address, __u8 epoch)
{
	const struct apus_peer *exact = exact_peer(address);
	struct apus_prefix_key key = {.prefix_length = 128};
	const struct apus_prefix_peer *prefix;

	epoch &= APUS_EPOCHS - 1;
	if (exact && likely(!(exact->epochs[epoch].flags & APUS_PEER_ABSENT)))
		return (struct peer){.class_id = exact->epochs[epoch].class_id, .flags = exact->epochs[epoch].flags};
	__builtin_memcpy(key.address, address, sizeof(key.address));
	prefix = bpf_map_lookup_elem(&peer_prefixes, &key);
	return (struct peer){.class_id = prefix ? prefix->classes[epoch] : 0};
}

// Whether the address is on an interface of this node in an epoch: none that only a prefix matches is. What translates
// addresses before the node, and lets it have one that it knows nothing of, may answer from that.
ALWAYS_INLINE _Bool is_address_of_node(const struct apus_address *address, __u8 epoch)
{
	const struct apus_peer *exact = exact_peer(address);

	return exact && (exact->epochs[epoch & (APUS_EPOCHS - 1)].flags &
			 (APUS_PEER_LOCAL_NODE | APUS_PEER_ELSEWHERE)) == APUS_PEER_LOCAL_NODE;
}

ALWAYS_INLINE const struct apus_policy_page *page_of(const struct judgement *judgement, __u32 page)
{
	struct apus_policy_page_key key = {.policy = judgement->verdict.policy, .page = page};

	return bpf_map_lookup_elem(&policy_pages, &key);
}

ALWAYS_INLINE const struct apus_policy_bits *bits_of_peer(const struct judgement *judgement, __u32 page)
{
	return bits_of_class(judgement->verdict.policy, judgement->class_id, page);
}

ALWAYS_INLINE const struct apus_policy_bits *bits_of_port(const struct judgement *judgement, __u32 page)
{
	struct apus_policy_ports_key key = {
		.prefix_length = APUS_POLICY_PORTS_FIXED_BITS + 16,
		.policy = judgement->verdict.policy,
		.page = page,
		.protocol = judgement->protocol,
		.port = judgement->port,
	};
	// Most rules name single ports, and a walk through a trie of many takes as long as all else that judging does.
	const struct apus_policy_bits *single = bpf_map_lookup_elem(&policy_single_ports, &key);

	return single ? single : bpf_map_lookup_elem(&policy_ports, &key);
}

ALWAYS_INLINE void decide(struct judgement *judgement, __u32 reason, __u32 rule)
{
	judgement->decided = 1;
	judgement->verdict.reason = reason;
	judgement->verdict.rule = rule;
}

ALWAYS_INLINE _Bool isolates(const struct judgement *judgement)
{
	_Static_assert(APUS_POLICY_AUDITS_REST == 2 * APUS_POLICY_ISOLATES, "flags follow each other");
	return judgement->policy_flags & (APUS_POLICY_ISOLATES | judgement->enforces << 1);
}

// One word of 64 rules, all tiers. No branch for audit mode: the verifier follows each of them through all pages.
ALWAYS_INLINE void judge_word(struct judgement *judgement, const struct apus_policy_page *page, __u64 hits, __u32 word,
			      __u32 first_rule)
{
	__u64 deny = page->deny.words[word];
	// Rules in audit mode, unless they count: 0 - 1 sets every bit.
	__u64 spared = deny & page->pass.words[word] & ((__u64)judgement->enforces - 1);
	__u64 admin = judgement->passed ? 0 : hits & page->admin.words[word] & ~spared;
	__u64 allow = hits & page->network_policy.words[word];
	__u64 baseline = isolates(judgement) ? 0 : hits & page->baseline.words[word] & ~spared;

	if (admin) {
		__u64 bit = admin & -admin;

		if (page->pass.words[word] & ~deny & bit) {
			judgement->passed = 1;
		} else {
			decide(judgement, deny & bit ? APUS_REASON_POLICY_DENIED : APUS_REASON_NONE,
			       first_rule + first_bit(bit));
			return;
		}
	}
	if (allow) {
		decide(judgement, APUS_REASON_NONE, first_rule + first_bit(allow));
		return;
	}
	if (baseline) {
		__u64 bit = baseline & -baseline;

		decide(judgement, deny & bit ? APUS_REASON_POLICY_DENIED : APUS_REASON_NONE,
		       first_rule + first_bit(bit));
	}
}

ALWAYS_INLINE __u64 hits_of_word(const struct apus_policy_page *page, const struct apus_policy_bits *peers,
				 const struct apus_policy_bits *ports, __u32 word)
{
	__u64 peer_bits = page->any_peer.words[word] | (peers ? peers->bits.words[word] : 0);
	__u64 port_bits = page->any_port.words[word] | (ports ? ports->bits.words[word] : 0);

	return peer_bits & port_bits;
}

// Judges the page whose bit is `mask`; `page` is the first one of the policy. 0: something is missing.
GLOBAL int judge_page(struct judgement *judgement, const struct apus_policy_page *page,
		      const struct apus_policy_bits *peers, const struct apus_policy_bits *ports, __u64 mask)
{
	__u32 number = first_bit(mask);

	if (!judgement)
		return 0;
	if (number)
		page = page_of(judgement, number);
	if (!page)
		return 0;
	if (is_further_page(peers, mask)) {
		peers = bits_of_peer(judgement, number);
		if (!peers)
			return 0;
	} else if (!(pages_of(peers) & mask)) {
		peers = NULL;
	}
	if (is_further_page(ports, mask)) {
		ports = bits_of_port(judgement, number);
		if (!ports)
			return 0;
	} else if (!(pages_of(ports) & mask)) {
		ports = NULL;
	}
#pragma unroll
	for (__u32 word = 0; word < APUS_POLICY_PAGE_WORDS; word++) {
		if (!judgement->decided)
			judge_word(judgement, page, hits_of_word(page, peers, ports, word), word,
				   number * APUS_POLICY_PAGE_BITS + word * 64);
	}
	return 1;
}

// Judges a connection by the policy that `judgement` names: page by page, but only those in which a rule can match. A
// policy is there when its first page is; what else is missing and could match drops the packet, too.
//
// `named`: `learned_peer` of this CPU says what the peer's names and class admit.
ALWAYS_INLINE int judge_pages(struct judgement *judgement, _Bool named)
{
	const struct apus_policy_bits *peers = NULL, *ports;
	const struct apus_policy_page *head;
	__u64 pages;

	if (!judgement)
		return 0;
	head = page_of(judgement, 0);
	if (!head || head->page_count > APUS_POLICY_PAGES_MAX) {
		decide(judgement, APUS_REASON_POLICY_MISSING, APUS_RULE_NONE);
		return 0;
	}
	judgement->policy_flags = head->flags;
	if (!named && judgement->class_id)
		peers = bits_of_peer(judgement, 0);
	ports = bits_of_port(judgement, 0);
	pages = (head->any_peer_pages | (named ? learned_pages() : pages_of(peers))) &
		(head->any_port_pages | pages_of(ports));
	for (__u32 number = 0; number < APUS_POLICY_PAGES_MAX && pages && !judgement->decided; number++) {
		if (named && !learned_join(judgement->verdict.policy, pages & -pages))
			decide(judgement, APUS_REASON_POLICY_MISSING, APUS_RULE_NONE);
		else if (!judge_page(judgement, head, named ? learned_bits() : peers, ports, pages & -pages))
			decide(judgement, APUS_REASON_POLICY_MISSING, APUS_RULE_NONE);
		pages &= pages - 1;
	}
	if (!judgement->decided && isolates(judgement))
		decide(judgement, APUS_REASON_POLICY_ISOLATED, APUS_RULE_ISOLATION);
	return 0;
}

GLOBAL int judge_unnamed(struct judgement *judgement)
{
	return judge_pages(judgement, 0);
}

// A function of its own, as the stack of the other one has no room for more.
GLOBAL int judge_named(struct judgement *judgement)
{
	return judge_pages(judgement, 1);
}

ALWAYS_INLINE void judge_policy(struct judgement *judgement)
{
	if (unlikely(judgement->learned))
		judge_named(judgement);
	else
		judge_unnamed(judgement);
}

// Of what is allowed: would it be denied if nothing were in audit mode, and by which rule?
ALWAYS_INLINE void audit_policy(struct judgement *judgement)
{
	__u32 rule;

	// The rule that allows waits in memory, as the stack of those who judge is short.
	judgement->audited = judgement->verdict.rule;
	judgement->decided = judgement->passed = 0;
	judgement->enforces = 1;
	judge_policy(judgement);
	rule = judgement->audited;
	judgement->audited = judgement->verdict.reason == APUS_REASON_NONE ? APUS_RULE_NONE : judgement->verdict.rule;
	judgement->verdict.reason = APUS_REASON_NONE;
	judgement->verdict.rule = rule;
}

// `now`: names of the peer that have ended by then do not count. `received`: what opened came from an interface.
//
// Judges what `peer` and an endpoint under `policy` have to do with each other in one direction.
ALWAYS_INLINE void judge(struct judgement *judgement, __u32 policy, const struct apus_address *peer, __u8 epoch,
			 enum apus_direction direction, _Bool received, __u64 now)
{
	struct peer found;

	judgement->verdict = (struct verdict){.policy = policy, .rule = APUS_RULE_NONE};
	judgement->decided = judgement->passed = judgement->enforces = judgement->policy_flags = 0;
	judgement->audited = APUS_RULE_NONE;
	if (!policy)
		return;
	found = peer_of(peer, epoch);
	// The node may always reach its own pods (probes; Kubernetes' NetworkPolicy semantics). Its address alone makes
	// nobody the node: anyone can write that, and others' packets can have been given it. One branch for both, as
	// the verifier follows each through all that comes after.
	_Static_assert(APUS_PEER_LOCAL_NODE == 1, "the flag is as a truth value is");
	if (direction == APUS_DIRECTION_INGRESS && found.flags & APUS_PEER_LOCAL_NODE & ~(__u32)received)
		return;
	judgement->class_id = found.class_id;
	judgement->learned = 0;
	if (direction == APUS_DIRECTION_EGRESS && unlikely(names_in_force()))
		judgement->learned = learned_find(policy, peer, found.class_id, now);
	judge_policy(judgement);
	if (unlikely(judgement->policy_flags & APUS_POLICY_AUDITS) && judgement->verdict.reason == APUS_REASON_NONE)
		audit_policy(judgement);
}
