// Datagram sockets of the node's own processes that were led to a backend that serves no more: no hook sees what they
// send, so they are ended (docs/decisions/0015).
#pragma once

#include "socket_backend.h"
#include "socket_ends.h"

// The part of the kernel's structures that is read; where it lies the kernel's BTF says when the program is loaded.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;
struct udp_sock;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
};

#pragma clang attribute pop

// Since Linux 6.5.
extern int bpf_sock_destroy(struct sock_common *socket) __attribute__((section(".ksyms")));

// Ends the socket where it is one of those, and writes a byte for it: its process gets an error with the next call, and
// the socket is connected to nothing. Who has taken its connection back (AF_UNSPEC) is left alone, as no hook tells of
// that.
ALWAYS_INLINE int end_cut_off(const struct bpf_iter__udp *context)
{
	struct udp_sock *socket = context->udp_sk;
	const struct apus_socket_translation *entry;
	const struct apus_backend *backend;
	struct socket_ends ends = {};
	const char mark = '.';

	if (!socket)
		return 0;
	entry = bpf_sk_storage_get(&connected_sockets, socket, NULL, 0);
	if (!entry || entry->network_namespace != config.node_namespace)
		return 0;
	// What was asked just before may still be answered, and an ended socket would not get that.
	backend = backend_led_to(entry);
	if (backend && backend->protocol == IPPROTO_UDP)
		return 0;
	read_ends((struct sock_common *)socket, &ends);
	if (ends.peer_port != entry->backend_port || !address_equal(&ends.peer, &entry->backend))
		return 0;
	if (bpf_sock_destroy((struct sock_common *)socket))
		return 0;
	bpf_sk_storage_delete(&connected_sockets, socket);
	bpf_seq_write(context->meta->seq, &mark, sizeof(mark));
	return 0;
}
