// Entry points at cgroup hooks: Service translation at the socket.
#include "../lib/socket.h"

SEC("cgroup/connect4")
int socket_connect4(struct bpf_sock_addr *context)
{
	return socket_send_v4(context, 1);
}

SEC("cgroup/connect6")
int socket_connect6(struct bpf_sock_addr *context)
{
	return socket_send_v6(context, 1);
}

SEC("cgroup/sendmsg4")
int socket_sendmsg4(struct bpf_sock_addr *context)
{
	return socket_send_v4(context, 0);
}

SEC("cgroup/sendmsg6")
int socket_sendmsg6(struct bpf_sock_addr *context)
{
	return socket_send_v6(context, 0);
}

SEC("cgroup/recvmsg4")
int socket_recvmsg4(struct bpf_sock_addr *context)
{
	return socket_receive_v4(context);
}

SEC("cgroup/recvmsg6")
int socket_recvmsg6(struct bpf_sock_addr *context)
{
	return socket_receive_v6(context);
}

SEC("cgroup/getpeername4")
int socket_getpeername4(struct bpf_sock_addr *context)
{
	return socket_receive_v4(context);
}

SEC("cgroup/getpeername6")
int socket_getpeername6(struct bpf_sock_addr *context)
{
	return socket_receive_v6(context);
}

char LICENSE[] SEC("license") = "GPL";
