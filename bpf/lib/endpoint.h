// Endpoints: which pod is behind an interface or an address of this node.
#pragma once

#include "epoch.h"
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct apus_address);
	__type(value, __u32);
} endpoint_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct apus_endpoint);
} endpoints SEC(".maps");

// An endpoint and its slot; `endpoint` is NULL where the node has none.
struct local_endpoint {
	const struct apus_endpoint *endpoint;
	__u32 slot;
};

ALWAYS_INLINE const struct apus_endpoint *endpoint_at(__u32 slot)
{
	const struct apus_endpoint *endpoint = slot ? bpf_map_lookup_elem(&endpoints, &slot) : NULL;

	return endpoint && endpoint->ifindex && !(endpoint->flags & APUS_ENDPOINT_LEAVING) ? endpoint : NULL;
}

// What judges an endpoint's traffic in an epoch. Masked here, too, as the verifier does not know how large a value is
// that waited on the stack.
ALWAYS_INLINE const struct apus_endpoint_epoch *endpoint_in(const struct apus_endpoint *endpoint, __u8 epoch)
{
	return &endpoint->epochs[epoch & (APUS_EPOCHS - 1)];
}

ALWAYS_INLINE struct local_endpoint endpoint_of_slot(const __u32 *slot)
{
	struct local_endpoint found = {};

	if (slot) {
		found.slot = *slot;
		found.endpoint = endpoint_at(*slot);
	}
	return found;
}

ALWAYS_INLINE struct local_endpoint endpoint_of_interface(__u32 ifindex)
{
	return endpoint_of_slot(bpf_map_lookup_elem(&interfaces, &ifindex));
}

ALWAYS_INLINE struct local_endpoint endpoint_of_address(const struct apus_address *address)
{
	return endpoint_of_slot(bpf_map_lookup_elem(&endpoint_addresses, address));
}

ALWAYS_INLINE _Bool endpoint_owns(const struct apus_endpoint *endpoint, const struct apus_address *address)
{
	return address_equal(&endpoint->addresses[0], address) || address_equal(&endpoint->addresses[1], address);
}
