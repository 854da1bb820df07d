// Network policy as rule bits; docs/policy.md explains the algorithm.
//
// Ids of policies and classes are hashes of their content: what a (policy, class) means never changes while both are
// in the maps. A change writes new ids first, then the pointers to them (endpoint → policy, address → class) for the
// next epoch, and then the number of the epoch: all of it comes into force at once (docs/datapath.md).
#pragma once

#include "address.h"

enum {
	APUS_POLICY_PAGE_WORDS = 4,
	APUS_POLICY_PAGE_BITS = 256,
	APUS_POLICY_PAGES_MAX = 64,
};

// What points to policies and classes has a value for each epoch. The only element of `policy_epoch` says which one
// counts: a packet reads it once. A power of two.
enum {
	APUS_EPOCHS = 4,
};

// A rule that is none: nothing judged, or isolation decided.
#define APUS_RULE_NONE	    0xffffffffu
#define APUS_RULE_ISOLATION 0xfffffffeu

struct apus_rule_bits {
	__u64 words[APUS_POLICY_PAGE_WORDS];
};

enum apus_peer_flag {
	APUS_PEER_LOCAL_NODE = 1, // an address of this node: its traffic always enters its own pods
	APUS_PEER_ABSENT = 2, // as if there were no entry
	APUS_PEER_ELSEWHERE = 4, // of this node, but on none of its interfaces: it sends nothing from it
};

// What an address is in one epoch.
struct apus_peer_epoch {
	__u32 class_id;
	__u32 flags; // enum apus_peer_flag
};

// Value of `peer_classes`, keyed by address; absent: look in `peer_prefixes`, then class 0 (anyone).
struct apus_peer {
	struct apus_peer_epoch epochs[APUS_EPOCHS];
};

// Value of `peer_prefixes`. An epoch in which the prefix is not there has the class that counts without it.
struct apus_prefix_peer {
	__u32 classes[APUS_EPOCHS];
};

// Key of the longest-prefix map `peer_prefixes`.
struct apus_prefix_key {
	__u32 prefix_length; // over the 16 bytes: an IPv4 /24 is 120
	__u8 address[16]; // bytes, as an 8-byte aligned address would leave a gap
};

struct apus_policy_page_key {
	__u32 policy;
	__u32 page;
};

enum apus_policy_flag {
	APUS_POLICY_ISOLATES = 1, // what no rule of the NetworkPolicy tier allows is denied
	APUS_POLICY_AUDITS_REST = 2, // … is reported and left to the Baseline tier; never with the flag above
	APUS_POLICY_AUDITS = 4, // that, or some of its rules deny in audit mode
	APUS_POLICY_NAMES = 8, // some of its rules admit what names resolve to
	APUS_POLICY_TOO_LONG = 16, // its rules are more than fit: it has none of them, and isolates; for readers alone
};

// 256 rules in order: Admin tier, then NetworkPolicy, then Baseline. A rule that denies in audit mode decides nothing:
// what it matches is reported, unless another rule denies it.
struct apus_policy_page {
	struct apus_rule_bits any_peer; // rules that admit every peer
	struct apus_rule_bits any_port; // rules that admit every protocol and port
	struct apus_rule_bits admin; // tier of each rule
	struct apus_rule_bits network_policy;
	struct apus_rule_bits baseline;
	struct apus_rule_bits deny; // action of each rule; neither: allow; both: deny in audit mode, see below
	struct apus_rule_bits pass;
	// Of the whole policy, the same in each of its pages:
	__u64 any_peer_pages; // one bit a page: those with rules that admit every peer …
	__u64 any_port_pages; // … and every protocol and port
	__u32 page_count;
	__u32 flags; // enum apus_policy_flag
};

// Which rules admit a peer or a port. The entry of page 0 leads: it has the bits of the first page with any, whichever
// that is. Further pages have entries of their own, so that a packet costs no more than the pages that speak of it.
struct apus_policy_bits {
	struct apus_rule_bits bits;
	__u64 pages; // one bit a page: those with any of these rules, the same in each entry of a peer or port
};

// Key of `policy_peers` (value: struct apus_policy_bits). A set of patterns of names is a class too: addresses that
// were learned under a name have it besides their own.
struct apus_policy_peers_key {
	__u32 policy;
	__u32 class_id;
	__u32 page;
};

// Key of `policy_single_ports`, a hash of the prefixes that are one port, and of the longest-prefix map `policy_ports`
// with the shorter ones (value: struct apus_policy_bits). A longer prefix holds the bits and pages of the shorter ones
// too, since only the longest match is read.
struct apus_policy_ports_key {
	__u32 prefix_length; // 64 for every port of the protocol, up to 80 for one port
	__u32 policy;
	__u16 page;
	__u8 protocol;
	__u8 padding;
	__u16 port; // network byte order
	__u16 padding_end;
};

enum {
	APUS_POLICY_PORTS_FIXED_BITS = 64,
};

_Static_assert(sizeof(struct apus_rule_bits) == 32, "rule bits layout");
_Static_assert((APUS_EPOCHS & (APUS_EPOCHS - 1)) == 0, "epochs are masked");
_Static_assert(sizeof(struct apus_peer) == 32, "peer layout");
_Static_assert(sizeof(struct apus_prefix_key) == 20, "prefix key layout");
_Static_assert(sizeof(struct apus_policy_page) == 248, "policy page layout");
_Static_assert(sizeof(struct apus_policy_bits) == 40, "policy bits layout");
_Static_assert(APUS_POLICY_PAGES_MAX == 64, "a word has a bit for each page");
_Static_assert(sizeof(struct apus_policy_peers_key) == 12, "policy peers key layout");
_Static_assert(sizeof(struct apus_policy_ports_key) == 16, "policy ports key layout");
