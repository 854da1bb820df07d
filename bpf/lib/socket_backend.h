// Which backend a socket is led to, and what is remembered of it.
#pragma once

#include "socket_record.h"

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct apus_socket_translations);
} socket_translations SEC(".maps");

// What a socket is connected through that has no place among the records: of UDP, of the host, of a pod not known yet.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct apus_socket_translation);
} connected_sockets SEC(".maps");

struct socket_destination {
	struct apus_address address;
	__u16 port; // network byte order
};

ALWAYS_INLINE _Bool is_frontend_of(const struct apus_socket_translation *entry,
				   const struct socket_destination *frontend)
{
	return entry->backend_index && entry->frontend_port == frontend->port &&
	       address_equal(&entry->frontend, &frontend->address);
}

ALWAYS_INLINE _Bool is_backend_of(const struct apus_socket_translation *entry, const struct socket_destination *backend)
{
	return entry->backend_index && entry->backend_port == backend->port &&
	       address_equal(&entry->backend, &backend->address);
}

ALWAYS_INLINE struct apus_socket_translation *translation_of_frontend(struct apus_socket_translations *translations,
								      const struct socket_destination *frontend)
{
#pragma unroll
	for (int i = 0; i < APUS_SOCKET_TRANSLATIONS; i++) {
		struct apus_socket_translation *entry = &translations->entries[i];

		if (is_frontend_of(entry, frontend))
			return entry;
	}
	return NULL;
}

// The record of a socket's translation to a backend, NULL: there was none.
//
// `cookie`: of a TCP socket; 0 for others, which have no place among the records.
ALWAYS_INLINE const struct apus_socket_translation *translation_of_backend(void *socket, __u64 cookie,
									   const struct socket_destination *backend)
{
	const struct apus_socket_translation *connected = record_find(cookie);
	struct apus_socket_translations *translations;

	if (connected && is_backend_of(connected, backend))
		return connected;
	connected = bpf_sk_storage_get(&connected_sockets, socket, NULL, 0);
	if (connected && is_backend_of(connected, backend))
		return connected;
	translations = bpf_sk_storage_get(&socket_translations, socket, NULL, 0);
	if (!translations)
		return NULL;
#pragma unroll
	for (int i = 0; i < APUS_SOCKET_TRANSLATIONS; i++) {
		if (is_backend_of(&translations->entries[i], backend))
			return &translations->entries[i];
	}
	return NULL;
}

// One call for a socket that opens a connection or sends its first datagram to a Service.
struct socket_opening {
	const struct apus_service *service;
	const struct socket_destination *frontend;
	__u64 network_namespace; // cookie of the socket's
};

// Picks a backend and notes it in the socket's storage.
ALWAYS_INLINE const struct apus_backend *pick_and_remember(struct apus_socket_translation *entry,
							   const struct socket_opening *opening)
{
	const struct apus_service *service = opening->service;
	const struct socket_destination *frontend = opening->frontend;
	struct picked_backend picked;

	if (unlikely(service->affinity)) {
		struct apus_address client = client_of_namespace(opening->network_namespace, &frontend->address);

		picked = affinity_pick(service, &client, bpf_get_prandom_u32(), bpf_ktime_get_ns());
	} else {
		picked = service_pick(service, 0, bpf_get_prandom_u32(), 0);
	}
	if (!picked.backend)
		return NULL;
	entry->frontend = frontend->address;
	entry->frontend_port = frontend->port;
	entry->backend = picked.backend->address;
	entry->backend_port = picked.backend->port;
	entry->backend_index = picked.index;
	entry->affinity = service->affinity;
	entry->network_namespace = opening->network_namespace;
	return picked.backend;
}

// The backend of an earlier translation, as long as it has its entry: a second longer than it serves.
ALWAYS_INLINE const struct apus_backend *backend_led_to(const struct apus_socket_translation *entry)
{
	const struct apus_backend *backend = backend_at(entry->backend_index);

	if (backend && backend->port == entry->backend_port && address_equal(&backend->address, &entry->backend))
		return backend;
	return NULL;
}

// The backend of an earlier translation, if it still serves.
ALWAYS_INLINE const struct apus_backend *backend_used_before(const struct apus_socket_translation *entry)
{
	const struct apus_backend *backend = backend_led_to(entry);

	return backend && !(backend->flags & APUS_BACKEND_GONE) ? backend : NULL;
}

ALWAYS_INLINE __u64 cookie_of_tcp(struct bpf_sock_addr *context)
{
	return context->protocol == IPPROTO_TCP ? bpf_get_socket_cookie(context) : 0;
}

// Where a TCP socket of a known pod connects to; NULL: it needs storage of its own, or there is no backend.
ALWAYS_INLINE const struct apus_backend *connect_by_record(__u64 cookie, const struct socket_opening *opening)
{
	const struct apus_endpoint *pod = endpoint_of_namespace(opening->network_namespace);
	struct apus_socket_record *record = pod ? record_at(cookie) : NULL;
	const struct apus_backend *backend;

	if (!record)
		return NULL;
	record_clear(record);
	backend = pick_and_remember(&record->translation, opening);
	// What a pod sends to itself does not pass by.
	if (!backend || endpoint_owns(pod, &backend->address))
		return NULL;
	record->cookie = cookie;
	return backend;
}

// Where a socket connects to. NULL: there is no backend, or no record could be made, and without one replies could not
// be given their frontend back.
ALWAYS_INLINE const struct apus_backend *connect_to(struct bpf_sock_addr *context, const struct socket_opening *opening)
{
	__u64 cookie = cookie_of_tcp(context);
	const struct apus_backend *backend = cookie ? connect_by_record(cookie, opening) : NULL;
	struct apus_socket_translation *entry;

	if (likely(backend)) {
		// Of an earlier connection, before its pod was known.
		bpf_sk_storage_delete(&connected_sockets, context->sk);
		return backend;
	}
	entry = bpf_sk_storage_get(&connected_sockets, context->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	return entry ? pick_and_remember(entry, opening) : NULL;
}

// Where a datagram goes: an unconnected socket stays with the backend it had for a frontend, as a connected one does.
ALWAYS_INLINE const struct apus_backend *send_to(void *socket, const struct socket_opening *opening)
{
	const struct socket_destination *frontend = opening->frontend;
	struct apus_socket_translation *entry = bpf_sk_storage_get(&connected_sockets, socket, NULL, 0);
	struct apus_socket_translations *translations;
	const struct apus_backend *backend;

	if (entry && is_frontend_of(entry, frontend) && (backend = backend_used_before(entry)))
		return backend;
	translations = bpf_sk_storage_get(&socket_translations, socket, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!translations)
		return NULL;
	entry = translation_of_frontend(translations, frontend);
	if (entry && (backend = backend_used_before(entry)))
		return backend;
	if (entry)
		entry->backend_index = 0;
	return pick_and_remember(&translations->entries[translations->next++ % APUS_SOCKET_TRANSLATIONS], opening);
}
