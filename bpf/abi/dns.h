// What the data path's parser makes of a DNS answer. It stays on its CPU; tests read it to compare.
#pragma once

#include "address.h"

enum {
	APUS_DNS_MESSAGE_MAX = 16384, // bytes; a longer message is not parsed in the kernel
	APUS_DNS_NAME_MAX = 256, // bytes of a name as text, its trailing dot included, and one to spare
	APUS_DNS_ADDRESSES_MAX = 1024, // as many as a message of that length has room for
};

// Why a message is not for the kernel's parser. None of them teaches anything.
enum APUS_CLOSED_ENUM apus_dns_problem {
	APUS_DNS_PARSED,
	APUS_DNS_LENGTH, // longer than the parser's memory, or its names too long together, or it could not be read
	APUS_DNS_HEADER, // no answer to a standard query with one question of the Internet's class
	APUS_DNS_END, // it ends before what its counts promise
	APUS_DNS_NAME, // a name against the rules of RFC 1035, or with characters that no name in a policy has
	APUS_DNS_RECORD, // data whose length is not that of its type
	APUS_DNS_OPTIONS, // EDNS options twice, or of a name
	APUS_DNS_ALIASES, // a chain of more aliases than are followed
	APUS_DNS_STRAY, // an address or alias of a name that the records before it do not lead to
	APUS_DNS_PROBLEMS,
};

enum apus_dns_flag {
	APUS_DNS_TRUNCATED = 1, // the client will ask again, over TCP
	APUS_DNS_UNANSWERED = 2, // of an event: there was no answer
};

struct apus_dns_answer {
	__u16 id;
	__u16 type; // of the question
	__u16 code; // response code, its upper bits of EDNS included
	__u16 flags; // enum apus_dns_flag
	__u16 name_length; // of the name in question as text: lower case, no trailing dot
	__u16 address_count;
	__u32 padding;
};

struct apus_dns_address {
	struct apus_address address;
	__u32 lifetime; // seconds
	__u32 padding;
};

_Static_assert(sizeof(struct apus_dns_answer) == 16, "DNS answer layout");
_Static_assert(sizeof(struct apus_dns_address) == 24, "DNS address layout");
