// Which patterns of domain names match the name that a DNS message asks for.
#pragma once

#include "dns_name.h"

// Each automaton has a size of its own. Sizes and not types: clang leaves out of the BTF what only an inner map names.
struct domain_states {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct apus_domain_state));
};

// The automaton in force; another one takes its place in one step, so no name is walked through half of each.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct domain_states);
} domain_automaton SEC(".maps");

// The classes of `DomainAlphabet`; the parser has folded the case.
ALWAYS_INLINE __u32 domain_class(__u32 character)
{
	if (character >= 'a' && character <= 'z')
		return character - 'a' + 14;
	if (character >= '0' && character <= '9')
		return character - '0' + 4;
	return character == '.' ? 1 : character == '-' ? 2 : character == '_' ? 3 : 0;
}

struct domain_walk {
	struct dns_message *message;
	void *states; // the map
};

static long domain_step(__attribute__((unused)) __u64 index, void *context)
{
	const struct domain_walk *walk = context;
	struct dns_message *message = walk->message;
	__u32 place = message->place++, character;
	const struct apus_domain_state *state;

	state = bpf_map_lookup_elem(walk->states, &message->state);
	if (!state || place >= message->answer.name_length)
		return 1;
	character = message->name[place & (APUS_DNS_NAME_MAX - 1)];
	message->state = state->next[domain_class(character)];
	return !message->state;
}

// The number of the pattern set that the name in question matches; 0: no pattern does.
COLD __attribute__((unused)) __u32 domain_match(struct dns_message *message)
{
	struct domain_walk walk = {.message = message};
	const struct apus_domain_state *state;
	__u32 first = 0;

	if (!message)
		return 0;
	walk.states = bpf_map_lookup_elem(&domain_automaton, &first);
	if (!walk.states)
		return 0;
	state = bpf_map_lookup_elem(walk.states, &first);
	if (!state)
		return 0;
	message->state = state->set;
	message->place = 0;
	bpf_loop(APUS_DNS_NAME_MAX, domain_step, &walk, 0);
	if (!message->state)
		return 0;
	state = bpf_map_lookup_elem(walk.states, &message->state);
	return state ? state->set : 0;
}
