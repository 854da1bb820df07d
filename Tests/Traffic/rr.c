#include "measure.h"
#include "modes.h"
#include "protocol.h"
#include "sockets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char message[65536], echo[65536];

/* Deadlines need a clock and the fast path has none: only a call that waited WAKE_MS in vain goes on with one. */
static int exchange(const struct options *options, int descriptor)
{
	ssize_t received = -1;
	if (send(descriptor, message, options->size, MSG_NOSIGNAL) == (ssize_t)options->size)
		received = recv(descriptor, echo, options->size, 0);
	if (received == (ssize_t)options->size)
		return 0;
	if (received < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (received == 0)
		return -ECONNRESET;
	size_t have = received > 0 ? (size_t)received : 0;
	return receive_all(descriptor, echo, options->size - have, now_seconds() + options->timeout_ms / 1000.0);
}

static int open_echo(const struct options *options)
{
	const char kind = KIND_ECHO;
	int descriptor = connect_peer(options);
	if (descriptor < 0 || options->type == SOCK_DGRAM)
		return descriptor;
	int error = send_all(descriptor, &kind, 1, now_seconds() + 1);
	return error != 0 ? error : descriptor;
}

int run_rr(const struct options *options)
{
	struct measurement measurement;
	uint64_t count = 0, failed = 0;
	memset(message, 'x', sizeof(message));
	int descriptor = open_echo(options);
	if (descriptor < 0) {
		fprintf(stderr, "apus-traffic: %s\n", errno_name(-descriptor));
		return EXIT_NETWORK;
	}
	int error = 0;
	start_measuring(&measurement, options->warmup, options->seconds);
	while (still_measuring(&measurement) && (options->count == 0 || count < options->count)) {
		error = exchange(options, descriptor);
		if (error == 0)
			count += measurement.counting;
		else if (!stopped && (++failed, options->type == SOCK_STREAM))
			break;
	}
	report_rate(options->json, "transactions", count, failed, stop_measuring(&measurement), NULL);
	close(descriptor);
	return failed == 0 && count > 0 ? EXIT_OK : EXIT_FAILED;
}
