// Service translation packet by packet: for pods whose sockets no cgroup program sees, and for clients outside.
#pragma once

#include "affinity.h"
#include "flow.h"
#include "known_translation.h"
#include "source_range.h"

enum {
	BACKEND_TRIES = 4,
};

// The packet's ports lead nowhere any more: whoever has the address now gets the packet as it is. One that
// only looks like an opening takes nobody's port away who has a live connection.
ALWAYS_INLINE enum translation_state forget_translation(struct flow *flow, const struct apus_translation_key *key)
{
	if (!has_port_of_packet(flow) || !is_live(flow)) {
		bpf_map_delete_elem(&translations, key);
		bpf_map_delete_elem(&disposable_translations, key);
	}
	flow->packet.destination = key->frontend;
	flow->packet.destination_port = key->frontend_port;
	take_own_port(flow);
	if (!is_from_outside())
		find_connection(flow);
	return TRANSLATION_NONE;
}

// Whether the translation is that of packets to the backend itself (port_beside).
ALWAYS_INLINE _Bool leads_to_itself(const struct apus_translation_key *key, const struct apus_translation *known)
{
	return known->backend_port == key->frontend_port && address_equal(&known->backend, &key->frontend);
}

// Whether the packet goes on to the backend that its ports were translated to before.
ALWAYS_INLINE enum translation_state follow_known(struct flow *flow, const struct apus_translation_key *key,
						  const struct apus_translation *known)
{
	enum translation_state state = continue_known(flow, key, known);
	_Bool goes_direct = !is_from_outside() && leads_to_itself(key, known);

	if (state != TRANSLATION_NONE)
		return state;
	if (!flow->service && !goes_direct)
		return is_from_outside() ? forget_translation(flow, key) : TRANSLATION_GONE;
	// Its entry was evicted: another backend knows nothing of it.
	if (!flow->found.connection && tells_openings(flow->packet.protocol) && !is_connection_opening(&flow->packet))
		return TRANSLATION_KNOWN;
	if (!flow->service)
		return forget_translation(flow, key);
	// What is recorded next must not be hidden by it.
	bpf_map_delete_elem(&translations, key);
	return TRANSLATION_FRESH;
}

// Where the packet's ports were translated to before; NULL: they were not, or that counts no more.
ALWAYS_INLINE const struct apus_translation *find_translation_of(const struct flow *flow,
								 const struct apus_translation_key *key)
{
	const struct apus_translation *known = translation_find(key);

	if (likely(!known || !(known->flags & APUS_TRANSLATION_LED_ON) == !flow->cut_off))
		return known;
	// Of a socket that is gone, or whose backend serves again; or of what was for the backend itself.
	bpf_map_delete_elem(&translations, key);
	bpf_map_delete_elem(&disposable_translations, key);
	return NULL;
}

// Whether the packet belongs to a translated connection, whose backend it is pointed at then, or should open one.
COLD int find_translation(struct flow *flow)
{
	struct apus_translation_key key;
	const struct apus_translation *known;
	enum translation_state state;

	if (!flow)
		return TRANSLATION_NONE;
	translation_key(&flow->packet, &key);
	known = find_translation_of(flow, &key);
	if (likely(known && goes_on_without_service(flow))) {
		state = continue_known(flow, &key, known);
		if (likely(state != TRANSLATION_NONE))
			return state;
	}
	if (likely(!flow->cut_off))
		flow->service = service_find(&key.frontend, key.frontend_port, key.protocol);
	leave_others_service(flow, &key);
	if (unlikely(flow->cut_off) && !flow->service) {
		flow->frontend = key.frontend;
		flow->frontend_port = key.frontend_port;
		return TRANSLATION_GONE;
	}
	// A connection outlives its Service, but no connection opens without one. Those outside may meet a process that
	// has taken the port over.
	if (!flow->service && is_connection_opening(&flow->packet) && !is_from_outside() &&
	    !(known && leads_to_itself(&key, known)))
		return TRANSLATION_NONE;
	if (known)
		return follow_known(flow, &key, known);
	if (!flow->service)
		return TRANSLATION_NONE;
	flow->frontend = key.frontend;
	flow->frontend_port = key.frontend_port;
	return TRANSLATION_FRESH;
}

// Whether the packet, which is to no frontend, asks for a port of a Service's address that no Service has.
COLD int refuses_port(const struct flow *flow)
{
	const struct apus_service *service;

	if (!flow)
		return 0;
	service = service_of_address(&flow->packet.destination);
	return service && !is_not_for_sender(service);
}

// A number that is the same on every node for a client's connection to a frontend.
ALWAYS_INLINE __u32 connection_hash(const struct flow *flow)
{
	const struct packet *packet = &flow->packet;
	__u64 hash = mix_in(packet->protocol, packet->source.high);

	hash = mix_in(mix_in(hash, packet->source.low), flow->frontend.high);
	hash = mix_in(hash, flow->frontend.low);
	return mix_in(hash, (__u64)packet->source_port << 16 | flow->frontend_port);
}

// As service_pick, but for what the verifier knows of the answer.
GLOBAL __u32 pick_index(const struct apus_service *service, __u32 outside, __u32 number, __u32 next)
{
	return service ? service_pick(service, outside != 0, number, next).index : 0;
}

// Gives the packet, which is pointed at a backend, a port in place of its own, which is another connection's.
ALWAYS_INLINE enum apus_reason go_by_other_port(struct flow *flow, const struct apus_translation_key *key)
{
	flow->packet.source_port = other_port(key, &flow->packet.destination, flow->packet.destination_port, flow->now);
	if (!flow->packet.source_port)
		return APUS_REASON_SOURCE_PORT;
	flow->found = connection_find(&flow->packet, &flow->key);
	return APUS_REASON_NONE;
}

// Picks a backend that is not the client itself: a pod that is its Service's only backend has none, but a pod of
// another node meets this node instead of itself. The one of a client with affinity comes first.
ALWAYS_INLINE struct picked_backend pick_other(const struct flow *flow, const struct apus_service *service,
					       struct picked_backend picked)
{
	__u32 number = bpf_get_prandom_u32();

	if (is_from_outside() && service->table_size)
		number = connection_hash(flow);
	for (int i = 0; i < BACKEND_TRIES; i++) {
		if (i || !picked.backend) {
			picked.index = pick_index(service, is_from_outside(), number, i);
			picked.backend = backend_at(picked.index);
		}
		if (!picked.backend || is_from_outside() ||
		    !address_equal(&flow->packet.source, &picked.backend->address))
			return picked;
	}
	return (struct picked_backend){};
}

// Points the packet at a backend, by another port where its own is another connection's. A connection with the backend
// that lives and came through the frontend is the packet's: the record of its translation was evicted.
ALWAYS_INLINE enum apus_reason choose_backend(struct flow *flow, const struct apus_service *service,
					      const struct apus_translation_key *key, struct picked_backend *choice)
{
	if (!service)
		return APUS_REASON_NO_BACKEND;
	*choice = pick_other(flow, service, *choice);
	if (!choice->backend)
		return APUS_REASON_NO_BACKEND;
	aim_at(flow, &choice->backend->address, choice->backend->port);
	return is_own(flow) || !is_live(flow) ? APUS_REASON_NONE : go_by_other_port(flow, key);
}

// Records the backend that the packet is pointed at. A function of its own for the room on the stack.
COLD int record_opening(const struct flow *flow, const struct apus_translation_key *key, __u32 backend_index)
{
	struct apus_translation fresh = {.backend_index = backend_index};

	if (!flow || !key)
		return APUS_REASON_CONNECTION_FAILED;
	fresh.backend = flow->packet.destination;
	fresh.backend_port = flow->packet.destination_port;
	fresh.flags = flow->cut_off ? APUS_TRANSLATION_LED_ON : 0;
	if (unlikely(flow->packet.source_port != key->client_port))
		fresh.flags |= APUS_TRANSLATION_OTHER_PORT;
	return translation_record(key, &fresh) < 0 ? APUS_REASON_CONNECTION_FAILED : APUS_REASON_NONE;
}

// Points a packet that opens a connection to the Service of service_here at a backend.
//
// `preferred`: index of the backend that the client has already, 0 for none.
COLD int open_translation(struct flow *flow, __u32 preferred)
{
	struct apus_translation_key key;
	struct picked_backend picked = {.index = preferred};
	enum apus_reason reason;

	if (!flow)
		return APUS_REASON_NO_BACKEND;
	picked.backend = backend_at(preferred);
	flow->packet.destination = flow->frontend;
	flow->packet.destination_port = flow->frontend_port;
	take_own_port(flow);
	translation_key(&flow->packet, &key);
	reason = choose_backend(flow, service_here(), &key, &picked);
	return reason ? reason : record_opening(flow, &key, picked.index);
}

// Rewrites a packet that was pointed at a backend.
ALWAYS_INLINE enum apus_reason rewrite_destination(struct __sk_buff *skb, const struct flow *flow)
{
	struct rewrite rewrite = {.destination = 1};

	rewrite.from = flow->frontend;
	rewrite.from_port = flow->frontend_port;
	rewrite.to = flow->packet.destination;
	rewrite.to_port = flow->packet.destination_port;
	return rewrite_packet(skb, &flow->packet, &rewrite);
}

// As rewrite_destination, with the port that the packet goes by.
ALWAYS_INLINE enum apus_reason rewrite_ends(struct __sk_buff *skb, const struct flow *flow)
{
	enum apus_reason reason = rewrite_destination(skb, flow);

	return reason ? reason : rewrite_port(skb, &flow->packet, 0, flow->own_port, flow->packet.source_port);
}

// Finds the connection of a packet that was pointed at a backend, and rewrites the packet.
COLD int follow_translation(struct __sk_buff *skb, struct flow *flow)
{
	if (!flow)
		return APUS_REASON_MALFORMED;
	flow->connection_flags |= APUS_CONNECTION_TRANSLATED;
	if (is_from_outside())
		flow->connection_flags |= APUS_CONNECTION_FROM_OUTSIDE;
	find_connection(flow);
	return rewrite_ends(skb, flow);
}

// As follow_translation, with the connection that was found with the backend, and without rewriting. For clients
// outside alone: of pods the connection is looked for anew, as knowing the first one the verifier would follow all that
// comes after half as long again.
COLD int follow_found(struct flow *flow)
{
	if (!flow)
		return APUS_REASON_MALFORMED;
	flow->connection_flags |= APUS_CONNECTION_TRANSLATED | APUS_CONNECTION_FROM_OUTSIDE;
	flow->ended = NULL;
	settle_connection(flow);
	return APUS_REASON_NONE;
}

// As open_translation, of a Service whose clients keep their backends, or of another one.
ALWAYS_INLINE enum apus_reason open_settled(struct flow *flow)
{
	const struct apus_service *service = service_here();
	enum apus_reason reason;

	if (!service || likely(!service->affinity))
		return open_translation(flow, 0);
	reason = open_translation(flow, affinity_find(service, is_from_outside(), &flow->packet.source, flow->now));
	if (!reason)
		affinity_note(&flow->packet.source, service->affinity, &flow->packet.destination, flow->now);
	return reason;
}

// Why the client may not open a connection to flow->service, APUS_REASON_NONE if it may. Where nobody has a backend the
// client is refused like anyone else, which comes out later.
ALWAYS_INLINE enum apus_reason check_client(const struct flow *flow, const struct apus_service *service)
{
	if (likely(!service->source_ranges) && !is_from_outside())
		return APUS_REASON_NONE;
	if (!(service->slot_count | (service->flags & APUS_SERVICE_ELSEWHERE)))
		return APUS_REASON_NONE;
	if (service->source_ranges && !source_is_in_range(service->source_ranges, &flow->packet.source))
		return APUS_REASON_SOURCE_RANGE;
	return is_from_outside() && !service->outside_slot_count ? APUS_REASON_NO_LOCAL_BACKEND : APUS_REASON_NONE;
}

// What opens is led by a copy of its Service's entry, which is made here (service_here); that of a socket that is led
// on was made with the look at its record. Returns APUS_REASON_NONE, or why the client may not open.
COLD int admit_client(const struct flow *flow)
{
	const struct apus_service *service = service_here();

	if (!flow || !service)
		return APUS_REASON_NO_BACKEND;
	if (likely(!flow->cut_off) && !copy_service_here(&flow->frontend, flow->frontend_port, flow->packet.protocol))
		return APUS_REASON_NO_BACKEND;
	return check_client(flow, service);
}

// Translates a packet to a Service, as find_translation has found it, and finds its connection to the backend. Returns
// APUS_REASON_NONE, or why the packet can't go on.
//
// `aims`: of a client outside, the connection is the one that was found with the backend, and the caller rewrites the
// packet.
ALWAYS_INLINE enum apus_reason translate_found(struct __sk_buff *skb, struct flow *flow, int state, _Bool aims)
{
	enum apus_reason reason = APUS_REASON_NONE;

	if (state == TRANSLATION_GONE)
		reason = APUS_REASON_NO_BACKEND;
	else if (state == TRANSLATION_TAKEN)
		reason = APUS_REASON_SOURCE_PORT;
	else if (state == TRANSLATION_FRESH)
		reason = admit_client(flow);
	if (!reason && state == TRANSLATION_FRESH)
		reason = open_settled(flow);
	if (reason) {
		flow->packet.destination = flow->frontend;
		flow->packet.destination_port = flow->frontend_port;
		take_own_port(flow);
		return reason;
	}
	return aims ? follow_found(flow) : follow_translation(skb, flow);
}

// The port of a packet to a backend itself, from a port from which the pod has a connection with that one through a
// Service: the packet is led as if the backend's address were a frontend. 0: it continues nothing and can't open, or no
// port is free.
GLOBAL int port_beside(const struct packet *packet, __u64 now)
{
	struct apus_translation_key key;
	struct apus_translation fresh = {.flags = APUS_TRANSLATION_OTHER_PORT};
	const struct apus_translation *known;
	int port;

	if (!packet)
		return 0;
	translation_key(packet, &key);
	fresh.backend = packet->destination;
	fresh.backend_port = packet->destination_port;
	port = other_port(&key, &fresh.backend, fresh.backend_port, now);
	known = translation_find(&key);
	if (likely(known && known->flags & APUS_TRANSLATION_OTHER_PORT && leads_to_itself(&key, known)))
		return (__u16)port;
	// What is recorded next must not be hidden by it.
	bpf_map_delete_elem(&translations, &key);
	if (!(port & OTHER_PORT_HELD) && tells_openings(packet->protocol) && !is_connection_opening(packet))
		return 0;
	return translation_record(&key, &fresh) < 0 ? 0 : (__u16)port;
}

// As find_translation, for such a packet.
ALWAYS_INLINE int lead_beside(struct flow *flow)
{
	flow->frontend = flow->packet.destination;
	flow->frontend_port = flow->packet.destination_port;
	flow->packet.source_port = port_beside(&flow->packet, flow->now);
	return flow->packet.source_port ? TRANSLATION_KNOWN : TRANSLATION_TAKEN;
}

// Translates a packet if it is to a Service; flow->connection_flags says whether it was. Anything else stays as it is,
// but for what no Service has of a Service's address: that is refused.
ALWAYS_INLINE enum apus_reason translate_packet(struct __sk_buff *skb, struct flow *flow)
{
	int state = find_translation(flow);

	if (state == TRANSLATION_NONE && unlikely(flow->beside))
		state = lead_beside(flow);
	if (state == TRANSLATION_NONE)
		return refuses_port(flow) ? APUS_REASON_NO_BACKEND : APUS_REASON_NONE;
	return translate_found(skb, flow, state, 0);
}
