// Domain names of policies: all patterns as one automaton, a row for each state.
#pragma once

#include <linux/types.h>

enum {
	// The characters of a name, case folded: letters, digits, dot, hyphen, underscore, and one for all others.
	APUS_DOMAIN_CLASSES = 40,
};

// Row 0 is the state that no name leaves.
struct apus_domain_state {
	__u32 next[APUS_DOMAIN_CLASSES]; // state after a character of each class
	__u32 set; // the patterns that match a name which ends here, 0: none; in row 0: the state where names begin
};

_Static_assert(sizeof(struct apus_domain_state) == 164, "domain state layout");
