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
