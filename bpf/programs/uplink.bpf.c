// Entry points at an uplink.
#define CLIENTS_OUTSIDE 1
#include "../lib/frame_tc.h"

#include "../lib/uplink.h"

// tcx ingress: what comes from the network.
SEC("tc")
int from_network(struct __sk_buff *skb)
{
	return handle_from_network(skb, bpf_ktime_get_coarse_ns());
}

// tcx egress: what leaves for the network.
SEC("tc")
int to_network(struct __sk_buff *skb)
{
	return handle_to_network(skb, bpf_ktime_get_coarse_ns());
}

char LICENSE[] SEC("license") = "GPL";
