#include "modes.h"
#include "protocol.h"
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HERD_LIMIT = 900, HERD_DEFAULT = 100 };

/* One connection: a number goes out, the same number must come back before the next one goes. */
struct animal {
	int descriptor;
	bool waits; /* for the rest of an answer */
	size_t received;
	uint64_t number;
	double next; /* when the next number goes */
	unsigned char answer[sizeof(uint64_t)];
};

struct herd {
	size_t size;
	uint64_t exchanges, wrong, closed;
	struct animal animals[HERD_LIMIT];
	struct pollfd polled[HERD_LIMIT];
};

static struct herd herd;

static void lose(struct animal *animal)
{
	close_with_reset(animal->descriptor);
	animal->descriptor = -1;
	herd.closed++;
}

static void ask_next(const struct options *options, struct animal *animal, double now)
{
	animal->number++;
	animal->received = 0;
	animal->waits = true;
	animal->next = now + options->interval_ms / 1000.0;
	if (send(animal->descriptor, &animal->number, sizeof(animal->number), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(animal->number))
		lose(animal);
}

static void take_answer(struct animal *animal)
{
	ssize_t count = recv(animal->descriptor, animal->answer + animal->received,
			     sizeof(animal->answer) - animal->received, 0);
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		lose(animal);
		return;
	}
	animal->received += (size_t)count;
	if (animal->received < sizeof(animal->answer))
		return;
	animal->waits = false;
	herd.exchanges++;
	if (memcmp(animal->answer, &animal->number, sizeof(animal->number)) != 0)
		herd.wrong++;
}

static int connect_all(const struct options *options)
{
	const char kind = KIND_ECHO;
	for (size_t i = 0; i < herd.size; i++) {
		struct animal *animal = &herd.animals[i];
		animal->descriptor = connect_peer(options);
		if (animal->descriptor < 0)
			return animal->descriptor;
		retransmit_soon(animal->descriptor);
		animal->number = (uint64_t)i << 32;
		int error = send_all(animal->descriptor, &kind, 1, now_seconds() + 1);
		if (error != 0)
			return error;
		fcntl(animal->descriptor, F_SETFL, fcntl(animal->descriptor, F_GETFL) | O_NONBLOCK);
	}
	return 0;
}

static void turn(const struct options *options)
{
	double now = now_seconds();
	for (size_t i = 0; i < herd.size; i++) {
		struct animal *animal = &herd.animals[i];
		if (animal->descriptor >= 0 && !animal->waits && animal->next <= now)
			ask_next(options, animal, now);
		herd.polled[i] = (struct pollfd){.fd = animal->descriptor, .events = animal->waits ? POLLIN : 0};
	}
	if (poll(herd.polled, herd.size, 5) <= 0)
		return;
	for (size_t i = 0; i < herd.size; i++)
		if (herd.animals[i].descriptor >= 0 && herd.polled[i].revents != 0)
			take_answer(&herd.animals[i]);
}

/* Segments that were sent again, of all connections. */
static uint64_t retransmissions(void)
{
	uint64_t total = 0;
	for (size_t i = 0; i < herd.size; i++) {
		struct tcp_info info = {0};
		socklen_t length = sizeof(info);
		if (herd.animals[i].descriptor >= 0 &&
		    getsockopt(herd.animals[i].descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) == 0)
			total += info.tcpi_total_retrans;
	}
	return total;
}

int run_herd(const struct options *options)
{
	herd.size = options->count ? options->count : HERD_DEFAULT;
	if (herd.size > HERD_LIMIT) {
		fprintf(stderr, "apus-traffic: a herd has at most %d connections\n", HERD_LIMIT);
		return EXIT_USAGE;
	}
	int error = connect_all(options);
	if (error != 0) {
		printf("failed %s\n", errno_name(-error));
		return EXIT_NETWORK;
	}
	puts("connected");
	while (!stopped)
		turn(options);
	printf("exchanges %" PRIu64 "\nwrong %" PRIu64 "\nclosed %" PRIu64 "\nretransmissions %" PRIu64 "\n",
	       herd.exchanges, herd.wrong, herd.closed, retransmissions());
	return herd.wrong + herd.closed == 0 ? EXIT_OK : EXIT_NETWORK;
}
