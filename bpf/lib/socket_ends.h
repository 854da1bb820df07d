// The two ends of a connection as the kernel's socket names them.
#pragma once

#include <bpf/bpf_core_read.h>

#include "packet.h"

// What is read of the kernel's structures; where it lies the kernel's BTF says when the program is loaded.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net {
	__u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

// `struct sock` and `struct request_sock` begin with it.
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

#pragma clang attribute pop

// A connection as its socket names it.
struct socket_ends {
	struct apus_address local;
	struct apus_address peer;
	__u16 local_port; // network byte order
	__u16 peer_port;
};

ALWAYS_INLINE void read_ends(struct sock_common *socket, struct socket_ends *ends)
{
	ends->local_port = bpf_htons(BPF_CORE_READ(socket, skc_num));
	ends->peer_port = BPF_CORE_READ(socket, skc_dport);
	if (BPF_CORE_READ(socket, skc_family) == ADDRESS_FAMILY_IPV6) {
		bpf_core_read(&ends->local, sizeof(ends->local), &socket->skc_v6_rcv_saddr);
		bpf_core_read(&ends->peer, sizeof(ends->peer), &socket->skc_v6_daddr);
	} else {
		ends->local = address_from_v4(BPF_CORE_READ(socket, skc_rcv_saddr));
		ends->peer = address_from_v4(BPF_CORE_READ(socket, skc_daddr));
	}
}
