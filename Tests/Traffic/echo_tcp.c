#include "modes.h"
#include "protocol.h"
#include "sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { SEND_SECONDS = 5, CHUNK = 256 * 1024, EVENTS = 64 };

struct connection {
	int descriptor;
	int kind; /* 0 until the first byte came */
	uint64_t total;
	size_t line_length;
	char line[REQUEST_LIMIT];
};

static char chunk[CHUNK]; /* one thread, one read at a time */

static bool answer_line(const struct options *options, struct connection *connection)
{
	char reply[ID_LIMIT + REQUEST_LIMIT + 2];
	int length = snprintf(reply, sizeof(reply), "%.*s\n%.*s", ID_LIMIT, options->id, (int)connection->line_length,
			      connection->line);
	connection->line_length = 0;
	return send_all(connection->descriptor, reply, (size_t)length, now_seconds() + SEND_SECONDS) == 0;
}

static bool take_lines(const struct options *options, struct connection *connection, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (connection->line_length == sizeof(connection->line))
			return false;
		connection->line[connection->line_length++] = bytes[i];
		if (bytes[i] == '\n' && !answer_line(options, connection))
			return false;
	}
	return true;
}

static bool echo(const struct connection *connection, const char *bytes, size_t count)
{
	return send_all(connection->descriptor, bytes, count, now_seconds() + SEND_SECONDS) == 0;
}

static bool take_bytes(const struct options *options, struct connection *connection, const char *bytes, size_t count)
{
	if (connection->kind == 0) {
		connection->kind = bytes[0];
		if (connection->kind != KIND_ASK) {
			bytes++;
			count--;
		}
	}
	switch (connection->kind) {
	case KIND_ASK:
		return take_lines(options, connection, bytes, count);
	case KIND_ECHO:
		return echo(connection, bytes, count);
	case KIND_ONCE:
		return echo(connection, bytes, count) && count == 0;
	case KIND_SINK:
		connection->total += count;
		return true;
	default:
		return false;
	}
}

static void finish(struct connection *connection)
{
	char text[32];
	if (connection->kind != KIND_SINK)
		return;
	int length = snprintf(text, sizeof(text), "%" PRIu64 "\n", connection->total);
	send_all(connection->descriptor, text, (size_t)length, now_seconds() + SEND_SECONDS);
}

/* One receive and what follows from it; false when the connection is over. */
static bool serve_once(const struct options *options, struct connection *connection)
{
	ssize_t received = recv(connection->descriptor, chunk, sizeof(chunk), 0);
	if (received > 0)
		return take_bytes(options, connection, chunk, (size_t)received);
	if (received < 0)
		return errno == EAGAIN || errno == EINTR;
	finish(connection);
	return false;
}

/* One connection after the other in one blocking loop: the fewest system calls a transaction, for measuring. */
static int serve_serially(const struct options *options)
{
	int listener = server_socket(options, AF_INET6, true);
	puts("listening");
	while (!stopped) {
		struct connection connection = {.descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC)};
		if (connection.descriptor < 0)
			continue;
		while (!stopped && serve_once(options, &connection)) {
		}
		close(connection.descriptor);
	}
	close(listener);
	return EXIT_OK;
}

static void watch(int epoll, int descriptor, struct connection *connection)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) < 0)
		fail("epoll_ctl");
}

static struct connection *new_connection(int descriptor)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	if (!connection)
		fail("calloc");
	connection->descriptor = descriptor;
	return connection;
}

static void accept_one(int epoll, int listener)
{
	int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (descriptor >= 0)
		watch(epoll, descriptor, new_connection(descriptor));
	else if (errno == EMFILE || errno == ENFILE)
		fail("accept");
}

static void handle(const struct options *options, int epoll, struct connection *connection,
		   const struct connection *const listeners[2])
{
	if (connection == listeners[0] || connection == listeners[1]) {
		accept_one(epoll, connection->descriptor);
	} else if (!serve_once(options, connection)) {
		close(connection->descriptor);
		free(connection);
	}
}

static int serve_together(const struct options *options)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct connection v6 = {.descriptor = server_socket(options, AF_INET6, false)}, v4 = {.descriptor = -1};
	const struct connection *const listeners[2] = {&v6, &v4};
	watch(epoll, v6.descriptor, &v6);
	if (options->address_length == 0) {
		v4.descriptor = server_socket(options, AF_INET, false);
		watch(epoll, v4.descriptor, &v4);
	}
	puts("listening");
	while (!stopped) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(epoll, events, EVENTS, WAKE_MS);
		for (int i = 0; i < count; i++)
			handle(options, epoll, events[i].data.ptr, listeners);
	}
	return EXIT_OK; /* what is still open closes with the process */
}

int run_tcp_echo(const struct options *options)
{
	if (options->port == 0) {
		fprintf(stderr, "apus-traffic: a server needs --port\n");
		return EXIT_USAGE;
	}
	return options->serial ? serve_serially(options) : serve_together(options);
}
