#include "modes.h"
#include "protocol.h"
#include "sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_LIMIT = 16384 };

static const char web_request[] = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";

struct held {
	int descriptor;
	bool stalled;
	double started;
	uint64_t exchanges;
	size_t received;
	char answer[ANSWER_LIMIT + 1];
};

static void say(const struct held *held, const char *state)
{
	printf("%s %.0f\n", state, (now_seconds() - held->started) * 1000);
}

/* Whether the whole page has come: a server that keeps the connection says how long the page is. */
static bool has_page(const char *answer, size_t received)
{
	const char *body = strstr(answer, "\r\n\r\n");
	const char *length = strcasestr(answer, "\r\nContent-Length:");
	if (!body || !length || length > body)
		return false;
	body += 4;
	return received - (size_t)(body - answer) >= strtoul(length + 17, NULL, 10);
}

/* Receives the rest of a page; what came before a time-out is kept. */
static int receive_page(struct held *held, double deadline)
{
	while (!has_page(held->answer, held->received)) {
		size_t space = ANSWER_LIMIT - held->received;
		if (space == 0)
			return -EBADMSG;
		ssize_t count = receive_some(held->descriptor, held->answer + held->received, space, deadline);
		if (count <= 0)
			return count < 0 ? (int)count : -EPIPE;
		held->received += (size_t)count;
		held->answer[held->received] = '\0';
	}
	held->received = 0;
	held->answer[0] = '\0';
	return 0;
}

static int receive_answer(const struct options *options, struct held *held, double deadline)
{
	return options->http ? receive_page(held, deadline) : receive_all(held->descriptor, held->answer, 1, deadline);
}

/* Waits for the answer to what was sent; says so when it is late and when it came after all. */
static int await_answer(const struct options *options, struct held *held)
{
	double late = now_seconds() + options->timeout_ms / 1000.0;
	while (!stopped) {
		int error = receive_answer(options, held, held->stalled ? now_seconds() : late);
		if (error == 0)
			break;
		if (error != -ETIMEDOUT)
			return error;
		if (!held->stalled)
			say(held, "stalled");
		held->stalled = true;
	}
	if (held->stalled && !stopped) {
		say(held, "resumed");
		held->stalled = false;
	}
	held->exchanges++;
	return 0;
}

static int exchange(const struct options *options, struct held *held)
{
	const char *message = options->http ? web_request : "x";
	int error = send_all(held->descriptor, message, strlen(message), now_seconds() + options->timeout_ms / 1000.0);
	return error != 0 ? error : await_answer(options, held);
}

static int hold(const struct options *options, struct held *held)
{
	const char kind = KIND_ECHO;
	const struct timespec pause = {.tv_sec = options->interval_ms / 1000,
				       .tv_nsec = options->interval_ms % 1000 * 1000000L};
	double end = options->seconds > 0 ? held->started + options->seconds : 0;
	int error = options->http ? 0 : send_all(held->descriptor, &kind, 1, now_seconds() + 1);
	while (error == 0 && !stopped && (end <= 0 || now_seconds() < end)) {
		error = exchange(options, held);
		if (error == 0 && !stopped)
			nanosleep(&pause, NULL);
	}
	return stopped ? 0 : error;
}

int run_hold(const struct options *options)
{
	struct held held = {.started = now_seconds(), .descriptor = connect_peer(options)};
	if (held.descriptor < 0) {
		printf("failed %s\n", errno_name(-held.descriptor));
		return EXIT_NETWORK;
	}
	retransmit_soon(held.descriptor);
	say(&held, "connected");
	int error = hold(options, &held);
	if (error != 0)
		printf("closed %s\n", errno_name(-error));
	printf("exchanges %" PRIu64 "\n", held.exchanges);
	close(held.descriptor);
	return error == 0 ? EXIT_OK : EXIT_NETWORK;
}
