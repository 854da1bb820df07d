// Records of connected TCP sockets without memory of their own: each has the place of its cookie in an array. Making
// socket storage and freeing it again is the dearest part of a translated connection (docs/decisions/0011).
//
// Cookies are counted up, so a record is overwritten after as many later connections to Services as there are places.
// By then the data path has seen the first packet, and the connection's entry says what was asked for. So only sockets
// have a record here whose packets are known to pass by: those of a known pod, to another address than its own.
#pragma once

#include "affinity.h"
#include "connection.h"

enum {
	SOCKET_RECORDS = 65536,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SOCKET_RECORDS);
	__type(key, __u32);
	__type(value, struct apus_socket_record);
} socket_records SEC(".maps");

// The place of a socket's record, whoever's is there now.
ALWAYS_INLINE struct apus_socket_record *record_at(__u64 cookie)
{
	__u32 place = cookie % SOCKET_RECORDS;

	return bpf_map_lookup_elem(&socket_records, &place);
}

// What a socket is connected through; NULL: there is no record of it here. `cookie` may be 0.
ALWAYS_INLINE const struct apus_socket_translation *record_find(__u64 cookie)
{
	const struct apus_socket_record *record = cookie ? record_at(cookie) : NULL;

	return record && record->cookie == cookie ? &record->translation : NULL;
}

// Nobody's from here on, as it is about to be written. A reader on another CPU that meets it half-written compares the
// backend, too.
ALWAYS_INLINE void record_clear(struct apus_socket_record *record)
{
	*(volatile __u64 *)&record->cookie = 0;
}

// The socket connects to something that is no Service.
ALWAYS_INLINE void record_forget(__u64 cookie)
{
	struct apus_socket_record *record = cookie ? record_at(cookie) : NULL;

	if (record && unlikely(record->cookie == cookie))
		record_clear(record);
}

// Finds what a TCP connection was opened through by its entry: the record may have been overwritten.
ALWAYS_INLINE const struct apus_connection *connection_of_socket(const struct apus_address *local, __u16 local_port,
								 const struct apus_address *peer, __u16 peer_port)
{
	struct packet packet = {.source = *local, .destination = *peer, .protocol = IPPROTO_TCP};
	struct apus_connection_key key;
	struct found_connection found;

	packet.source_port = local_port;
	packet.destination_port = peer_port;
	found = connection_find(&packet, &key);
	if (!found.connection || !is_from_opener(&found))
		return NULL;
	return found.connection->flags & APUS_CONNECTION_SOCKET_TRANSLATED ? found.connection : NULL;
}
