#include "latencies.h"
#include "measure.h"
#include "modes.h"
#include "protocol.h"
#include "sockets.h"

#include <errno.h>
#include <unistd.h>

/* Waits until the server closed: the end that closes first is the one that stays in TIME_WAIT. */
static int await_close(int descriptor, double deadline)
{
	char byte;
	ssize_t received = receive_some(descriptor, &byte, 1, deadline);
	return received < 0 ? (int)received : 0;
}

static int transact(const struct options *options, int descriptor)
{
	const char request[] = {options->server_closes ? KIND_ONCE : KIND_ECHO, 'x'};
	char echo[sizeof(request)];
	bool stream = options->type == SOCK_STREAM;
	size_t expected = stream ? 1 : sizeof(request); /* a datagram comes back whole */
	double deadline = now_seconds() + options->timeout_ms / 1000.0;
	int error = send_all(descriptor, request, sizeof(request), deadline);
	if (error == 0)
		error = receive_all(descriptor, echo, expected, deadline);
	if (error != 0 || !stream)
		return error;
	if (options->server_closes)
		return await_close(descriptor, deadline);
	close_with_reset(descriptor);
	return 0;
}

/* Opens, uses and closes a connection, and tells how long it took until the answer. */
static int connection(const struct options *options, double *latency)
{
	double start = now_seconds();
	int descriptor = connect_peer(options);
	if (descriptor < 0)
		return descriptor;
	int error = transact(options, descriptor);
	*latency = now_seconds() - start;
	close(descriptor);
	return error;
}

int run_crr(const struct options *options)
{
	struct measurement measurement;
	struct latencies latencies;
	uint64_t count = 0, failed = 0;
	double latency;
	prepare_latencies(&latencies);
	start_measuring(&measurement, options->warmup, options->seconds);
	while (still_measuring(&measurement) && (options->count == 0 || count + failed < options->count)) {
		if (connection(options, &latency) != 0) {
			failed += !stopped;
		} else if (measurement.counting) {
			count++;
			add_latency(&latencies, latency);
		}
	}
	sort_latencies(&latencies);
	report_rate(options->json, "connections", count, failed, stop_measuring(&measurement), &latencies);
	free_latencies(&latencies);
	return failed == 0 && count > 0 ? EXIT_OK : EXIT_FAILED;
}
