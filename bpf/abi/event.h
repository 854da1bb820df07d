// Records of the ring buffer. All have one length, so that a reader can walk the ring backward.
#pragma once

#include "address.h"
#include "dns.h"
#include "reason.h"

enum APUS_CLOSED_ENUM apus_event_kind {
	APUS_EVENT_OPENED,
	APUS_EVENT_DENIED,
	APUS_EVENT_CLOSED,
	APUS_EVENT_AUDITED, // like denied, but the packets passed: a policy in audit mode would have denied them
	APUS_EVENT_PACKET, // one packet of an open connection (APUS_FLOW_DETAIL_PACKETS)
};

enum APUS_CLOSED_ENUM apus_ending {
	APUS_ENDING_NONE,
	APUS_ENDING_FINISHED, // both ends sent FIN
	APUS_ENDING_RESET, // one end sent RST
	APUS_ENDING_EXPIRED, // idle for longer than its protocol's time
	APUS_ENDING_REPLACED, // another connection with the same tuple took its place
};

struct apus_event {
	__u64 time_ns; // CLOCK_MONOTONIC
	__u64 opened_ns; // CLOCK_MONOTONIC; 0 where no connection exists (denied)
	struct apus_address source; // the end that opened (or tried to)
	struct apus_address destination;
	struct apus_address frontend; // zero: no Service was asked for
	__u64 forward_packets; // from source to destination
	__u64 forward_bytes;
	__u64 reverse_packets;
	__u64 reverse_bytes;
	__u16 source_port; // ports in network byte order
	__u16 destination_port;
	__u16 frontend_port;
	__u16 tcp_flags; // of both ends together; of the packet for a denied one and for a single one
	__u32 source_endpoint; // slot and identity; 0: not on this node
	__u32 source_identity;
	__u32 destination_endpoint;
	__u32 destination_identity;
	__u32 egress_policy; // what judged the source's egress …
	__u32 egress_rule;
	__u32 ingress_policy; // … and the destination's ingress
	__u32 ingress_rule;
	__u32 count; // packets this denied event stands for, openings an audited one does
	__u16 handshake; // how long it took, as in struct apus_connection; 0: not known
	__u16 forward_retransmissions; // of the source's socket, where that is on this node
	__u16 reverse_retransmissions;
	__u8 kind; // enum apus_event_kind
	__u8 protocol;
	__u8 reason; // enum apus_reason; why an audited packet would have been dropped
	__u8 direction; // enum apus_direction: where a denied packet was dropped, or would have been
	__u8 ending; // enum apus_ending
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 padding[7];
};

_Static_assert(sizeof(struct apus_event) == 160, "event layout");

enum {
	APUS_ANSWER_ADDRESSES = 16, // of a DNS answer that are told
};

// Records of `dns_answers`: what a resolver answered to a question of a pod. All of them have one length, too.
struct apus_answer_event {
	__u64 time_ns; // CLOCK_MONOTONIC
	__u64 latency_ns; // since the question passed
	struct apus_address client; // the pod, and where it sent its question …
	struct apus_address resolver;
	struct apus_address frontend; // … through which Service; zero: none
	__u16 client_port; // ports in network byte order
	__u16 resolver_port;
	__u16 frontend_port;
	__u16 type; // of the question
	__u16 code; // response code, its upper bits of EDNS included
	__u16 flags; // enum apus_dns_flag
	__u16 name_length; // of the name in question as text: lower case, no trailing dot
	__u16 address_count; // of all addresses in the answer
	__u32 endpoint; // slot and identity of the pod
	__u32 identity;
	__u32 policy; // what judged the pod's egress
	__u32 rule;
	__u32 lifetime; // seconds, the shortest of the addresses that are told
	__u8 protocol;
	__u8 padding[3];
	char name[APUS_DNS_NAME_MAX]; // what is behind the name is of no meaning
	struct apus_address addresses[APUS_ANSWER_ADDRESSES]; // likewise
};

_Static_assert(sizeof(struct apus_answer_event) == 104 + APUS_DNS_NAME_MAX + 16 * APUS_ANSWER_ADDRESSES,
	       "answer event layout");

// Key of `denials`: what is told apart when denied packets and audited openings are aggregated, not the source port.
struct apus_denial_key {
	struct apus_address source;
	struct apus_address destination;
	__u16 destination_port; // network byte order
	__u8 protocol;
	__u8 direction;
	__u8 reason;
	__u8 audited; // the packets passed
	__u8 padding[2];
};

// What the data path has not told yet; the agent takes it when no further packet makes the data path tell it.
struct apus_denial {
	__u64 reported_ns; // CLOCK_MONOTONIC; 0: not yet
	__u64 packets; // since then
	__u64 bytes;
	// The first packet that waits besides the key, as it would be in an event.
	struct apus_address frontend;
	__u32 policy;
	__u32 rule;
	__u16 source_port; // ports in network byte order
	__u16 frontend_port;
	__u16 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 answers; // the packets went from the destination to the source
	__u8 padding[7];
};

_Static_assert(sizeof(struct apus_denial_key) == 40, "denial key layout");
_Static_assert(sizeof(struct apus_denial) == 64, "denial layout");

// Indexes of the per-CPU array `event_counters` (values: __u64).
enum APUS_CLOSED_ENUM apus_event_counter {
	APUS_EVENTS_SUBMITTED,
	APUS_EVENTS_LOST,
	APUS_EVENTS_AUDITED, // openings that passed because a policy is in audit mode, not records
	APUS_EVENTS_LOSSES_TOLD, // of the lost ones: those that the agent has told, who alone writes this
	APUS_EVENTS_OPENINGS, // connections whose opening was to be told …
	APUS_EVENTS_ENDINGS, // … and whose end was; what the ring had no room for is among both
	APUS_EVENTS_DENIED, // packets that denied and audited events were to speak for …
	APUS_EVENTS_DENIED_TOLD, // … and those that events in the ring speak for
	APUS_EVENTS_ENDINGS_TAKEN, // ends of expired connections that the agent has told, who alone writes this …
	APUS_EVENTS_DENIED_TAKEN, // … and packets that it has taken from `denials`, likewise
	APUS_EVENTS_COUNTERS,
};
