// Addresses: building and comparing them.
#pragma once

#include "common.h"

enum {
	ADDRESS_FAMILY_IPV4 = 2, // AF_INET and AF_INET6; <sys/socket.h> would pull in the C library
	ADDRESS_FAMILY_IPV6 = 10,
};

ALWAYS_INLINE struct apus_address address_from_v4(__be32 bits)
{
	return (struct apus_address){
		.high = 0,
		.low = bpf_cpu_to_be64(0xffff00000000ull | bpf_ntohl(bits)),
	};
}

ALWAYS_INLINE struct apus_address address_from_v6(const __be32 words[4])
{
	return (struct apus_address){
		.high = (__u64)words[1] << 32 | words[0],
		.low = (__u64)words[3] << 32 | words[2],
	};
}

ALWAYS_INLINE __be32 address_v4_bits(const struct apus_address *address)
{
	return bpf_htonl((__u32)bpf_be64_to_cpu(address->low));
}

ALWAYS_INLINE _Bool address_is_v4(const struct apus_address *address)
{
	return address->high == 0 && (__u32)address->low == bpf_htonl(0xffff);
}

ALWAYS_INLINE _Bool address_equal(const struct apus_address *left, const struct apus_address *right)
{
	return left->low == right->low && left->high == right->high;
}

ALWAYS_INLINE _Bool address_is_zero(const struct apus_address *address)
{
	return (address->high | address->low) == 0;
}

// Memory order, not numeric order: all that matters is that both directions of a connection agree.
ALWAYS_INLINE int address_compare(const struct apus_address *left, const struct apus_address *right)
{
	if (left->low != right->low)
		return left->low < right->low ? -1 : 1;
	if (left->high != right->high)
		return left->high < right->high ? -1 : 1;
	return 0;
}

// One step of a hash over words.
ALWAYS_INLINE __u64 mix_in(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 32;
}

// fe80::/10
ALWAYS_INLINE _Bool address_is_v6_link_local(const struct apus_address *address)
{
	return (address->high & bpf_cpu_to_be64(0xffc0000000000000ull)) == bpf_cpu_to_be64(0xfe80000000000000ull);
}
