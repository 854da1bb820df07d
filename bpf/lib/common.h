// What every kernel-side header needs: helpers, byte order, and the few macros of the project.
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/abi.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
// Keeps cold code out of the hot path.
#define COLD static __attribute__((noinline))
// A global function: the verifier checks it once, by its types alone, and not again for every path that calls it.
// So its pointers may be NULL, and what they point to must hold no kernel pointers.
#define GLOBAL __attribute__((noinline))

#define likely(condition)   __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

// tcx return values (include/uapi/linux/bpf.h, enum tcx_action_base); older UAPI headers lack them.
enum {
	TCX_NEXT_PROGRAM = -1,
	TCX_DROP_PACKET = 2,
};

// Set by the agent before loading (docs/datapath.md).
const volatile struct apus_config config;

ALWAYS_INLINE void count(__u64 *counter, __u64 amount)
{
	// The value is shared by CPUs; without a use of the result this is one locked add.
	__sync_fetch_and_add(counter, amount);
}
