// Constants that the agent sets before the programs are loaded; the verifier drops what they switch off.
#pragma once

#include <linux/types.h>

// Bumped whenever a layout or a meaning in this folder changes: pins of another version are rebuilt, not reused, but
// for what both versions have alike.
enum {
	APUS_ABI_VERSION = 14,
};

// Maps whose content outlives a change of the version when theirs did not change. Which map is in which group:
// MapLayouts.
enum {
	APUS_LAYOUT_NUMBERS, // endpoints, backends and names: what connections refer to
	APUS_LAYOUT_POLICIES,
	APUS_LAYOUT_SERVICES,
	APUS_LAYOUT_CONNECTIONS, // and what else is known of traffic: affinities, questions, sockets
	APUS_LAYOUT_LEARNED, // under names
	APUS_LAYOUT_COUNT,
};

// The version since which each group is as it is now. Who changes a layout or a meaning in one sets it to the new
// version.
enum {
	APUS_NUMBERS_SINCE = 10,
	APUS_POLICIES_SINCE = 10,
	APUS_SERVICES_SINCE = 14,
	APUS_CONNECTIONS_SINCE = 10,
	APUS_LEARNED_SINCE = 6,
	// How names are hashed, which are the keys of what was learned: where that changed it is learned again by the
	// names' text.
	APUS_NAME_HASH_SINCE = 11,
};

// What is told of flows.
enum {
	APUS_FLOW_DETAIL_NONE, // nothing at all
	APUS_FLOW_DETAIL_CONNECTIONS, // openings and ends; denied packets in sums
	APUS_FLOW_DETAIL_PACKETS, // each packet besides
};

// What goes to a backend elsewhere wrapped, for that one's node to answer the client itself.
enum {
	APUS_DIRECT_RETURN_CONNECTIONS = 1, // TCP and SCTP
	APUS_DIRECT_RETURN_DATAGRAMS = 2,
};

struct apus_config {
	__u64 half_open_timeout_ns; // not answered yet
	__u64 established_timeout_ns; // TCP and SCTP, idle
	__u64 closing_timeout_ns; // TCP and SCTP after their end
	__u64 datagram_timeout_ns; // everything else, idle
	__u64 denial_interval_ns; // a denied flow is reported at most once in this time
	__u64 fragment_timeout_ns;
	__u64 name_minimum_ns; // the shortest lifetime of an answer
	__u64 name_grace_ns; // how much longer an answer counts than it lives
	__u64 question_timeout_ns; // how long a question to a resolver waits for its answer
	__u64 node_namespace; // cookie of the node's network namespace
	__u32 wakeup_bytes; // unread bytes of the ring that wake its reader
	__u8 redirect_peer; // deliver to local pods without the host's stack
	__u8 flow_detail; // APUS_FLOW_DETAIL_…
	__u8 keep_connections; // a new policy generation doesn't reach live connections
	__u8 direct_return; // APUS_DIRECT_RETURN_…
	__u16 source_port_first; // the node's ports for what leaves in its name, host byte order
	__u16 source_port_count;
	__u32 address_share; // entries of `learned_addresses` that one policy may have
	__u32 name_share; // and names in them
	__u8 redirect_uplink; // forward what clients outside and backends elsewhere send without the host's stack
	__u8 padding[3];
};

_Static_assert(sizeof(struct apus_config) == 104, "config layout");

// The only element of `datapath_info`: what a reader needs to know before it reads anything else.
struct apus_info {
	__u32 abi_version;
	__u32 next_identity; // what the next new endpoint gets; kept here so that a restarted agent never gives one
			     // twice
	__u64 started_ns; // CLOCK_REALTIME when these maps were created
	char node[256]; // node name
	// By group, so that another version knows what it can take over. Versions up to 10 do not have it.
	__u32 layouts[APUS_LAYOUT_COUNT];
	__u32 padding;
};

_Static_assert(sizeof(struct apus_info) == 296, "info layout");
