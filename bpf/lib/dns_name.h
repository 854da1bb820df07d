// DNS messages: the memory that they are parsed in, and their names.
#pragma once

#include "common.h"

// Code points of RFC 1035 §3.1 and §4.1.4.
enum {
	DNS_HEADER_BYTES = 12,
	DNS_TEXT_MAX = 255, // of a name on the wire, the root's label included
	// A chain of more pointers is of no use, as each follows a label; see `mostPointers` of the agent's parser.
	DNS_POINTERS_MAX = 126,
	DNS_NAME_STEPS = 512, // more than the bytes and pointers of any name
	DNS_ALIASES_MAX = 16,
	// Of all names of a message: more than its bytes. Pointers that lead back to long names could make each record
	// take hundreds of steps.
	DNS_STEPS_MAX = 32768,
};

// A name on its way: one step a byte. In map memory, as the verifier must not tell apart what it has seen of a name.
struct dns_walk {
	__u64 hash; // of the text so far
	__u32 place; // of the next byte
	__u32 end; // of what may be read
	__u32 segment; // where the labels begin that the next pointer ends
	__u32 after; // the place behind the name, 0: no pointer was met yet
	__u32 label; // bytes of the label that are still to come
	__u32 text; // bytes of the text so far, a dot behind each label
	__u32 pointers;
	__u32 is_done;
};

struct dns_record {
	__u64 owner; // hash of the name
	__u32 owner_length;
	__u32 type;
	__u32 class;
	__u32 lifetime; // as it stands there
	__u32 data; // the place of it
	__u32 end;
};

// A message and what is found in it. Nothing else runs on the CPU meanwhile, as tcx programs run with bottom halves
// disabled.
struct dns_message {
	struct apus_dns_answer answer;
	char name[APUS_DNS_NAME_MAX];
	struct dns_walk walk;
	// Hashes of the name in question and of what its aliases lead to.
	__u64 names[DNS_ALIASES_MAX];
	__u32 name_count;
	// The name that a pointer led to last: records in a row mostly have one owner.
	__u32 known_place;
	__u64 known_hash;
	__u32 known_text;
	__u32 length;
	__u32 offset; // of the next record
	__u32 record_number; // of the next one
	struct dns_record record; // the one at hand: the stack of those who parse is short
	__u32 counts[3]; // of the sections: records that come before the end of each
	__u32 has_options;
	__u32 steps; // that its names took so far
	__u32 problem; // enum apus_dns_problem
	// The name's walk through the patterns: see domain.h.
	__u32 state;
	__u32 place;
	__u8 bytes[APUS_DNS_MESSAGE_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dns_message);
} dns_message SEC(".maps");

// The addresses in the message, beside it: a value for each CPU has 32 KiB at most.
struct dns_addresses {
	struct apus_dns_address found[APUS_DNS_ADDRESSES_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dns_addresses);
} dns_addresses SEC(".maps");

// The agent puts a random number there when the map is made. Without it whoever owns a domain could make a name that
// has the hash of another one's, which could not be learned any more.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} name_seed SEC(".maps");

// From a secret beginning.
ALWAYS_INLINE __u64 dns_hash_start(void)
{
	__u32 first = 0;
	const __u64 *seed = bpf_map_lookup_elem(&name_seed, &first);

	return 0xcbf29ce484222325 ^ (seed ? *seed : 0);
}

// FNV-1a, which alone would let whoever knows it find names of one length with one hash, whatever the beginning: of
// that only the lowest byte meets a character. So the upper half is folded into the lower one each time.
ALWAYS_INLINE __u64 dns_hash(__u64 hash, __u32 character)
{
	hash = (hash ^ character) * 0x100000001b3;
	return hash ^ hash >> 32;
}

ALWAYS_INLINE struct dns_message *dns_message_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&dns_message, &first);
}

ALWAYS_INLINE struct dns_addresses *dns_addresses_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&dns_addresses, &first);
}

// The place of an address by its number. NULL: there is none.
ALWAYS_INLINE struct apus_dns_address *dns_address_at(__u32 number)
{
	struct dns_addresses *addresses = dns_addresses_here();

	barrier_var(number);
	return addresses && number < APUS_DNS_ADDRESSES_MAX ? &addresses->found[number] : NULL;
}

// A byte whose place the caller has checked; the mask is for the verifier.
ALWAYS_INLINE __u32 dns_byte(const struct dns_message *message, __u32 place)
{
	barrier_var(place);
	return message->bytes[place & (APUS_DNS_MESSAGE_MAX - 1)];
}

ALWAYS_INLINE __u32 dns_short(const struct dns_message *message, __u32 place)
{
	return dns_byte(message, place) << 8 | dns_byte(message, place + 1);
}

ALWAYS_INLINE __u32 dns_long(const struct dns_message *message, __u32 place)
{
	return dns_short(message, place) << 16 | dns_short(message, place + 2);
}

// Adds a character to the text; the name in question is the one that is written down.
ALWAYS_INLINE void dns_append(struct dns_message *message, __u32 character)
{
	struct dns_walk *walk = &message->walk;
	__u32 place = walk->text;

	if (!message->name_count) {
		barrier_var(place);
		message->name[place & (APUS_DNS_NAME_MAX - 1)] = character;
	}
	walk->hash = dns_hash(walk->hash, character);
	walk->text++;
}

ALWAYS_INLINE _Bool is_dns_character(__u32 byte)
{
	return byte >= 0x21 && byte <= 0x7e && byte != '.';
}

// A byte of a label. Returns whether it can't be one.
ALWAYS_INLINE _Bool dns_label_byte(struct dns_message *message, __u32 byte)
{
	if (!is_dns_character(byte))
		return 1;
	dns_append(message, byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
	if (!--message->walk.label)
		dns_append(message, '.');
	return 0;
}

// A pointer has to lead before the labels that it ends, so that places only decrease. Returns whether it doesn't.
ALWAYS_INLINE _Bool dns_pointer(struct dns_message *message, __u32 place, __u32 byte)
{
	struct dns_walk *walk = &message->walk;
	__u32 target;

	if (place + 1 >= walk->end)
		return 1;
	target = (byte & 0x3f) << 8 | dns_byte(message, place + 1);
	if (target < DNS_HEADER_BYTES || target >= walk->segment || ++walk->pointers > DNS_POINTERS_MAX)
		return 1;
	if (!walk->after)
		walk->after = place + 2;
	walk->segment = walk->place = target;
	walk->end = message->length; // what was before may be outside of the record that this name is in
	return 0;
}

static long dns_name_step(__attribute__((unused)) __u64 index, void *context)
{
	struct dns_message *message = *(struct dns_message **)context;
	struct dns_walk *walk = &message->walk;
	__u32 place = walk->place, byte;

	if (place >= walk->end)
		return 1;
	byte = dns_byte(message, place);
	walk->place = place + 1;
	if (walk->label)
		return dns_label_byte(message, byte);
	if (byte >= 0xc0)
		return dns_pointer(message, place, byte);
	// On the wire a label has its length where the text has its dot, and the root's label follows.
	if (byte >= 0x40 || (byte && walk->text + byte + 2 > DNS_TEXT_MAX))
		return 1;
	walk->label = byte;
	if (byte)
		return 0;
	if (!walk->after)
		walk->after = place + 1;
	walk->is_done = 1;
	return 1;
}

// The owner of a record is mostly a pointer to the name in question, or to where the record before it points.
ALWAYS_INLINE __u32 dns_pointer_target(const struct dns_message *message, __u32 offset, __u32 end)
{
	if (offset + 1 >= end || dns_byte(message, offset) < 0xc0)
		return 0;
	return dns_short(message, offset) & 0x3fff;
}

// Walks the name at `offset`, of which the message's part up to `end` may be read. Returns whether it is a good one.
GLOBAL int dns_walk_name(__u32 offset, __u32 end)
{
	struct dns_message *message = dns_message_here();
	struct dns_walk *walk;
	__u32 target;

	if (!message)
		return 0;
	walk = &message->walk;
	if (end > message->length)
		end = message->length;
	target = message->name_count ? dns_pointer_target(message, offset, end) : 0;
	if (target && target == message->known_place) {
		walk->hash = message->known_hash;
		walk->text = message->known_text;
		walk->after = offset + 2;
		return 1;
	}
	*walk = (struct dns_walk){.hash = dns_hash_start(), .place = offset, .end = end, .segment = offset};
	bpf_loop(DNS_NAME_STEPS, dns_name_step, &message, 0);
	message->steps += walk->text + walk->pointers;
	if (!walk->is_done)
		return 0;
	if (target) {
		message->known_place = target;
		message->known_hash = walk->hash;
		message->known_text = walk->text;
	}
	return 1;
}
