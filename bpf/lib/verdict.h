// What judging a packet by a policy goes through and comes to.
#pragma once

#include "common.h"

// What judging came to. `reason` is APUS_REASON_NONE for allowed.
struct verdict {
	__u32 reason;
	__u32 policy;
	__u32 rule;
};

// What is asked of a policy, and how far judging has come through its tiers. They are in rule order, so a page never
// leads back to an earlier tier.
struct judgement {
	struct verdict verdict; // verdict.policy: the policy that is asked
	__u32 class_id; // of the peer
	__u16 port; // network byte order
	__u8 protocol;
	__u8 decided;
	__u8 passed; // an Admin rule said pass: no later Admin rule counts
	__u8 enforces; // what is in audit mode counts as if it were not
	__u8 policy_flags; // enum apus_policy_flag, of the policy
	__u8 learned; // `learned_peer` of this CPU holds what the names of the peer admit
	__u32 audited; // allowed: the rule that would have denied without audit mode, APUS_RULE_NONE: none
};
