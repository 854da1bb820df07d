// Names of things, so that the maps can be read without the agent.
#pragma once

#include <linux/types.h>

#include "reason.h"

enum APUS_CLOSED_ENUM apus_name_kind {
	APUS_NAME_ENDPOINT, // id: slot; text: namespace/name/uid
	APUS_NAME_SERVICE, // id: service id; text: namespace/name/port name
	// id: policy id, index: rule; text: kind/namespace/name/direction/index, and /rule name where it has one. The
	// longest name of an object leaves room for the first 94 bytes of it.
	APUS_NAME_RULE,
	APUS_NAME_PATTERN, // id: pattern set, index: one of its patterns; text: field/pattern
	// id: policy id, index: a running number; text: as many rule/field/pattern as there is room for, with spaces
	// between
	APUS_NAME_DOMAINS,
};

struct apus_name_key {
	__u32 kind; // enum apus_name_kind
	__u32 id;
	__u32 index;
};

struct apus_name {
	char text[384]; // UTF-8, padded with zero bytes
};

_Static_assert(sizeof(struct apus_name_key) == 12, "name key layout");
