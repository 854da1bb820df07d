#include "modes.h"
#include "protocol.h"
#include "sockets.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static char datagram[65536];
static char reply[65536 + ID_LIMIT + 1];

static size_t make_reply(const struct options *options, size_t received, const char **bytes)
{
	*bytes = datagram;
	if (received == 0 || datagram[0] != KIND_ASK)
		return received;
	size_t name = (size_t)snprintf(reply, ID_LIMIT + 2, "%.*s\n", ID_LIMIT, options->id);
	memcpy(reply + name, datagram, received);
	*bytes = reply;
	return name + received;
}

static void serve_datagram(const struct options *options, int descriptor)
{
	struct sockaddr_storage sender;
	socklen_t length = sizeof(sender);
	ssize_t received = recvfrom(descriptor, datagram, sizeof(datagram), 0, (struct sockaddr *)&sender, &length);
	if (received < 0)
		return;
	const char *bytes;
	size_t count = make_reply(options, (size_t)received, &bytes);
	sendto(descriptor, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&sender, length);
}

static int serve_serially(const struct options *options)
{
	int descriptor = server_socket(options, AF_INET6, true);
	puts("listening");
	while (!stopped)
		serve_datagram(options, descriptor);
	return EXIT_OK;
}

static int serve_together(const struct options *options)
{
	struct pollfd sockets[2] = {{.fd = server_socket(options, AF_INET6, false), .events = POLLIN},
				    {.fd = -1, .events = POLLIN}};
	if (options->address_length == 0)
		sockets[1].fd = server_socket(options, AF_INET, false);
	puts("listening");
	while (!stopped) {
		if (poll(sockets, 2, WAKE_MS) <= 0)
			continue;
		for (int i = 0; i < 2; i++) {
			if (sockets[i].revents != 0)
				serve_datagram(options, sockets[i].fd);
		}
	}
	return EXIT_OK;
}

int run_udp_echo(const struct options *options)
{
	struct options own = *options;
	own.type = SOCK_DGRAM;
	if (own.port == 0) {
		fprintf(stderr, "apus-traffic: a server needs --port\n");
		return EXIT_USAGE;
	}
	return own.serial ? serve_serially(&own) : serve_together(&own);
}
