#include "modes.h"
#include "request.h"
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static int exit_code_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return EXIT_REFUSED;
	case ETIMEDOUT:
		return EXIT_TIMEOUT;
	default:
		return EXIT_NETWORK;
	}
}

/* The address and port of the peer as the socket knows it. */
static void print_peer_name(int descriptor)
{
	struct sockaddr_storage peer = {0};
	socklen_t length = sizeof(peer);
	char text[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&peer;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&peer;
	if (getpeername(descriptor, (struct sockaddr *)&peer, &length) < 0)
		fail("getpeername");
	inet_ntop(peer.ss_family, peer.ss_family == AF_INET ? (const void *)&v4->sin_addr : &v6->sin6_addr, text,
		  sizeof(text));
	printf("%s %u\n", text, ntohs(v4->sin_port));
}

/* One request after another over connections that are reset: they leave no TIME_WAIT behind. Returns 0 or -errno. */
static int make_more_requests(const struct options *options)
{
	for (uint64_t number = 0; number < options->count; number++) {
		struct answer answer;
		int descriptor = open_request(options);
		int error = descriptor < 0 ? descriptor : make_request(options, descriptor, 0, &answer);
		if (error != 0)
			return error;
		close_with_reset(descriptor);
		close(descriptor);
	}
	return 0;
}

/* One request of the same socket to --then, at --target-port, if it is named. Returns 0 or -errno. */
static int ask_next(const struct options *options, int descriptor)
{
	struct options next = *options;
	struct answer answer;
	if (options->next_address_length == 0)
		return 0;
	next.address = options->next_address;
	next.address_length = options->next_address_length;
	int error = connect_anew(&next, descriptor);
	if (error == 0)
		error = make_request(&next, descriptor, 0, &answer);
	if (error == 0)
		puts(answer.id);
	return error;
}

int run_ask(const struct options *options)
{
	struct answer answer;
	int descriptor = open_request(options);
	int error = descriptor < 0 ? descriptor : make_request(options, descriptor, 0, &answer);
	if (error != 0) {
		fprintf(stderr, "apus-traffic: %s\n", errno_name(-error));
		return exit_code_of(-error);
	}
	puts(answer.id);
	if (!options->peer_name)
		return EXIT_OK;
	error = make_more_requests(options);
	if (error != 0) {
		fprintf(stderr, "apus-traffic: one more request: %s\n", errno_name(-error));
		return exit_code_of(-error);
	}
	error = ask_next(options, descriptor);
	if (error != 0) {
		fprintf(stderr, "apus-traffic: to --then: %s\n", errno_name(-error));
		return exit_code_of(-error);
	}
	print_peer_name(descriptor);
	return EXIT_OK;
}
