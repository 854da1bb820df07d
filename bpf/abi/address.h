// Addresses as every key, value and event of the data path holds them.
#pragma once

#include <linux/types.h>

// An IPv4 (mapped, ::ffff:a.b.c.d) or IPv6 address; both halves in network byte order.
struct apus_address {
	__u64 high;
	__u64 low;
};

_Static_assert(sizeof(struct apus_address) == 16, "an address is 16 bytes");
