// Service translation at the socket: once per connection instead of once per packet.
#pragma once

#include "service.h"

#include <linux/errno.h>

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct apus_socket_translations);
} socket_translations SEC(".maps");

enum socket_result {
	SOCKET_UNCHANGED,
	SOCKET_TRANSLATED,
	SOCKET_REFUSED,
};

struct socket_destination {
	struct apus_address address;
	__u16 port; // network byte order
};

ALWAYS_INLINE struct apus_socket_translation *translation_of_frontend(struct apus_socket_translations *translations,
								      const struct socket_destination *frontend)
{
#pragma unroll
	for (int i = 0; i < APUS_SOCKET_TRANSLATIONS; i++) {
		struct apus_socket_translation *entry = &translations->entries[i];

		if (entry->backend_index && entry->frontend_port == frontend->port &&
		    address_equal(&entry->frontend, &frontend->address))
			return entry;
	}
	return NULL;
}

ALWAYS_INLINE struct apus_socket_translation *translation_of_backend(struct apus_socket_translations *translations,
								     const struct socket_destination *backend)
{
#pragma unroll
	for (int i = 0; i < APUS_SOCKET_TRANSLATIONS; i++) {
		struct apus_socket_translation *entry = &translations->entries[i];

		if (entry->backend_index && entry->backend_port == backend->port &&
		    address_equal(&entry->backend, &backend->address))
			return entry;
	}
	return NULL;
}

ALWAYS_INLINE void remember(struct apus_socket_translations *translations, const struct socket_destination *frontend,
			    const struct apus_backend *backend, __u32 index)
{
	__u32 place = translations->next++ % APUS_SOCKET_TRANSLATIONS;
	struct apus_socket_translation *entry = &translations->entries[place];

	entry->frontend = frontend->address;
	entry->frontend_port = frontend->port;
	entry->backend = backend->address;
	entry->backend_port = backend->port;
	entry->backend_index = index;
}

// An unconnected socket stays with the backend it had for a frontend, as a connected one would.
ALWAYS_INLINE const struct apus_backend *backend_used_before(struct apus_socket_translations *translations,
							     const struct socket_destination *frontend)
{
	const struct apus_socket_translation *entry = translation_of_frontend(translations, frontend);
	const struct apus_backend *backend = entry ? backend_at(entry->backend_index) : NULL;

	if (backend && backend->port == entry->backend_port && address_equal(&backend->address, &entry->backend))
		return backend;
	return NULL;
}

// Replaces a frontend in `destination` by one of its backends and notes it in the socket's storage.
ALWAYS_INLINE enum socket_result socket_translate(struct bpf_sock_addr *context, struct socket_destination *destination,
						  _Bool connects)
{
	const struct apus_service *service;
	struct apus_socket_translations *translations;
	const struct apus_backend *backend;
	struct picked_backend picked;

	service = service_find(&destination->address, destination->port, context->protocol);
	if (!service)
		return SOCKET_UNCHANGED;
	picked = service_pick(service, bpf_get_prandom_u32(), 0);
	if (!picked.backend)
		return SOCKET_REFUSED;
	translations = bpf_sk_storage_get(&socket_translations, context->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!translations)
		return SOCKET_REFUSED; // without a record, replies could not be given their frontend back
	backend = connects ? NULL : backend_used_before(translations, destination);
	if (!backend) {
		struct apus_socket_translation *old = translation_of_frontend(translations, destination);

		if (old)
			old->backend_index = 0;
		backend = picked.backend;
		remember(translations, destination, backend, picked.index);
	}
	destination->address = backend->address;
	destination->port = backend->port;
	return SOCKET_TRANSLATED;
}

// Gives an answer of a backend (recvmsg) or a peer's name (getpeername) the frontend that was asked for.
ALWAYS_INLINE _Bool socket_reverse(struct bpf_sock_addr *context, struct socket_destination *peer)
{
	struct apus_socket_translations *translations = bpf_sk_storage_get(&socket_translations, context->sk, NULL, 0);
	const struct apus_socket_translation *entry;

	entry = translations ? translation_of_backend(translations, peer) : NULL;
	if (!entry)
		return 0;
	peer->address = entry->frontend;
	peer->port = entry->frontend_port;
	return 1;
}

ALWAYS_INLINE void load_v4(struct bpf_sock_addr *context, struct socket_destination *destination)
{
	destination->address = address_from_v4(context->user_ip4);
	destination->port = context->user_port;
}

ALWAYS_INLINE void store_v4(struct bpf_sock_addr *context, const struct socket_destination *destination)
{
	context->user_ip4 = address_v4_bits(&destination->address);
	context->user_port = destination->port;
}

ALWAYS_INLINE void load_v6(struct bpf_sock_addr *context, struct socket_destination *destination)
{
	__be32 words[4] = {context->user_ip6[0], context->user_ip6[1], context->user_ip6[2], context->user_ip6[3]};

	destination->address = address_from_v6(words);
	destination->port = context->user_port;
}

ALWAYS_INLINE void store_v6(struct bpf_sock_addr *context, const struct socket_destination *destination)
{
	context->user_ip6[0] = (__u32)destination->address.high;
	context->user_ip6[1] = destination->address.high >> 32;
	context->user_ip6[2] = (__u32)destination->address.low;
	context->user_ip6[3] = destination->address.low >> 32;
	context->user_port = destination->port;
}

// The program's return value: 1 goes on, 0 fails with the errno that was set.
ALWAYS_INLINE int socket_finish(enum socket_result result)
{
	if (result != SOCKET_REFUSED)
		return 1;
	bpf_set_retval(-ECONNREFUSED);
	return 0;
}

ALWAYS_INLINE int socket_send_v4(struct bpf_sock_addr *context, _Bool connects)
{
	struct socket_destination destination;
	enum socket_result result;

	load_v4(context, &destination);
	result = socket_translate(context, &destination, connects);
	if (result == SOCKET_TRANSLATED)
		store_v4(context, &destination);
	return socket_finish(result);
}

ALWAYS_INLINE int socket_send_v6(struct bpf_sock_addr *context, _Bool connects)
{
	struct socket_destination destination;
	enum socket_result result;

	load_v6(context, &destination);
	result = socket_translate(context, &destination, connects);
	if (result == SOCKET_TRANSLATED)
		store_v6(context, &destination);
	return socket_finish(result);
}

ALWAYS_INLINE int socket_receive_v4(struct bpf_sock_addr *context)
{
	struct socket_destination peer;

	load_v4(context, &peer);
	if (socket_reverse(context, &peer))
		store_v4(context, &peer);
	return 1;
}

ALWAYS_INLINE int socket_receive_v6(struct bpf_sock_addr *context)
{
	struct socket_destination peer;

	load_v6(context, &peer);
	if (socket_reverse(context, &peer))
		store_v6(context, &peer);
	return 1;
}
