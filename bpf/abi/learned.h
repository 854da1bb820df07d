// Addresses that were learned from DNS answers: docs/decisions/0006-learned-names.md.
#pragma once

#include "connection.h"
#include "dns.h"

enum {
	APUS_LEARNED_NAMES = 8, // names that one address may have in one scope at a time
	APUS_HANDED_OVER_MAX = 16384, // bytes of a message, or of a part of one, that the agent gets at once
	APUS_HANDED_OVER_SMALL = 1968, // bytes that a short record has room for: a segment or fragment of most networks
};

// Key of `learned_addresses`: the scope is the policy of the pods' egress.
struct apus_learned_key {
	struct apus_address address;
	__u32 policy;
	__u32 padding;
};

// `name` is a hash; its text lies in `learned_names`.
struct apus_learned_use {
	__u64 name; // 0: free
	__u64 end_ns; // CLOCK_MONOTONIC: the first moment at which it does not count for a new connection
};

struct apus_learned_address {
	struct apus_learned_use uses[APUS_LEARNED_NAMES];
	__u64 used_ns; // CLOCK_MONOTONIC: when a connection was judged by it, give or take a second
	// Whether one was judged by it at all: if not, no connection leads to it, and the data path may let go of it.
	__u32 judged;
	__u32 padding;
};

enum apus_name_hold {
	// In `holds` of a name: an answer about it is being learned. More than any number of uses that may go
	// meanwhile.
	APUS_NAME_LEARNING = 1 << 16,
	// The agent has written it or addresses of it, and lets go of it: it can't count along with the data path.
	APUS_NAME_KEPT = 1 << 30,
};

// Value of `learned_names`, keyed by the hash of the name.
struct apus_learned_name {
	__u64 seen_ns; // CLOCK_MONOTONIC, of the last answer
	__u32 set; // the patterns that match it: their id as in `policy_peers`; 0: none does any more
	__u32 length;
	__u32 holds; // uses in `learned_addresses`, or more, and enum apus_name_hold; whoever makes it 0 deletes the
		     // name
	__u32 padding;
	char text[APUS_DNS_NAME_MAX]; // lower case, no trailing dot, padded with zero bytes
};

// Key of `dns_questions`: a question that a pod asked a trusted resolver.
struct apus_question_key {
	struct apus_connection_key connection;
	__u16 id; // of the message
	__u8 padding[6];
};

struct apus_question {
	__u64 hash; // of name and type
	__u64 asked_ns; // CLOCK_MONOTONIC
	struct apus_address frontend; // the Service address that was asked; zero: none
	__u32 endpoint; // slot and identity of the pod
	__u32 identity;
	__u32 policy; // what judged the pod's egress
	__u32 rule;
	__u16 frontend_port; // network byte order
	__u16 type;
	__u16 name_length; // of the name as text: lower case, no trailing dot
	__u8 opener; // whether the pod is the high end of the connection
	__u8 padding;
	char name[APUS_DNS_NAME_MAX]; // what is behind the name is of no meaning
};

// What became of questions and answers; indexes of the per-CPU array `dns_counters` (values: __u64).
enum APUS_CLOSED_ENUM apus_dns_counter {
	APUS_DNS_COUNT_QUESTIONS, // noted
	APUS_DNS_COUNT_LEARNED, // answers that taught addresses
	APUS_DNS_COUNT_ADDRESSES, // that were learned or renewed
	APUS_DNS_COUNT_UNMATCHED, // answers about names that no pattern matches, or without an address
	APUS_DNS_COUNT_UNTRUSTED, // answers of a resolver that is not trusted
	APUS_DNS_COUNT_UNASKED, // answers with the id of no question
	APUS_DNS_COUNT_MISMATCHED, // answers to another name or type than was asked
	APUS_DNS_COUNT_COLLIDED, // a name with the hash of another one
	APUS_DNS_COUNT_NO_ROOM, // `learned_names` or `learned_addresses` is full
	APUS_DNS_COUNT_CROWDED, // an address that has as many names as it may have
	APUS_DNS_COUNT_FRAGMENTED, // fragments of answers
	APUS_DNS_COUNT_SEGMENTED, // TCP segments that begin or end within an answer
	APUS_DNS_COUNT_UNPARSED, // answers that the data path did not parse
	APUS_DNS_COUNT_HANDED_OVER, // of the three before: given to the agent
	APUS_DNS_COUNT_LOST, // of the same: were too long, or found no room in the ring
	APUS_DNS_COUNT_MADE_ROOM, // addresses that had ended and that the data path let go of, as a map was full
	APUS_DNS_COUNT_UNSOLICITED, // answers over a connection that the pod did not open
	APUS_DNS_COUNT_LATE, // answers to a question that had waited for too long
	APUS_DNS_COUNT_REPLACED, // questions whose id went to another one before they were answered
	APUS_DNS_COUNTERS,
};

// What a record of `dns_messages` holds.
enum APUS_CLOSED_ENUM apus_handed_over_kind {
	APUS_HANDED_OVER_MESSAGE,
	APUS_HANDED_OVER_SEGMENT, // a part of a message that came in several TCP segments
	APUS_HANDED_OVER_FRAGMENT, // a part of a datagram that came in IP fragments, its UDP header included
	APUS_HANDED_OVER_ROW, // messages of a TCP segment in a row, each behind its length; the last may not be whole
	APUS_HANDED_OVER_KINDS,
};

// A record of `dns_messages`: an answer that was not learned in the data path, or a part of one, to be learned by the
// agent. The bytes follow; a record is as long as the smallest room that they fit into.
struct apus_handed_over {
	__u64 time_ns; // CLOCK_MONOTONIC
	struct apus_connection_key connection;
	__u32 endpoint; // slot of the pod that asked
	__u32 identity;
	__u32 length; // of the bytes that follow
	__u32 problem; // enum apus_dns_problem, APUS_DNS_PARSED: there was no room
	__u32 kind; // enum apus_handed_over_kind
	// Of a part: which message it is of (the sequence number of that one's first byte, or the identification of the
	// fragments), where in it the bytes belong, and how long it is, 0: that is not known yet.
	__u32 number;
	__u32 offset;
	__u32 total;
};

_Static_assert(sizeof(struct apus_learned_key) == 24, "learned key layout");
_Static_assert(sizeof(struct apus_learned_address) == 144, "learned address layout");
_Static_assert(sizeof(struct apus_learned_name) == 280, "learned name layout");
_Static_assert(sizeof(struct apus_question_key) == 48, "question key layout");
_Static_assert(sizeof(struct apus_question) == 56 + APUS_DNS_NAME_MAX, "question layout");
_Static_assert(sizeof(struct apus_handed_over) == 80, "handed over layout");
