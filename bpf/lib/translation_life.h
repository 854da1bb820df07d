// What becomes of the translation that a connection goes through.
#pragma once

#include "translation.h"

// The translation that a connection goes through, as its entry tells it.
ALWAYS_INLINE void translation_of(const struct apus_connection_key *connection_key,
				  const struct apus_connection *connection, struct apus_translation_key *key,
				  struct apus_translation *translation)
{
	_Bool high = connection->opener;
	const struct apus_connection_side *side = high ? &connection->sides[1] : &connection->sides[0];

	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memset(translation, 0, sizeof(*translation));
	key->client = high ? connection_key->high : connection_key->low;
	key->client_port = high ? connection_key->high_port : connection_key->low_port;
	if (unlikely(side->flags & APUS_SIDE_OTHER_PORT)) {
		key->client_port = side->retransmissions;
		translation->flags = APUS_TRANSLATION_OTHER_PORT;
	}
	key->frontend = connection->frontend;
	key->frontend_port = connection->frontend_port;
	key->protocol = connection_key->protocol;
	translation->backend = high ? connection_key->low : connection_key->high;
	translation->backend_port = high ? connection_key->low_port : connection_key->high_port;
}

// The connection is answered. Where there is no room its translation stays disposable, which harms nothing else. What
// has been led elsewhere since stays so: the answer comes from a backend that the client had before.
COLD int translation_answered(const struct apus_connection_key *connection_key,
			      const struct apus_connection *connection)
{
	struct apus_translation_key key;
	struct apus_translation translation;
	const struct apus_translation *known;

	if (!connection_key || !connection)
		return 0;
	translation_of(connection_key, connection, &key, &translation);
	known = translation_find(&key);
	if (known) {
		if (known->backend_port != translation.backend_port ||
		    !address_equal(&known->backend, &translation.backend))
			return 0;
		translation.backend_index = known->backend_index;
		translation.flags = known->flags;
	}
	if (!bpf_map_update_elem(&translations, &key, &translation, BPF_ANY))
		bpf_map_delete_elem(&disposable_translations, &key);
	return 0;
}

// The connection has ended. What has been led elsewhere since stays so, as above.
COLD int translation_ended(const struct apus_connection_key *connection_key, const struct apus_connection *connection)
{
	struct apus_translation_key key;
	struct apus_translation translation;
	const struct apus_translation *known;

	if (!connection_key || !connection)
		return 0;
	translation_of(connection_key, connection, &key, &translation);
	known = bpf_map_lookup_elem(&translations, &key);
	if (!known || known->backend_port != translation.backend_port ||
	    !address_equal(&known->backend, &translation.backend))
		return 0;
	// In this order: who looks in one map and then in the other finds it at any time.
	bpf_map_update_elem(&disposable_translations, &key, &translation, BPF_ANY);
	bpf_map_delete_elem(&translations, &key);
	return 0;
}
