// Services: frontends that lead to ranges of slots, slots that lead to backends.
#pragma once

#include "address.h"

// A frontend; the key of `services`.
struct apus_service_key {
	struct apus_address address;
	__u16 port; // network byte order
	__u8 protocol;
	__u8 padding[5];
};

struct apus_service {
	__u32 first_slot;
	__u32 slot_count; // 0: no backend, connections are refused
	__u32 service; // id in `names`
	__u32 flags;
};

// One element of the memory-mapped array `backends`; `slots` holds indexes into it. Index 0 stays unused.
struct apus_backend {
	struct apus_address address;
	__u16 port; // network byte order
	__u8 protocol;
	__u8 padding;
	__u32 in_use; // 0: free
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
};

// What was translated at an unconnected UDP socket, which may talk to several frontends.
struct apus_socket_translations {
	struct apus_socket_translation entries[APUS_SOCKET_TRANSLATIONS];
	__u32 next; // the entry that the next frontend takes
	__u32 padding;
};

_Static_assert(sizeof(struct apus_service_key) == 24, "service key layout");
_Static_assert(sizeof(struct apus_service) == 16, "service layout");
_Static_assert(sizeof(struct apus_backend) == 24, "backend layout");
_Static_assert(sizeof(struct apus_socket_translation) == 40, "socket translation layout");
