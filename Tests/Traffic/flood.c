/*
 * Sends datagrams of one flow as fast as they leave. It tells how many left; how many arrive, whoever receives them
 * has to count.
 */
#include "measure.h"
#include "modes.h"
#include "sockets.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 32 };

static char payload[65536];

static void prepare_batch(const struct options *options, struct mmsghdr *batch, struct iovec *vector)
{
	memset(payload, 'x', options->size);
	*vector = (struct iovec){.iov_base = payload, .iov_len = options->size};
	for (int i = 0; i < BATCH; i++)
		batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = vector, .msg_iovlen = 1}};
}

int run_flood(const struct options *options)
{
	struct measurement measurement;
	struct mmsghdr batch[BATCH];
	struct iovec vector;
	struct options own = *options;
	uint64_t count = 0, failed = 0;
	own.type = SOCK_DGRAM;
	int descriptor = connect_peer(&own);
	if (descriptor < 0) {
		fprintf(stderr, "apus-traffic: %s\n", errno_name(-descriptor));
		return EXIT_NETWORK;
	}
	prepare_batch(options, batch, &vector);
	start_measuring(&measurement, options->warmup, options->seconds);
	while (still_measuring(&measurement)) {
		int sent = sendmmsg(descriptor, batch, BATCH, 0);
		if (sent < 0)
			failed++;
		else if (measurement.counting)
			count += (uint64_t)sent;
	}
	report_rate(options->json, "datagrams", count, failed, stop_measuring(&measurement), NULL);
	close(descriptor);
	return count > 0 ? EXIT_OK : EXIT_FAILED;
}
