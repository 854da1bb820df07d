/*
 * A resolver that answers every question for an address: with some addresses of a pool, in turn, so that a name's
 * addresses rotate or each name has one of its own. Over TCP it can send an answer in segments of any size.
 */
#include "modes.h"
#include "sockets.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
	MESSAGE_MAX = 65535,
	QUESTION_MAX = 512,
	HEADER = 12,
	RECORD = 12, /* a record without its data, its owner a pointer */
	TYPE_A = 1,
	TYPE_AAAA = 28,
	CONNECTIONS = 32,
};

static uint64_t turn; /* which address of the pool is next */

/* The end of the question in a message, 0: there is none. */
static size_t question_end(const uint8_t *message, size_t length)
{
	size_t place = HEADER;
	while (place < length && message[place] != 0)
		place += message[place] + 1u;
	return place + 5 <= length ? place + 5 : 0;
}

static void put(uint8_t *bytes, uint32_t value, size_t count)
{
	while (count-- > 0)
		*bytes++ = (uint8_t)(value >> 8 * count);
}

/* Writes the pool's next address. */
static void put_address(const struct options *options, uint8_t *data, size_t size)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&options->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&options->address;
	uint64_t number = turn++ % (options->pool != 0 ? options->pool : 1);
	memcpy(data, size == 4 ? (const void *)&v4->sin_addr : &v6->sin6_addr, size);
	for (size_t place = size; number > 0 && place-- > 0; number >>= 8) {
		number += data[place];
		data[place] = (uint8_t)number;
	}
}

/* Turns the question into its answer where it lies; returns its length, 0: it is none. */
static size_t answer(const struct options *options, uint8_t *message, size_t length)
{
	size_t size = options->address.ss_family == AF_INET ? 4 : 16;
	size_t end = length >= HEADER ? question_end(message, length) : 0;
	uint64_t count = options->count != 0 ? options->count : 1;
	if (end == 0)
		return 0;
	if (message[end - 3] != (size == 4 ? TYPE_A : TYPE_AAAA))
		count = 0;
	if (count > (MESSAGE_MAX - end) / (RECORD + size))
		count = (MESSAGE_MAX - end) / (RECORD + size);
	put(message + 2, 0x8180, 2); /* an answer, recursion wanted and there */
	put(message + 6, (uint32_t)count, 2);
	put(message + 8, 0, 4);
	for (; count > 0; count--) {
		uint8_t *record = message + end;
		put(record, 0xc000 | HEADER, 2);
		memcpy(record + 2, message + question_end(message, length) - 4, 4); /* type and class */
		put(record + 6, options->lifetime, 4);
		put(record + 10, (uint32_t)size, 2);
		put_address(options, record + RECORD, size);
		end += RECORD + size;
	}
	return end;
}

/* Waits until the peer has everything, so that what is sent next is a segment of its own. */
static void await_acknowledgement(int descriptor)
{
	const struct timespec pause = {.tv_nsec = 100000};
	double deadline = now_seconds() + 1;
	int waiting = 1;
	while (!stopped && now_seconds() < deadline && ioctl(descriptor, SIOCOUTQ, &waiting) == 0 && waiting > 0)
		nanosleep(&pause, NULL);
}

static bool send_segments(const struct options *options, int descriptor, const uint8_t *bytes, size_t length)
{
	size_t step = options->size > 1 ? options->size : length;
	for (size_t place = 0; place < length; place += step) {
		size_t count = length - place < step ? length - place : step;
		if (send_all(descriptor, bytes + place, count, now_seconds() + 5) < 0)
			return false;
		if (step < length)
			await_acknowledgement(descriptor);
	}
	return true;
}

/* Answers one question of a connection; false at its end. */
static bool serve_connection(const struct options *options, int descriptor)
{
	static uint8_t bytes[2 + MESSAGE_MAX];
	double deadline = now_seconds() + 5;
	if (receive_all(descriptor, bytes, 2, deadline) < 0)
		return false;
	size_t length = (size_t)(bytes[0] << 8 | bytes[1]);
	if (length > QUESTION_MAX || receive_all(descriptor, bytes + 2, length, deadline) < 0)
		return false;
	length = answer(options, bytes + 2, length);
	put(bytes, (uint32_t)length, 2);
	return length != 0 && send_segments(options, descriptor, bytes, length + 2);
}

static void serve_datagram(const struct options *options, int descriptor)
{
	static uint8_t bytes[MESSAGE_MAX];
	struct sockaddr_storage sender;
	socklen_t size = sizeof(sender);
	ssize_t received = recvfrom(descriptor, bytes, QUESTION_MAX, 0, (struct sockaddr *)&sender, &size);
	size_t length = received > 0 ? answer(options, bytes, (size_t)received) : 0;
	if (length != 0)
		sendto(descriptor, bytes, length, MSG_NOSIGNAL, (struct sockaddr *)&sender, size);
}

static void accept_connection(int listener, struct pollfd *places)
{
	int one = 1, descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (descriptor < 0)
		return;
	for (int i = 0; i < CONNECTIONS; i++) {
		if (places[i].fd >= 0)
			continue;
		setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		places[i].fd = descriptor;
		return;
	}
	close(descriptor);
}

int run_dns(const struct options *options)
{
	struct options own = *options;
	struct pollfd sockets[2 + CONNECTIONS];
	own.address_length = 0; /* ADDRESS is what it answers with; it listens on every one */
	for (int i = 0; i < 2; i++) {
		own.type = i == 0 ? SOCK_DGRAM : SOCK_STREAM;
		sockets[i] = (struct pollfd){.fd = server_socket(&own, AF_INET6, true), .events = POLLIN};
	}
	for (int i = 2; i < 2 + CONNECTIONS; i++)
		sockets[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	puts("listening");
	while (!stopped) {
		if (poll(sockets, 2 + CONNECTIONS, WAKE_MS) <= 0)
			continue;
		if (sockets[0].revents != 0)
			serve_datagram(options, sockets[0].fd);
		if (sockets[1].revents != 0)
			accept_connection(sockets[1].fd, sockets + 2);
		for (int i = 2; i < 2 + CONNECTIONS; i++) {
			if (sockets[i].fd < 0 || sockets[i].revents == 0 || serve_connection(options, sockets[i].fd))
				continue;
			close(sockets[i].fd);
			sockets[i].fd = -1;
		}
	}
	return EXIT_OK;
}
