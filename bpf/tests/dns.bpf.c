// The DNS parser and the walk through the patterns alone, for BPF_PROG_TEST_RUN: behind an Ethernet header the packet
// is a message, and no network header.
#include "../lib/dns.h"
#include "../lib/domain.h"

// Returns the problem, and above it the CPU whose memory holds what was found.
SEC("tc")
int parse_dns(struct __sk_buff *skb)
{
	__u32 header = 14;

	return dns_read(skb, header, skb->len - header) | bpf_get_smp_processor_id() << 16;
}

struct long_message {
	__u32 length;
	__u8 bytes[APUS_DNS_MESSAGE_MAX];
};

// A message that is longer than the frames of a test run may be.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct long_message);
} long_message SEC(".maps");

// The same of the message in `long_message`.
SEC("tc")
int parse_long_dns(__attribute__((unused)) struct __sk_buff *skb)
{
	__u32 first = 0;
	const struct long_message *given = bpf_map_lookup_elem(&long_message, &first);
	struct dns_message *message = dns_message_here();

	if (!given || !message || given->length > APUS_DNS_MESSAGE_MAX ||
	    bpf_probe_read_kernel(message->bytes, sizeof(message->bytes), given->bytes))
		return APUS_DNS_LENGTH;
	message->length = given->length;
	return dns_parse() | bpf_get_smp_processor_id() << 16;
}

// Returns the pattern set of the name in question, and all bits for a message that was not parsed.
SEC("tc")
int match_domain(struct __sk_buff *skb)
{
	__u32 header = 14;

	if (dns_read(skb, header, skb->len - header))
		return -1;
	return domain_match(dns_message_here());
}

char LICENSE[] SEC("license") = "GPL";
