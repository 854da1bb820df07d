#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Exit codes, so that a script can tell how a request ended. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_REFUSED = 3,
	EXIT_TIMEOUT = 4,
	EXIT_NETWORK = 5,
};

struct options {
	struct sockaddr_storage address; /* the peer of a client, where a server listens */
	struct sockaddr_storage next_address; /* where `ask` connects its socket to afterwards, at target_port */
	socklen_t address_length; /* 0: a server listens on every address */
	socklen_t next_address_length; /* 0: nowhere */
	in_port_t port; /* host order */
	in_port_t target_port; /* that `resolve` connects to, and `ask` at --then */
	int type; /* SOCK_STREAM or SOCK_DGRAM */
	const char *id; /* the name a server gives in its answers */
	const char *congestion; /* TCP congestion control, NULL for the system's */
	const char *interface; /* where `inject` sends */
	double seconds; /* 0: no limit in time */
	double warmup; /* seconds that measuring modes run before they count */
	double rate; /* requests a second, 0 for flat out */
	uint64_t count; /* 0: no limit in number */
	int64_t first_name; /* number of the first name that `resolve` asks for, -1: one that nobody asked for yet */
	uint64_t pool; /* addresses that `dns` answers with, in turn */
	unsigned lifetime; /* seconds that its answers live */
	size_t size; /* bytes of a message */
	int timeout_ms;
	int interval_ms;
	int cpu; /* -1: not pinned */
	unsigned first_port, last_port; /* local ports of a client, 0 for the system's range */
	bool hold, http, serial, unconnected, server_closes, json, peer_name, same_name;
	bool log; /* `load` tells of each request */
	bool next_port; /* each request of `load` takes the next of the local ports */
};

/* Reads `apus-traffic MODE [options] [ADDRESS PORT]` after the mode; exits with EXIT_USAGE on nonsense. */
void parse_options(int argc, char **argv, struct options *options);

/* Ends with EXIT_USAGE and a hint, unless the command line named a peer. */
void require_peer(const struct options *options);
