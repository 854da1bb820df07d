// Entry point that is run over all datagram sockets of a network namespace.
#include "../lib/node_socket.h"

SEC("iter/udp")
int end_cut_off_sockets(struct bpf_iter__udp *context)
{
	return end_cut_off(context);
}

char LICENSE[] SEC("license") = "GPL";
