#include "measure.h"
#include "modes.h"
#include "protocol.h"
#include "sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 128 * 1024 };

static char block[BLOCK];

/* What the server says it received, 0 when it does not answer. */
static uint64_t received_by_server(const struct options *options, int descriptor)
{
	char text[32] = "";
	size_t count = 0;
	double deadline = now_seconds() + options->timeout_ms / 1000.0 + 5; /* the queues drain first */
	shutdown(descriptor, SHUT_WR);
	while (count < sizeof(text) - 1) {
		ssize_t received = receive_some(descriptor, text + count, sizeof(text) - 1 - count, deadline);
		if (received <= 0)
			break;
		count += (size_t)received;
	}
	return strtoull(text, NULL, 10);
}

static int send_blocks(const struct options *options, int descriptor, struct measurement *measurement, uint64_t *total,
		       uint64_t *counted)
{
	while (still_measuring(measurement)) {
		ssize_t sent = send(descriptor, block, sizeof(block), MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (sent < 0)
			continue;
		*total += (uint64_t)sent;
		*counted += measurement->counting ? (uint64_t)sent : 0;
		if (options->count && *total >= options->count)
			break;
	}
	return 0;
}

static void report(const struct options *options, uint64_t bytes, double seconds)
{
	double gigabits = seconds > 0 ? (double)bytes * 8 / seconds / 1e9 : 0;
	if (options->json)
		printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"gbit_per_second\":%.3f}\n", bytes, seconds, gigabits);
	else
		printf("%" PRIu64 " bytes in %.3f s: %.2f Gbit/s\n", bytes, seconds, gigabits);
}

int run_stream(const struct options *options)
{
	const char kind = KIND_SINK;
	struct measurement measurement;
	uint64_t total = 0, counted = 0;
	int descriptor = connect_peer(options);
	int error = descriptor < 0 ? descriptor : send_all(descriptor, &kind, 1, now_seconds() + 1);
	start_measuring(&measurement, options->warmup, options->seconds);
	if (error == 0)
		error = send_blocks(options, descriptor, &measurement, &total, &counted);
	double seconds = stop_measuring(&measurement);
	if (error == 0 && received_by_server(options, descriptor) != total)
		error = -EPIPE;
	if (error != 0)
		fprintf(stderr, "apus-traffic: %s\n", errno_name(-error));
	report(options, counted, seconds);
	return error == 0 ? EXIT_OK : EXIT_NETWORK;
}
