// Translations: to which backend a pod's ports lead, for what is translated packet by packet.
//
// Those of answered connections are apart from the others, as connections are: a flood of openings evicts only its
// like. One that has ended goes back among the disposable ones, where its stragglers still find it.
#pragma once

#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct apus_translation_key);
	__type(value, struct apus_translation);
} translations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct apus_translation_key);
	__type(value, struct apus_translation);
} disposable_translations SEC(".maps");

ALWAYS_INLINE _Bool is_translatable(const struct packet *packet)
{
	return packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP || packet->protocol == IPPROTO_SCTP;
}

ALWAYS_INLINE const struct apus_translation *translation_find(const struct apus_translation_key *key)
{
	const struct apus_translation *found = bpf_map_lookup_elem(&translations, key);

	return found ? found : bpf_map_lookup_elem(&disposable_translations, key);
}

// Records where a connection that opens is led to.
ALWAYS_INLINE int translation_record(const struct apus_translation_key *key, const struct apus_translation *translation)
{
	return bpf_map_update_elem(&disposable_translations, key, translation, BPF_ANY);
}
