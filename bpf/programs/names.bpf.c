// Entry points that are attached nowhere: the agent runs them to change what is learned (BPF_PROG_TEST_RUN).
#include "../lib/frame_tc.h"

#include "../lib/learn_lesson.h"

SEC("tc")
int learn_names(struct __sk_buff *skb)
{
	return learn_lesson(skb);
}

SEC("tc")
int let_go_of_names(struct __sk_buff *skb)
{
	return let_go_of_addresses(skb);
}

char LICENSE[] SEC("license") = "GPL";
