// Internet checksums (RFC 1071), changed by what changes under them (RFC 1624).
#pragma once

#include "common.h"

// A sum of 16-bit words, of which the carries are added; never 0 but of nothing but zeros.
ALWAYS_INLINE __u16 checksum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

// The checksum of what has changed by a difference, as bpf_csum_diff gives it.
ALWAYS_INLINE __u16 checksum_changed(__u16 checksum, __u32 difference)
{
	// All of its bits, as the kernel does it: so the sum is never 0.
	return ~checksum_fold((__u64)(__u32)~checksum + difference);
}

// That of an IPv4 header whose hop count falls by one: the field falls by 0x0100, so its complement's sum rises by as
// much.
ALWAYS_INLINE __u16 checksum_after_hop(__u16 checksum)
{
	__u32 sum = checksum + bpf_htons(0x0100);

	return sum + (sum >= 0xffff);
}
