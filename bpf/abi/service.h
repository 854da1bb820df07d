// Services: frontends that lead to ranges of slots, slots that lead to backends.
#pragma once

#include "address.h"
#include "reason.h"

// A frontend; the key of `services`. Port and protocol 0: all that no other entry has of the address, where nobody has
// a backend.
struct apus_service_key {
	struct apus_address address;
	__u16 port; // network byte order
	__u8 protocol;
	__u8 padding[5];
};

// Why a Service has a frontend.
enum APUS_CLOSED_ENUM apus_service_kind {
	APUS_SERVICE_CLUSTER_IP, // 0: `is_not_for_sender` tells it by that
	APUS_SERVICE_LOAD_BALANCER,
	APUS_SERVICE_EXTERNAL_IP,
	APUS_SERVICE_NODE_PORT,
};

enum apus_service_flag {
	APUS_SERVICE_NODE_ONLY = 1, // for processes in the node's network namespace: another one's loopback is its own
	APUS_SERVICE_NODE_DENIED = 2, // not for them: the node's addresses are in none of the source ranges
	APUS_SERVICE_FOR_OUTSIDE = 4, // of a ClusterIP: clients from outside are served, too, as by the other kinds
	APUS_SERVICE_ELSEWHERE =
		8, // nobody has a backend here, as traffic stays on the nodes of those, which others are
};

struct apus_service {
	__u32 first_slot;
	__u32 slot_count; // 0: no backend, connections are refused
	__u32 outside_first_slot; // what clients from outside of the node get instead, who come in by an uplink
	__u32 outside_slot_count;
	__u32 service; // id in `names`
	__u8 kind; // enum apus_service_kind
	__u8 flags; // enum apus_service_flag
	// Slots behind those for clients from outside that are the table by which their connections are led (Maglev);
	// 0: there is none, and chance leads them.
	__u16 table_size;
	__u32 affinity; // id of the whole Service in `names`: a client keeps its backend on all ports; 0: it keeps none
	__u32 affinity_seconds; // for so long after its last new connection
	__u32 source_ranges; // id of the whole Service in `names`, whose clients `source_ranges` has; 0: all may come
};

// Where the clients of a Service may be; a key of the prefix trie `source_ranges`. The id counts to the prefix.
struct apus_source_range_key {
	__u32 prefix_length; // in bits, those of the id and 96 of IPv4 included
	__u32 service; // `source_ranges` of the frontend
	__u8 address[16];
};

enum {
	APUS_SOURCE_RANGE_FIXED_BITS = 32,
};

enum apus_uplink_flag {
	APUS_UPLINK_SERVES = 1, // Services have frontends for clients who come in by it
	APUS_UPLINK_MASQUERADES = 2, // what pods send out by it leaves in the node's name
};

// An interface that leads out of the node, by its index: what leaves by it in the node's name comes from.
struct apus_uplink {
	struct apus_address v4; // zero: it has none
	struct apus_address v6;
	__u32 flags; // enum apus_uplink_flag
	__u32 route_mtu; // the least that a route of IPv4 by it says that it takes, bytes; 0: none says so
};

// Value of the prefix trie `node_ranges`, keyed by struct apus_prefix_key: addresses of the cluster's nodes, and of the
// other nodes' pods.
enum apus_node_range_flag {
	APUS_NODE_RANGE_SENDS = 1, // a node's own: what comes wrapped from there is unwrapped
	APUS_NODE_RANGE_UNWRAPS = 2, // what goes there wrapped reaches a node that unwraps it
	APUS_NODE_RANGE_OWN = 4, // this node's own, from which others unwrap
};

enum apus_backend_flag {
	// It serves no more: no frontend leads there, and the entry is there for packets alone that have read a slot
	// before.
	APUS_BACKEND_GONE = 1,
};

enum {
	APUS_BACKEND_OF_ALL = 1, // in `in_use`
};

// One element of the memory-mapped array `backends`; `slots` holds indexes into it. Index 0 stays unused.
struct apus_backend {
	struct apus_address address;
	__u16 port; // network byte order
	__u8 protocol;
	__u8 flags; // enum apus_backend_flag
	// 0: free. APUS_BACKEND_OF_ALL: of every Service port that leads there. Else a hash of the one that it is of:
	// with UDP, as flows leave what serves that one no more (docs/decisions/0015).
	__u32 in_use;
};

// Which client of a Service; the key of `affinities`. A network namespace of which no address is known, as the node's
// own, is a client too: ones in the high half, its cookie in the low one.
struct apus_affinity_key {
	struct apus_address client;
	__u32 service; // `affinity` of the frontend
	__u32 padding;
};

// The backend that the client had last: its address only, as each port of the Service leads to another port of it.
struct apus_affinity {
	struct apus_address backend;
	__u64 seen_ns; // CLOCK_MONOTONIC, of the last new connection
};

// The pod in a network namespace, by the namespace's cookie: learned from what its sockets send, as a socket has no
// address yet when it connects. Another identity in the slot: the pod is gone.
struct apus_namespace {
	__u32 endpoint; // slot
	__u32 identity;
};

enum {
	APUS_SOCKET_TRANSLATIONS = 8,
};

struct apus_socket_translation {
	struct apus_address frontend;
	struct apus_address backend;
	__u16 frontend_port; // network byte order
	__u16 backend_port;
	__u32 backend_index; // 0: unused entry
	__u32 affinity; // of the frontend
	__u32 padding;
	__u64 network_namespace; // cookie of the socket's
};

// What a TCP socket of a pod is connected through.
struct apus_socket_record {
	__u64 cookie; // of the socket; 0: no record
	struct apus_socket_translation translation;
};

// What was translated at an unconnected UDP socket, which may talk to several frontends.
struct apus_socket_translations {
	struct apus_socket_translation entries[APUS_SOCKET_TRANSLATIONS];
	__u32 next; // the entry that the next frontend takes
	__u32 padding;
};

_Static_assert(sizeof(struct apus_service_key) == 24, "service key layout");
_Static_assert(sizeof(struct apus_service) == 36, "service layout");
_Static_assert(sizeof(struct apus_source_range_key) == 24, "source range key layout");
_Static_assert(sizeof(struct apus_uplink) == 40, "uplink layout");
_Static_assert(sizeof(struct apus_affinity_key) == 24, "affinity key layout");
_Static_assert(sizeof(struct apus_affinity) == 24, "affinity layout");
_Static_assert(sizeof(struct apus_namespace) == 8, "namespace layout");
_Static_assert(sizeof(struct apus_backend) == 24, "backend layout");
// With what the kernel adds, 128 bytes: a larger one would cost each connection the next size of memory.
_Static_assert(sizeof(struct apus_socket_translation) == 56, "socket translation layout");
// One line of a cache.
_Static_assert(sizeof(struct apus_socket_record) == 64, "socket record layout");
