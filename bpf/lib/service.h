// Services: frontends, the slots they own, and the backends in those.
#pragma once

#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct apus_service_key);
	__type(value, struct apus_service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct apus_backend);
} backends SEC(".maps");

// The backend that was picked; `backend` is NULL when the Service has none.
struct picked_backend {
	const struct apus_backend *backend;
	__u32 index;
};

// Looks twice where there seems to be none: what replaces an entry of a hash map goes to the head of its list, and a
// look-up that is behind that already meets neither.
ALWAYS_INLINE const struct apus_service *service_find(const struct apus_address *address, __u16 port, __u8 protocol)
{
	struct apus_service_key key = {.address = *address, .port = port, .protocol = protocol};
	const struct apus_service *found = bpf_map_lookup_elem(&services, &key);

	return likely(found) ? found : bpf_map_lookup_elem(&services, &key);
}

// Copies the entry of a frontend, as it was at one time: a hash map gives the memory of an entry that is replaced to
// the next one that is written, whichever that is, and a program may still read it. (Of processors that read ahead of
// time those of x86 are not.) Returns whether there is one.
ALWAYS_INLINE _Bool service_copy(struct apus_service *copy, const struct apus_address *address, __u16 port,
				 __u8 protocol)
{
	const struct apus_service *found = service_find(address, port, protocol), *again;

	if (!found)
		return 0;
	*copy = *found;
	barrier();
	again = service_find(address, port, protocol);
	if (unlikely(again && again != found))
		*copy = *again;
	return again != NULL;
}

// Where a program of tcx has its copy. Nothing else runs on the CPU meanwhile, as bottom halves are disabled.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct apus_service);
} service_copies SEC(".maps");

ALWAYS_INLINE struct apus_service *service_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&service_copies, &first);
}

// As service_copy, to there.
GLOBAL int copy_service_here(const struct apus_address *address, __u16 port, __u8 protocol)
{
	struct apus_service *copy = service_here();

	return address && copy && service_copy(copy, address, port, protocol);
}

// The Service of a frontend as a copy, which holds until the next one is made. NULL: there is none.
ALWAYS_INLINE const struct apus_service *service_settled(const struct apus_address *address, __u16 port, __u8 protocol)
{
	return copy_service_here(address, port, protocol) ? service_here() : NULL;
}

// What refuses the ports of a Service's address that no Service has: the entry of the address alone, without slots.
// NULL: the address is no Service's, or a node's, too.
ALWAYS_INLINE const struct apus_service *service_of_address(const struct apus_address *address)
{
	return service_find(address, 0, 0);
}

ALWAYS_INLINE __u32 first_slot_of(const struct apus_service *service, _Bool outside)
{
	return outside ? service->outside_first_slot : service->first_slot;
}

ALWAYS_INLINE __u32 slot_count_of(const struct apus_service *service, _Bool outside)
{
	return outside ? service->outside_slot_count : service->slot_count;
}

ALWAYS_INLINE const struct apus_backend *backend_at(__u32 index)
{
	const struct apus_backend *backend = index ? bpf_map_lookup_elem(&backends, &index) : NULL;

	return backend && backend->in_use ? backend : NULL;
}

// What was led to an entry before goes on there; NULL: it serves no more.
ALWAYS_INLINE const struct apus_backend *serving_backend_at(__u32 index)
{
	const struct apus_backend *backend = backend_at(index);

	return backend && !(backend->flags & APUS_BACKEND_GONE) ? backend : NULL;
}

// The slots that a client is led by.
struct slot_range {
	__u32 first;
	__u32 count;
};

// `outside`: for a client that came in by an uplink.
ALWAYS_INLINE struct slot_range slots_of(const struct apus_service *service, _Bool outside)
{
	struct slot_range range = {.first = first_slot_of(service, outside), .count = slot_count_of(service, outside)};

	if (range.count && outside && service->table_size) {
		range.first += range.count;
		range.count = service->table_size;
	}
	return range;
}

// Any number picks a backend; random ones spread evenly, and where there is a table the same number picks the same one
// on every node, and mostly also when other backends have gone or come. `next` goes on from there, to others where
// there are others.
ALWAYS_INLINE struct picked_backend slot_pick(struct slot_range range, __u32 number, __u32 next)
{
	struct picked_backend picked = {};
	const __u32 *index;
	__u32 slot;

	if (!range.count)
		return picked;
	// Multiply and shift maps 32 random bits to a slot without a division.
	slot = (__u32)(((__u64)number * range.count) >> 32);
	if (next)
		slot = (slot + next) % range.count;
	slot += range.first;
	index = bpf_map_lookup_elem(&slots, &slot);
	if (!index)
		return picked;
	picked.index = *index;
	picked.backend = backend_at(picked.index);
	return picked;
}

ALWAYS_INLINE struct picked_backend service_pick(const struct apus_service *service, _Bool outside, __u32 number,
						 __u32 next)
{
	return slot_pick(slots_of(service, outside), number, next);
}
