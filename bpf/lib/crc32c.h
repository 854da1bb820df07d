// How a change of some bytes changes a CRC32c (RFC 9260, appendix A) without a look at the others.
//
// A CRC is linear: that of a changed packet is the former one plus that of the difference, in which all bytes but the
// changed ones are zero; the value that it begins with and the inversion at its end cancel out. Each zero byte that
// follows multiplies by x^8, modulo the polynomial. Numbers are reflected: their highest bit stands for x^0, and sums
// are exclusive ors.
#pragma once

#include "common.h"

#define CRC32C_POLYNOMIAL 0x82f63b78u

// x^(8 * 2^n): what as many zero bytes as the n-th bit of their number stands for multiply by. Enough for any packet.
#define CRC32C_POWERS                                                                                                  \
	{0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a, 0xb82be955, 0xb8fdb1e7, 0x88e56f72,   \
	 0x74c360a4, 0xe4172b16, 0x0d65762a, 0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc, 0xfe7740e6}

enum {
	CRC32C_LENGTH_BITS = 17,
};

// The same steps whatever the numbers are: the verifier follows one path.
COLD __u32 crc32c_multiply(__u32 left, __u32 right)
{
	__u32 product = 0;

#pragma clang loop unroll(disable)
	for (int bit = 0; bit < 32; bit++) {
		product ^= right & -(left >> 31);
		left <<= 1;
		right = (right >> 1) ^ (CRC32C_POLYNOMIAL & -(right & 1));
	}
	return product;
}

// What changes in the CRC of a packet by a difference in its bytes.
//
// `difference`: of up to four bytes that follow each other, the first one lowest.
// `length`: bytes from the first one of these to the end of the packet.
GLOBAL __u32 crc32c_change(__u32 difference, __u32 length)
{
	static const __u32 powers[CRC32C_LENGTH_BITS] = CRC32C_POWERS;

#pragma unroll
	for (int bit = 0; bit < CRC32C_LENGTH_BITS; bit++) {
		if (length >> bit & 1)
			difference = crc32c_multiply(difference, powers[bit]);
	}
	return difference;
}
