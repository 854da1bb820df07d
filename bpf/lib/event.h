// Flow events: records in the ring buffer, and the aggregation of denied packets.
#pragma once

#include "connection.h"
#include "policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, APUS_EVENTS_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} event_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct apus_denial_key);
	__type(value, struct apus_denial);
} denials SEC(".maps");

// Never written; in read-only memory, as the stack has little room for keys.
static const __u32 event_counter_keys[APUS_EVENTS_COUNTERS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

_Static_assert(APUS_EVENTS_COUNTERS == 10, "a key for each counter");

ALWAYS_INLINE void count_events(enum apus_event_counter index, __u64 number)
{
	__u64 *counter = bpf_map_lookup_elem(&event_counters, &event_counter_keys[index]);

	if (counter)
		*counter += number;
}

ALWAYS_INLINE void count_event(enum apus_event_counter index)
{
	count_events(index, 1);
}

// NULL when events are off or the ring is full; the loss is counted.
ALWAYS_INLINE struct apus_event *event_reserve(void)
{
	struct apus_event *event;

	if (config.flow_detail == APUS_FLOW_DETAIL_NONE)
		return NULL;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		count_event(APUS_EVENTS_LOST);
	return event;
}

// A wake-up costs more than everything else here, so the reader polls and is woken only when much has come to wait: by
// the few records that pass the threshold, as two CPUs may step over it together.
ALWAYS_INLINE void event_submit(struct apus_event *event)
{
	__u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);

	count_event(APUS_EVENTS_SUBMITTED);
	bpf_ringbuf_submit(event,
			   waiting - config.wakeup_bytes < 8 * sizeof(*event) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

ALWAYS_INLINE void event_set_ends(struct apus_event *event, const struct apus_connection_key *key, _Bool opener_is_high)
{
	event->source = opener_is_high ? key->high : key->low;
	event->destination = opener_is_high ? key->low : key->high;
	event->source_port = opener_is_high ? key->high_port : key->low_port;
	event->destination_port = opener_is_high ? key->low_port : key->high_port;
	event->protocol = key->protocol;
}

ALWAYS_INLINE void event_set_sides(struct apus_event *event, const struct apus_connection_side *opener,
				   const struct apus_connection_side *other)
{
	event->forward_packets = opener->packets;
	event->forward_bytes = opener->bytes;
	event->reverse_packets = other->packets;
	event->reverse_bytes = other->bytes;
	event->tcp_flags = opener->tcp_flags | other->tcp_flags;
	event->forward_retransmissions = opener->flags & APUS_SIDE_OTHER_PORT ? 0 : opener->retransmissions;
	event->reverse_retransmissions = other->retransmissions;
	event->source_endpoint = opener->endpoint;
	event->source_identity = opener->identity;
	event->destination_endpoint = other->endpoint;
	event->destination_identity = other->identity;
	event->egress_policy = opener->policy;
	event->egress_rule = opener->rule;
	event->ingress_policy = other->policy;
	event->ingress_rule = other->rule;
}

// What an event of a connection says whatever happens to it.
ALWAYS_INLINE void event_describe(struct apus_event *event, const struct apus_connection_key *key,
				  const struct apus_connection *connection)
{
	_Bool has_handshake = key->protocol == IPPROTO_TCP;

	event_set_ends(event, key, connection->opener);
	if (connection->opener)
		event_set_sides(event, &connection->sides[1], &connection->sides[0]);
	else
		event_set_sides(event, &connection->sides[0], &connection->sides[1]);
	event->opened_ns = connection->opened_ns;
	event->frontend = connection->frontend;
	event->frontend_port = connection->frontend_port;
	event->count = 0;
	event->handshake = has_handshake ? connection->detail : 0;
	event->reason = APUS_REASON_NONE;
	event->direction = opener_is_local(connection) ? APUS_DIRECTION_EGRESS : APUS_DIRECTION_INGRESS;
	event->icmp_type = has_handshake ? 0 : connection->detail & 0xff;
	event->icmp_code = has_handshake ? 0 : connection->detail >> 8;
	__builtin_memset(event->padding, 0, sizeof(event->padding));
}

// Reports the opening (ending: none) or the end of a connection. `now` is exact: a coarse clock would give short ones
// no duration.
GLOBAL int report_connection(const struct apus_connection_key *key, const struct apus_connection *connection, __u64 now,
			     __u32 ending)
{
	struct apus_event *event;

	if (!key || !connection)
		return 0;
	// Whatever is told: what is due and what is done must not part when that changes.
	count_event(ending == APUS_ENDING_NONE ? APUS_EVENTS_OPENINGS : APUS_EVENTS_ENDINGS);
	event = event_reserve();
	if (!event)
		return 0;
	event_describe(event, key, connection);
	event->time_ns = now;
	event->kind = ending == APUS_ENDING_NONE ? APUS_EVENT_OPENED : APUS_EVENT_CLOSED;
	event->ending = ending;
	event_submit(event);
	return 0;
}

// Reports one packet of a connection that is open; the one that opened it is told with the opening.
GLOBAL int report_packet(const struct packet *packet, const struct apus_connection_key *key,
			 const struct apus_connection *connection, __u32 from_opener)
{
	struct apus_event *event;

	if (!packet || !key || !connection)
		return 0;
	event = event_reserve();
	if (!event)
		return 0;
	event_describe(event, key, connection);
	event->time_ns = bpf_ktime_get_ns();
	event->forward_packets = from_opener ? 1 : 0;
	event->forward_bytes = from_opener ? packet->length : 0;
	event->reverse_packets = from_opener ? 0 : 1;
	event->reverse_bytes = from_opener ? 0 : packet->length;
	event->tcp_flags = packet->tcp_flags;
	event->handshake = event->forward_retransmissions = event->reverse_retransmissions = 0;
	event->icmp_type = packet->icmp_type;
	event->icmp_code = packet->icmp_code;
	event->kind = APUS_EVENT_PACKET;
	event->ending = APUS_ENDING_NONE;
	event_submit(event);
	return 0;
}

// What a denied packet has to say besides its tuple.
struct denial_context {
	struct verdict verdict;
	struct apus_address frontend;
	__u32 sender_endpoint;
	__u32 sender_identity;
	__u32 receiver_endpoint;
	__u32 receiver_identity;
	__u16 frontend_port;
	__u8 direction; // enum apus_direction
	_Bool audited; // the packet passes
	_Bool answers; // the packet goes to the end that opened: that one is the event's source
};

// What a denied event has to speak for now; no packets: it was reported a moment ago.
struct denied_total {
	__u64 packets;
	__u64 bytes;
	__u64 time_ns; // exact
};

// The first packet that waits stands for those after it, for whoever reports them: the key says most of it, and a flood
// of denied packets writes no more than their number. Another CPU may write the same entry; the two packets differ in
// little.
ALWAYS_INLINE void denial_describe(struct apus_denial *denial, const struct packet *packet,
				   const struct denial_context *context)
{
	denial->frontend = context->frontend;
	denial->frontend_port = context->frontend_port;
	denial->policy = context->verdict.policy;
	denial->rule = context->verdict.rule;
	denial->source_port = context->answers ? packet->destination_port : packet->source_port;
	denial->tcp_flags = packet->tcp_flags;
	denial->icmp_type = packet->icmp_type;
	denial->icmp_code = packet->icmp_code;
	denial->answers = context->answers;
}

// Never written; in read-only memory, as the stack has little room for it.
static const struct apus_denial unreported_denial;

ALWAYS_INLINE struct denied_total denied_total(const struct apus_denial_key *key, const struct packet *packet,
					       const struct denial_context *context, __u64 now)
{
	struct apus_denial *denial = bpf_map_lookup_elem(&denials, key);
	struct denied_total total = {.packets = 1, .bytes = packet->length};
	__u64 since;

	if (!denial) {
		bpf_map_update_elem(&denials, key, &unreported_denial, BPF_NOEXIST);
		denial = bpf_map_lookup_elem(&denials, key);
		if (!denial) {
			total.time_ns = bpf_ktime_get_ns();
			return total;
		}
	}
	// The coarse clock may be behind the exact time of the report.
	since = now > denial->reported_ns ? now - denial->reported_ns : 0;
	if (denial->reported_ns && since < config.denial_interval_ns) {
		if (!*(const volatile __u64 *)&denial->packets)
			denial_describe(denial, packet, context);
		count(&denial->packets, 1);
		count(&denial->bytes, packet->length);
		return (struct denied_total){};
	}
	total.time_ns = denial->reported_ns = bpf_ktime_get_ns();
	// Exchanged and not read: what another CPU adds at the same time is told once.
	total.packets += __sync_lock_test_and_set(&denial->packets, 0);
	total.bytes += __sync_lock_test_and_set(&denial->bytes, 0);
	return total;
}

ALWAYS_INLINE void denial_key_of(struct apus_denial_key *key, const struct packet *packet,
				 const struct denial_context *context)
{
	key->source = context->answers ? packet->destination : packet->source;
	key->destination = context->answers ? packet->source : packet->destination;
	key->destination_port = context->answers ? packet->source_port : packet->destination_port;
	key->protocol = packet->protocol;
	key->direction = context->direction;
	key->reason = context->verdict.reason;
	key->audited = context->audited;
}

ALWAYS_INLINE void event_set_denied_ends(struct apus_event *event, const struct denial_context *context)
{
	event->source_endpoint = context->answers ? context->receiver_endpoint : context->sender_endpoint;
	event->source_identity = context->answers ? context->receiver_identity : context->sender_identity;
	event->destination_endpoint = context->answers ? context->sender_endpoint : context->receiver_endpoint;
	event->destination_identity = context->answers ? context->sender_identity : context->receiver_identity;
}

ALWAYS_INLINE void event_set_verdict(struct apus_event *event, const struct denial_context *context)
{
	event->reason = context->verdict.reason;
	event->direction = context->direction;
	event->egress_rule = event->ingress_rule = APUS_RULE_NONE;
	if (context->direction == APUS_DIRECTION_EGRESS) {
		event->egress_policy = context->verdict.policy;
		event->egress_rule = context->verdict.rule;
	} else {
		event->ingress_policy = context->verdict.policy;
		event->ingress_rule = context->verdict.rule;
	}
}

ALWAYS_INLINE void event_set_total(struct apus_event *event, const struct denial_context *context,
				   const struct denied_total *total)
{
	event->time_ns = total->time_ns;
	event->count = total->packets;
	if (context->answers) {
		event->reverse_packets = total->packets;
		event->reverse_bytes = total->bytes;
	} else {
		event->forward_packets = total->packets;
		event->forward_bytes = total->bytes;
	}
}

GLOBAL int report_denied(const struct packet *packet, const struct denial_context *context, __u64 now)
{
	struct apus_denial_key key = {};
	struct apus_event *event;
	struct denied_total total;

	if (!packet || !context || config.flow_detail == APUS_FLOW_DETAIL_NONE)
		return 0;
	denial_key_of(&key, packet, context);
	total = denied_total(&key, packet, context, now);
	count_event(APUS_EVENTS_DENIED);
	event = total.packets ? event_reserve() : NULL;
	if (!event)
		return 0;
	count_events(APUS_EVENTS_DENIED_TOLD, total.packets);
	__builtin_memset(event, 0, sizeof(*event));
	event_set_total(event, context, &total);
	event_set_verdict(event, context);
	event_set_denied_ends(event, context);
	event->kind = context->audited ? APUS_EVENT_AUDITED : APUS_EVENT_DENIED;
	event->source = key.source;
	event->destination = key.destination;
	event->frontend = context->frontend;
	event->source_port = context->answers ? packet->destination_port : packet->source_port;
	event->destination_port = key.destination_port;
	event->frontend_port = context->frontend_port;
	event->protocol = packet->protocol;
	event->tcp_flags = packet->tcp_flags;
	event->icmp_type = packet->icmp_type;
	event->icmp_code = packet->icmp_code;
	event_submit(event);
	return 0;
}
