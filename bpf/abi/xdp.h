// The shortcut past the host's stack (docs/decisions/0027-xdp.md).
#pragma once

#include <linux/types.h>

#include "reason.h"

enum apus_xdp_flag {
	APUS_XDP_BOUNCES = 1, // what came in by it and is returned goes out by it again
	APUS_XDP_TRANSMITS = 2, // what is redirected to it goes out by it
};

// An uplink that has the program, by its index.
struct apus_xdp_link {
	__u8 mac[6]; // its own: frames for another one are another host's
	__u8 flags; // enum apus_xdp_flag
	__u8 padding;
};

_Static_assert(sizeof(struct apus_xdp_link) == 8, "XDP link layout");

// What became of the packets that the program has seen.
enum APUS_CLOSED_ENUM apus_xdp_counter {
	APUS_XDP_FORWARDED,
	APUS_XDP_PASSED, // to the kernel, as they came
	APUS_XDP_COUNTERS,
};
