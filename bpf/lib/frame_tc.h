// The frame that a program of tcx has. A program includes this header or frame_xdp.h before any other; what is written
// for frames of both kinds calls them `frame_t`, and reads them by what both headers have.
#pragma once

#include "common.h"

typedef struct __sk_buff frame_t;

// Read anew each time: where the compiler keeps the number of an earlier look, the verifier takes it for no pointer.
ALWAYS_INLINE const void *frame_end(const frame_t *frame)
{
	return (const void *)(long)*(const volatile __u32 *)&frame->data_end;
}

// A header at a constant offset, read where it lies; NULL when the frame is shorter. Headers lie in the linear part
// almost always. What comes to lie elsewhere by it are the bytes of the frame's start: earlier pointers are stale.
ALWAYS_INLINE const void *header_at(frame_t *frame, __u32 offset, __u32 size)
{
	const void *start = (const void *)(long)frame->data;

	if (likely(start + offset + size <= frame_end(frame)))
		return start + offset;
	if (bpf_skb_pull_data(frame, offset + size) < 0)
		return NULL;
	start = (const void *)(long)frame->data;
	return start + offset + size <= frame_end(frame) ? start + offset : NULL;
}

// Copies bytes from anywhere in the frame; negative where it is shorter.
ALWAYS_INLINE long frame_load(frame_t *frame, __u32 offset, void *to, __u32 size)
{
	return bpf_skb_load_bytes(frame, offset, to, size);
}

ALWAYS_INLINE __u32 frame_length(const frame_t *frame)
{
	return frame->len;
}

// The EtherType, in network byte order.
ALWAYS_INLINE __be16 frame_protocol(const frame_t *frame)
{
	return frame->protocol;
}

// The interface that it came in or goes out by.
ALWAYS_INLINE __u32 frame_interface(const frame_t *frame)
{
	return frame->ifindex;
}

// Whether it stands for several that the kernel has merged or will part.
ALWAYS_INLINE _Bool frame_is_merged(const frame_t *frame)
{
	return frame->gso_size != 0;
}

// Whether a tag was taken out of it, and which.
ALWAYS_INLINE _Bool frame_was_tagged(const frame_t *frame)
{
	return frame->vlan_present != 0;
}

ALWAYS_INLINE __u32 frame_tag(const frame_t *frame)
{
	return frame->vlan_tci;
}
