/* An object with what real ones have: constants, maps of several kinds, two programs, one of them broken on demand. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sample_config {
	__u32 verdict;
	__u32 step;
};

const volatile struct sample_config config = {.verdict = 1, .step = 1};
const volatile __u8 broken = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 16);
} a_map_with_a_long_name SEC(".maps");

SEC("tc")
int count(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		*counter += config.step;
	bpf_map_lookup_elem(&a_map_with_a_long_name, &key);
	skb->mark += 1;
	return config.verdict;
}

SEC("tcx/ingress")
int optional(struct __sk_buff *skb)
{
	/* Reads before the packet when `broken` is set: the verifier must refuse it. */
	if (broken)
		return *((volatile __u8 *)(long)skb->data - 1);
	return 0;
}

SEC("cgroup/connect4")
int refuse(struct bpf_sock_addr *context)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
