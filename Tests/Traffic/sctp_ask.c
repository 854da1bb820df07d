#include "modes.h"
#include "protocol.h"
#include "sctp.h"
#include "sockets.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void give_up(int number)
{
	(void)number;
	_exit(EXIT_TIMEOUT);
}

/* Nothing of the stack ends in time by itself. */
static void limit_time(int milliseconds)
{
	signal(SIGALRM, give_up);
	alarm(milliseconds < 1000 ? 1 : (unsigned)milliseconds / 1000);
}

/* Binds to the one address that the peer is reached from: an INIT names all that a socket has. */
static void bind_to_route(const struct sctp_stack *stack, struct socket *association, const struct options *options)
{
	struct sockaddr_storage own = {0};
	socklen_t length = sizeof(own);
	int descriptor = socket(options->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0 ||
	    connect(descriptor, (const struct sockaddr *)&options->address, options->address_length) < 0 ||
	    getsockname(descriptor, (struct sockaddr *)&own, &length) < 0)
		fail("route to the peer");
	close(descriptor);
	((struct sockaddr_in *)&own)->sin_port = 0;
	if (stack->bind(association, (struct sockaddr *)&own, length) < 0)
		fail("bind by SCTP");
}

/* Sends a message of so many bytes and waits for its echo. Returns whether it is the same. */
static bool is_echoed(const struct sctp_stack *stack, struct socket *association, size_t size)
{
	static unsigned char sent[MESSAGE_LIMIT], received[MESSAGE_LIMIT];
	size_t count = 0;
	for (size_t i = 0; i < size; i++)
		sent[i] = (unsigned char)(i * 131 + size);
	if (sctp_send(stack, association, sent, size) < 0)
		return false;
	while (count < size) {
		ssize_t more = sctp_receive(stack, association, received + count, size - count);
		if (more <= 0)
			return false;
		count += (size_t)more;
	}
	return memcmp(sent, received, size) == 0;
}

/* Asks who answers, and has messages of many sizes echoed. */
static int converse(const struct sctp_stack *stack, struct socket *association)
{
	char name[ID_LIMIT + 1] = "";
	char question = KIND_ASK;
	if (sctp_send(stack, association, &question, 1) < 0 ||
	    sctp_receive(stack, association, name, sizeof(name) - 1) <= 0)
		return EXIT_NETWORK;
	for (size_t size = 2; size <= MESSAGE_LIMIT; size += size / 4 + 1) {
		if (!is_echoed(stack, association, size))
			return EXIT_FAILED;
	}
	puts(name);
	return EXIT_OK;
}

int run_sctp_ask(const struct options *options)
{
	const struct sctp_stack *stack = sctp_start();
	struct sockaddr_storage peer = options->address;
	struct socket *association = sctp_socket(stack, peer.ss_family);
	char rest;
	limit_time(options->timeout_ms);
	bind_to_route(stack, association, options);
	if (stack->connect(association, (struct sockaddr *)&peer, options->address_length) < 0) {
		fprintf(stderr, "%s\n", errno_name(errno));
		return errno == ECONNREFUSED ? EXIT_REFUSED : errno == ETIMEDOUT ? EXIT_TIMEOUT : EXIT_NETWORK;
	}
	int code = converse(stack, association);
	/* The end is a part of it: until the peer has said SHUTDOWN ACK. */
	if (stack->shutdown(association, SHUT_WR) < 0 || sctp_receive(stack, association, &rest, 1) != 0)
		return code == EXIT_OK ? EXIT_NETWORK : code;
	return code;
}
