// Addresses that were learned from DNS answers: docs/decisions/0006-learned-names.md.
#pragma once

#include "connection.h"
#include "dns.h"

enum {
	APUS_LEARNED_NAMES = 8, // names that one part of an address has places for
	APUS_LEARNED_PARTS = 4, // parts of an address in one scope
	APUS_LEARNED_LONGEST = 86400, // seconds that an answer counts at most, whatever it says
	APUS_HANDED_OVER_MAX = 16384, // bytes of a message, or of a part of one, that the agent gets at once
	APUS_HANDED_OVER_SMALL = 1968, // bytes that a short record has room for: a segment or fragment of most networks
};

// Key of `learned_addresses`: the scope is the policy of the pods' egress. The names of an address that the first part
// has no place for are in further ones.
struct apus_learned_key {
	struct apus_address address;
	__u32 policy;
	__u32 part;
};

// `name` is a hash; its text lies in `learned_names`.
struct apus_learned_use {
	__u64 name; // 0: free
	__u64 end_ns; // CLOCK_MONOTONIC: the first moment at which it does not count for a new connection
};

struct apus_learned_address {
	struct apus_learned_use uses[APUS_LEARNED_NAMES];
	// The rest is of the first part alone, for all of them.
	__u64 used_ns; // CLOCK_MONOTONIC: when a connection was judged by it or it was learned, give or take a second
	// Whether a connection was judged by it at all: if not, none leads to it, and the data path may let go of it.
	__u8 judged;
	__u8 further; // the number of the last part that there may be
	__u16 padding;
	__u32 lock; // who changes the parts: see learn_lock.h; 0: nobody
};

enum apus_name_hold {
	// In `holds` of a name: an answer about it is being learned. More than any number of uses that may go
	// meanwhile.
	APUS_NAME_LEARNING = 1 << 16,
};

// Value of `learned_names`, keyed by the hash of the name.
struct apus_learned_name {
	__u64 seen_ns; // CLOCK_MONOTONIC, of the last answer
	__u32 set; // the patterns that match it: their id as in `policy_peers`; 0: none does any more
	__u32 length;
	__u32 holds; // uses in `learned_addresses`, and enum apus_name_hold; whoever makes it 0 deletes the name
	__u32 padding;
	char text[APUS_DNS_NAME_MAX]; // lower case, no trailing dot, padded with zero bytes
};

// Value of `learned_shares`, by policy: what it has of `learned_addresses`.
struct apus_learned_share {
	__u32 entries;
	__u32 names; // uses in them
};

// Value of `dns_resolvers`.
enum apus_resolver_trust {
	APUS_RESOLVER_PEER = 1, // what comes from the address itself teaches
	APUS_RESOLVER_FRONTEND = 2, // and what comes from the backends of a Service that has it, if they are trusted
	APUS_RESOLVER_BACKEND = 4, // what comes from the address teaches where such a Service was asked: it leads here
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

// Key of `pod_questions`: the questions of a pod that were noted last, in a ring.
struct apus_pod_question_key {
	__u32 endpoint; // slot
	__u32 place;
};

struct apus_pod_question {
	struct apus_question_key key;
	__u64 asked_ns;
};

enum {
	APUS_QUESTIONS_OF_POD = 512, // that wait at once; more than that, and the oldest is forgotten
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
	APUS_DNS_COUNT_CROWDED, // a name took the place of another one that had not ended, as its address has so many
	APUS_DNS_COUNT_FRAGMENTED, // fragments of answers
	APUS_DNS_COUNT_SEGMENTED, // TCP segments that begin or end within an answer
	APUS_DNS_COUNT_UNPARSED, // answers that the data path did not parse
	APUS_DNS_COUNT_HANDED_OVER, // of the three before: given to the agent
	APUS_DNS_COUNT_LOST, // of the same: were too long, or found no room in the ring
	APUS_DNS_COUNT_MADE_ROOM, // addresses that had ended and that the data path let go of, as a map was full
	APUS_DNS_COUNT_UNSOLICITED, // answers over a connection that the pod did not open
	APUS_DNS_COUNT_LATE, // answers to a question that had waited for too long
	APUS_DNS_COUNT_REPLACED, // questions whose id went to another one before they were answered
	APUS_DNS_COUNT_FORGOTTEN, // questions that still waited when their pod had asked APUS_QUESTIONS_OF_POD more
	APUS_DNS_COUNT_BUSY, // an address or name that another CPU did not let go of in time
	APUS_DNS_COUNT_UNALIGNED, // TCP segments of which it is not known where in them an answer begins
	APUS_DNS_COUNT_UNNOTED, // TCP segments to resolvers with a question, or a part of one, that is not noted
	APUS_DNS_COUNT_POD_SHARE, // answers not given to the agent, as too much of their pod waits for it already
	APUS_DNS_COUNT_POLICY_SHARE, // an address or name was not learned, as its policy has as many as it may
	APUS_DNS_COUNTERS,
};

// What a record of `dns_messages` holds.
enum APUS_CLOSED_ENUM apus_handed_over_kind {
	APUS_HANDED_OVER_MESSAGE,
	APUS_HANDED_OVER_SEGMENT, // a part of a message that came in several TCP segments
	APUS_HANDED_OVER_FRAGMENT, // a part of a datagram that came in IP fragments, its UDP header included
	// Messages of a TCP segment in a row, each behind its length; the last may not be whole. A part of it where
	// `total` tells its length.
	APUS_HANDED_OVER_ROW,
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
	__u32 problem; // enum apus_dns_problem, APUS_DNS_PARSED: it was parsed, and there was no room for all
	__u32 kind; // enum apus_handed_over_kind
	// Of a part: which message it is of (the sequence number of that one's first byte, or the identification of the
	// fragments), where in it the bytes belong, and how long it is, 0: that is not known yet.
	__u32 number;
	__u32 offset;
	__u32 total;
};

// What the agent has a program learn: the packet of a test run, behind APUS_LESSON_OFFSET bytes. `count` addresses
// follow. Without any the name gets its set, if it is held.
struct apus_lesson {
	__u64 time_ns; // CLOCK_MONOTONIC, of the answer
	__u32 set; // of the name's patterns
	__u32 length; // of the name
	__u32 policies[2]; // that it is learned for; 0: none
	__u32 count;
	__u32 padding;
	char text[APUS_DNS_NAME_MAX]; // lower case, no trailing dot
};

struct apus_lesson_address {
	struct apus_address address;
	__u64 end_ns;
	__u64 used_ns;
	__u32 judged;
	__u32 padding;
};

enum {
	APUS_LESSON_OFFSET = 16, // more than the Ethernet header, without which there is no packet
	APUS_LESSON_MOST = 80, // addresses in a packet: a test run takes no more than a page
	APUS_LET_GO_MOST = 100,
};

// What became of a lesson.
enum APUS_CLOSED_ENUM apus_lesson_outcome {
	APUS_LESSON_LEARNED,
	APUS_LESSON_NO_ROOM, // a map was full, or its policy had its share
	APUS_LESSON_BUSY, // another CPU did not let go of the name, or of an address
	APUS_LESSON_COLLIDED, // another name has the hash of this one
	APUS_LESSON_OUTCOMES,
};

// An address that the agent has a program let go of: all names that end by then, if it was not used later.
struct apus_let_go {
	struct apus_learned_key key; // of the first part
	__u64 end_ns;
	__u64 used_ns;
};

_Static_assert(sizeof(struct apus_lesson) == 32 + APUS_DNS_NAME_MAX, "lesson layout");
_Static_assert(sizeof(struct apus_lesson_address) == 40, "lesson address layout");
_Static_assert(sizeof(struct apus_let_go) == 40, "let go layout");
_Static_assert(sizeof(struct apus_learned_share) == 8, "learned share layout");
_Static_assert(sizeof(struct apus_learned_key) == 24, "learned key layout");
_Static_assert(sizeof(struct apus_learned_address) == 144, "learned address layout");
_Static_assert(sizeof(struct apus_learned_name) == 280, "learned name layout");
_Static_assert(sizeof(struct apus_question_key) == 48, "question key layout");
_Static_assert(sizeof(struct apus_question) == 56 + APUS_DNS_NAME_MAX, "question layout");
_Static_assert(sizeof(struct apus_handed_over) == 80, "handed over layout");
