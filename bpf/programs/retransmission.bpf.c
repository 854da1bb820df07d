// Entry points at tracepoints of TCP.
#include "../lib/retransmission.h"

// Arguments: the socket, the segment.
SEC("tp_btf/tcp_retransmit_skb")
int segment_retransmitted(const __u64 *arguments)
{
	return note_segments((struct sock *)arguments[0]);
}

// Arguments: the listening socket, what it knows of the connection so far.
SEC("tp_btf/tcp_retransmit_synack")
int answer_retransmitted(const __u64 *arguments)
{
	return note_answer((struct request_sock *)arguments[1]);
}

char LICENSE[] SEC("license") = "GPL";
