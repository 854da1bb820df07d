// Entry points at a pod's host-side interface.
#define CLIENTS_OUTSIDE 0
#include "../lib/frame_tc.h"

#include "../lib/info.h"
#include "../lib/pod.h"

// tcx ingress: what the pod sends.
SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	return handle_from_pod(skb, bpf_ktime_get_coarse_ns());
}

// tcx egress: what the host's stack sends to the pod.
SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	return handle_to_pod(skb, bpf_ktime_get_coarse_ns());
}

char LICENSE[] SEC("license") = "GPL";
