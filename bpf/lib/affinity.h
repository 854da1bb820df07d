// Session affinity: a client of a Service stays with its backend, whichever port it asks for.
#pragma once

#include "endpoint.h"
#include "service.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct apus_affinity_key);
	__type(value, struct apus_affinity);
} affinities SEC(".maps");

// Keyed by the cookie of a network namespace.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct apus_namespace);
} network_namespaces SEC(".maps");

enum {
	// Halvings of a range of slots until one is left: enough for every range that fits into 32 bits.
	SLOT_SEARCH_STEPS = 32,
};

// A client that is only known by its network namespace: no address begins with so many ones.
ALWAYS_INLINE struct apus_address client_without_address(__u64 cookie)
{
	return (struct apus_address){.high = ~0ull, .low = cookie};
}

// The pod in a network namespace; NULL where it is not known.
ALWAYS_INLINE const struct apus_endpoint *endpoint_of_namespace(__u64 cookie)
{
	const struct apus_namespace *known = bpf_map_lookup_elem(&network_namespaces, &cookie);
	const struct apus_endpoint *endpoint = known ? endpoint_at(known->endpoint) : NULL;

	return endpoint && endpoint->identity == known->identity ? endpoint : NULL;
}

// What a socket's client is called: the address that it will send from, as its packets would be called, or its
// namespace where that address is not known.
ALWAYS_INLINE struct apus_address client_of_namespace(__u64 cookie, const struct apus_address *frontend)
{
	const struct apus_endpoint *endpoint = endpoint_of_namespace(cookie);

	if (!endpoint)
		return client_without_address(cookie);
	if (!address_is_zero(&endpoint->addresses[0]) &&
	    address_is_v4(&endpoint->addresses[0]) == address_is_v4(frontend))
		return endpoint->addresses[0];
	if (!address_is_zero(&endpoint->addresses[1]) &&
	    address_is_v4(&endpoint->addresses[1]) == address_is_v4(frontend))
		return endpoint->addresses[1];
	return client_without_address(cookie);
}

// A socket of this namespace has sent as this pod.
GLOBAL int learn_namespace(__u64 cookie, __u32 slot, __u32 identity)
{
	struct apus_namespace fresh = {.endpoint = slot, .identity = identity};
	const struct apus_namespace *known;

	if (!cookie)
		return 0;
	known = bpf_map_lookup_elem(&network_namespaces, &cookie);
	if (!known || known->endpoint != slot || known->identity != identity)
		bpf_map_update_elem(&network_namespaces, &cookie, &fresh, BPF_ANY);
	return 0;
}

// The client has this backend from now on.
GLOBAL int affinity_note(const struct apus_address *client, __u32 service, const struct apus_address *backend,
			 __u64 now)
{
	struct apus_affinity_key key = {.service = service};
	struct apus_affinity fresh = {.seen_ns = now};

	if (!client || !backend)
		return 0;
	key.client = *client;
	fresh.backend = *backend;
	bpf_map_update_elem(&affinities, &key, &fresh, BPF_ANY);
	return 0;
}

// Whether an address comes before another one, as numbers: the order of a Service's backends in its slots.
ALWAYS_INLINE _Bool address_precedes(const struct apus_address *left, const struct apus_address *right)
{
	if (left->high != right->high)
		return bpf_be64_to_cpu(left->high) < bpf_be64_to_cpu(right->high);
	return bpf_be64_to_cpu(left->low) < bpf_be64_to_cpu(right->low);
}

// The index of the Service's backend with this address; 0: there is none.
ALWAYS_INLINE __u32 backend_index_of(const struct apus_service *service, _Bool outside,
				     const struct apus_address *address)
{
	__u32 low = first_slot_of(service, outside), count = slot_count_of(service, outside), slot;

	for (int i = 0; i < SLOT_SEARCH_STEPS && count; i++) {
		const __u32 *index;
		const struct apus_backend *backend;

		slot = low + count / 2;
		index = bpf_map_lookup_elem(&slots, &slot);
		backend = index ? backend_at(*index) : NULL;
		if (!backend)
			return 0; // the slots are on their way out: any new choice is as good
		if (address_equal(&backend->address, address))
			return *index;
		if (address_precedes(&backend->address, address)) {
			low = slot + 1;
			count -= count / 2 + 1;
		} else {
			count /= 2;
		}
	}
	return 0;
}

// The index of the backend that the client still has, as this frontend leads to it; 0: none that serves.
GLOBAL __u32 affinity_find(const struct apus_service *service, __u32 outside, const struct apus_address *client,
			   __u64 now)
{
	struct apus_affinity_key key = {};
	struct apus_affinity *known;
	__u32 index;

	if (!service || !client)
		return 0;
	key.client = *client;
	key.service = service->affinity;
	known = bpf_map_lookup_elem(&affinities, &key);
	// Another CPU may have noted a connection after this one took its time.
	if (!known || (__s64)(now - known->seen_ns) > (__s64)service->affinity_seconds * 1000000000)
		return 0;
	index = backend_index_of(service, outside, &known->backend);
	if (index)
		known->seen_ns = now;
	return index;
}

// Picks for a new connection of the client: the backend it has, or another that it has from now on.
ALWAYS_INLINE struct picked_backend affinity_pick(const struct apus_service *service, const struct apus_address *client,
						  __u32 number, __u64 now)
{
	struct picked_backend picked = {.index = affinity_find(service, 0, client, now)};

	picked.backend = backend_at(picked.index);
	if (picked.backend)
		return picked;
	picked = service_pick(service, 0, number, 0);
	if (picked.backend)
		affinity_note(client, service->affinity, &picked.backend->address, now);
	return picked;
}
