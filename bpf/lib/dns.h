// DNS answers: what they say of the name that was asked for. The rules are those of the agent's parser (`Wire`), but
// for what comes out of order or is too much: that is left to the agent.
#pragma once

#include "dns_name.h"

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_OPT = 41,
	DNS_CLASS_INTERNET = 1,
	DNS_RECORD_FIELDS = 10, // bytes between a record's owner and its data
	DNS_RECORDS_MAX = APUS_DNS_MESSAGE_MAX / (1 + DNS_RECORD_FIELDS) + 1,
};

// Not unrolled: what that would keep on the stack is more than there is.
ALWAYS_INLINE _Bool dns_is_reached(const struct dns_message *message, __u64 hash)
{
#pragma clang loop unroll(disable)
	for (__u32 number = 0; number < DNS_ALIASES_MAX && number < message->name_count; number++)
		if (message->names[number] == hash)
			return 1;
	return 0;
}

// Ends the parsing with a problem; what a step of bpf_loop returns for it.
ALWAYS_INLINE long dns_refuse(struct dns_message *message, enum apus_dns_problem problem)
{
	message->problem = problem;
	return 1;
}

ALWAYS_INLINE long dns_take_address(struct dns_message *message, _Bool is_answer)
{
	const struct dns_record *record = &message->record;
	__u32 bytes = record->type == DNS_TYPE_A ? 4 : 16;
	struct apus_dns_address *found;
	__u32 count = message->answer.address_count;

	if (record->end - record->data != bytes)
		return dns_refuse(message, APUS_DNS_RECORD);
	if (!is_answer)
		return 0;
	found = dns_address_at(count);
	if (!dns_is_reached(message, record->owner) || !found)
		return dns_refuse(message, APUS_DNS_STRAY);
	if (record->type == DNS_TYPE_A) {
		found->address.high = 0;
		found->address.low = bpf_cpu_to_be64(0xffff00000000ULL | dns_long(message, record->data));
	} else {
		found->address.high = bpf_cpu_to_be64((__u64)dns_long(message, record->data) << 32 |
						      dns_long(message, record->data + 4));
		found->address.low = bpf_cpu_to_be64((__u64)dns_long(message, record->data + 8) << 32 |
						     dns_long(message, record->data + 12));
	}
	// A lifetime with the upper bit set is to be taken as zero (RFC 2181 §8).
	found->lifetime = record->lifetime >> 31 ? 0 : record->lifetime;
	message->answer.address_count = count + 1;
	return 0;
}

ALWAYS_INLINE long dns_take_alias(struct dns_message *message, _Bool is_answer)
{
	const struct dns_record *record = &message->record;
	__u32 count = message->name_count;

	if (!dns_walk_name(record->data, record->end))
		return dns_refuse(message, APUS_DNS_NAME);
	if (message->walk.after != record->end)
		return dns_refuse(message, APUS_DNS_RECORD);
	if (!is_answer)
		return 0;
	if (!dns_is_reached(message, record->owner))
		return dns_refuse(message, APUS_DNS_STRAY);
	if (dns_is_reached(message, message->walk.hash))
		return 0; // a circle
	if (count >= DNS_ALIASES_MAX)
		return dns_refuse(message, APUS_DNS_ALIASES);
	barrier_var(count);
	message->names[count & (DNS_ALIASES_MAX - 1)] = message->walk.hash;
	message->name_count = count + 1;
	return 0;
}

// OPT keeps other things in the places of class and lifetime (RFC 6891 §6.1.3).
ALWAYS_INLINE long dns_take_options(struct dns_message *message)
{
	if (message->has_options || message->record.owner_length)
		return dns_refuse(message, APUS_DNS_OPTIONS);
	message->has_options = 1;
	message->answer.code |= message->record.lifetime >> 24 << 4;
	return 0;
}

// Every record of every section: what would make the agent's parser refuse the message must do so here.
static long dns_record_step(__attribute__((unused)) __u64 index, void *context)
{
	struct dns_message *message = *(struct dns_message **)context;
	struct dns_record *record = &message->record;
	__u32 number = message->record_number++, place;

	if (number >= message->counts[2])
		return 1;
	if (message->steps > DNS_STEPS_MAX)
		return dns_refuse(message, APUS_DNS_LENGTH);
	if (!dns_walk_name(message->offset, message->length))
		return dns_refuse(message, APUS_DNS_NAME);
	place = message->walk.after;
	record->owner = message->walk.hash;
	record->owner_length = message->walk.text;
	if (place + DNS_RECORD_FIELDS > message->length)
		return dns_refuse(message, APUS_DNS_END);
	record->type = dns_short(message, place);
	record->class = dns_short(message, place + 2);
	record->lifetime = dns_long(message, place + 4);
	record->data = place + DNS_RECORD_FIELDS;
	record->end = record->data + dns_short(message, place + 8);
	if (record->end > message->length)
		return dns_refuse(message, APUS_DNS_END);
	message->offset = record->end;
	if (record->type == DNS_TYPE_OPT)
		return number < message->counts[1] ? 0 : dns_take_options(message);
	if (record->class != DNS_CLASS_INTERNET)
		return 0;
	if (record->type == DNS_TYPE_A || record->type == DNS_TYPE_AAAA)
		return dns_take_address(message, number < message->counts[0]);
	if (record->type == DNS_TYPE_CNAME)
		return dns_take_alias(message, number < message->counts[0]);
	return 0;
}

// The header and the question (RFC 1035 §4.1.1, §4.1.2).
ALWAYS_INLINE enum apus_dns_problem dns_parse_question(struct dns_message *message)
{
	__u32 flags = dns_short(message, 2), place;

	if (message->length < DNS_HEADER_BYTES)
		return APUS_DNS_END;
	message->answer.id = dns_short(message, 0);
	message->answer.code = flags & 0xf;
	message->answer.flags = flags & 0x0200 ? APUS_DNS_TRUNCATED : 0;
	message->counts[0] = dns_short(message, 6);
	message->counts[1] = message->counts[0] + dns_short(message, 8);
	message->counts[2] = message->counts[1] + dns_short(message, 10);
	// An answer, of operation 0, to one question.
	if ((flags & 0xf800) != 0x8000 || dns_short(message, 4) != 1)
		return APUS_DNS_HEADER;
	if (!dns_walk_name(DNS_HEADER_BYTES, message->length))
		return APUS_DNS_NAME;
	place = message->walk.after;
	if (place + 4 > message->length)
		return APUS_DNS_END;
	message->answer.type = dns_short(message, place);
	if (dns_short(message, place + 2) != DNS_CLASS_INTERNET)
		return APUS_DNS_HEADER;
	message->answer.name_length = message->walk.text ? message->walk.text - 1 : 0;
	message->names[0] = message->known_hash = message->walk.hash;
	message->name_count = 1;
	message->known_place = DNS_HEADER_BYTES;
	message->known_text = message->walk.text;
	message->offset = place + 4;
	return APUS_DNS_PARSED;
}

// Parses the message that lies in this CPU's memory. Returns why it could not: enum apus_dns_problem.
GLOBAL int dns_parse(void)
{
	struct dns_message *message = dns_message_here();

	if (!message)
		return APUS_DNS_LENGTH;
	message->answer.address_count = 0;
	message->answer.name_length = 0;
	message->name_count = message->known_place = message->record_number = message->has_options = message->steps = 0;
	message->problem = dns_parse_question(message);
	if (message->problem)
		return message->problem;
	bpf_loop(DNS_RECORDS_MAX, dns_record_step, &message, 0);
	// Counts that promise more records than a message has room for.
	if (!message->problem && message->record_number < message->counts[2])
		message->problem = APUS_DNS_END;
	return message->problem;
}

// Copies the message at `offset` of the packet into this CPU's memory. Returns whether it is there.
ALWAYS_INLINE _Bool dns_load(struct __sk_buff *skb, struct dns_message *message, __u32 offset, __u32 length)
{
	if (length < DNS_HEADER_BYTES || length > APUS_DNS_MESSAGE_MAX)
		return 0;
	barrier_var(length);
	if (length > APUS_DNS_MESSAGE_MAX || bpf_skb_load_bytes(skb, offset, message->bytes, length) < 0)
		return 0;
	message->length = length;
	return 1;
}

// Copies the message at `offset` of the packet into this CPU's memory and parses it: enum apus_dns_problem.
GLOBAL int dns_read(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	struct dns_message *message = dns_message_here();

	return message && dns_load(skb, message, offset, length) ? dns_parse() : APUS_DNS_LENGTH;
}
