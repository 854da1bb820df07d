// Other ports for clients whose own ones are taken: a backend can't tell two connections apart that come from one port
// of a client, through two Services, or through one and to the backend itself (docs/decisions/0031).
//
// A connection's key has the other port; its entry says which one is the client's own.
#pragma once

#include "connection.h"
#include "translation.h"

enum {
	OTHER_PORT_TRIES = 12,
	OTHER_PORTS_FIRST = 32768, // as Linux has its own by default
	OTHER_PORTS_COUNT = 28232,
	OTHER_PORT_HELD = 1 << 16, // of an answer of other_port: the connection has it already
};

// Whether a connection of a client with a backend is the one that it has from its own port through the frontend.
ALWAYS_INLINE _Bool is_by_other_port(const struct apus_connection *connection,
				     const struct apus_translation_key *client)
{
	const struct apus_connection_side *side = connection->opener ? &connection->sides[1] : &connection->sides[0];

	return side->flags & APUS_SIDE_OTHER_PORT && side->retransmissions == client->client_port &&
	       connection->frontend_port == client->frontend_port &&
	       address_equal(&connection->frontend, &client->frontend);
}

// The port in network byte order by which a client is known to a backend instead of by its own: that of
// its connection through the frontend, with OTHER_PORT_HELD, or else one that has no connection that lives; 0: there is
// none.
//
// Which ones are tried, and in which order, comes out of the connection's ends, so that each packet finds the same.
GLOBAL int other_port(const struct apus_translation_key *client, const struct apus_address *backend, __u32 port,
		      __u64 now)
{
	struct apus_connection_key key;
	__u32 hash, chosen = 0;

	if (!client || !backend)
		return 0;
	hash = mix_in(mix_in(client->client.low, client->frontend.low),
		      (__u64)client->client_port << 32 | (__u32)client->frontend_port << 16 | port);
	for (__u32 i = 0; i < OTHER_PORT_TRIES; i++) {
		__u16 candidate = bpf_htons(OTHER_PORTS_FIRST +
					    (hash + i * (OTHER_PORTS_COUNT / OTHER_PORT_TRIES)) % OTHER_PORTS_COUNT);
		const struct apus_connection *connection;

		connection_key_of(&client->client, candidate, backend, port, client->protocol, &key);
		connection = connection_with(&key).connection;
		if (connection && is_by_other_port(connection, client))
			return OTHER_PORT_HELD | candidate;
		if (!chosen && candidate != client->client_port &&
		    (!connection || connection->flags & APUS_CONNECTION_CLOSED ||
		     connection_is_expired(connection, client->protocol, now)))
			chosen = candidate;
	}
	return chosen;
}

// The port in network byte order by which the client of a translation is known to its backend.
GLOBAL int known_port(const struct apus_translation_key *key, const struct apus_translation *known, __u64 now)
{
	int port;

	if (!key || !known)
		return 0;
	if (likely(!(known->flags & APUS_TRANSLATION_OTHER_PORT)))
		return key->client_port;
	port = (__u16)other_port(key, &known->backend, known->backend_port, now);
	return port ? port : key->client_port;
}
