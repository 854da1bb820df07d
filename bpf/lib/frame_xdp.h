// The frame that a program of XDP has: as frame_tc.h has it for tcx, before the kernel has made anything of it.
#pragma once

#include <linux/if_ether.h>

#include "common.h"

typedef struct xdp_md frame_t;

// A header at a constant offset, read where it lies; NULL when the frame is shorter, or its start is.
ALWAYS_INLINE const void *header_at(frame_t *frame, __u32 offset, __u32 size)
{
	const void *start = (const void *)(long)frame->data;
	const void *end = (const void *)(long)*(const volatile __u32 *)&frame->data_end;

	return start + offset + size <= end ? start + offset : NULL;
}

ALWAYS_INLINE long frame_load(frame_t *frame, __u32 offset, void *to, __u32 size)
{
	return bpf_xdp_load_bytes(frame, offset, to, size);
}

ALWAYS_INLINE __u32 frame_length(const frame_t *frame)
{
	return (void *)(long)frame->data_end - (void *)(long)frame->data;
}

ALWAYS_INLINE __be16 frame_protocol(frame_t *frame)
{
	const struct ethhdr *link = header_at(frame, 0, sizeof(*link));

	return link ? link->h_proto : 0;
}

ALWAYS_INLINE __u32 frame_interface(const frame_t *frame)
{
	return frame->ingress_ifindex;
}

ALWAYS_INLINE _Bool frame_is_merged(const frame_t *frame)
{
	(void)frame;
	return 0;
}

// A tag that the card has taken out is not seen here (docs/decisions/0027-xdp.md).
ALWAYS_INLINE _Bool frame_was_tagged(const frame_t *frame)
{
	(void)frame;
	return 0;
}

ALWAYS_INLINE __u32 frame_tag(const frame_t *frame)
{
	(void)frame;
	return 0;
}
