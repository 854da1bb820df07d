#include "modes.h"
#include "protocol.h"
#include "sctp.h"
#include "sockets.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct sctp_stack *stack;
static const char *server_id;

/* Echoes each message, but for one that asks who answers. */
static void *serve(void *argument)
{
	struct socket *association = argument;
	char *message = malloc(MESSAGE_LIMIT);
	ssize_t count = 0;
	while (message != NULL && (count = sctp_receive(stack, association, message, MESSAGE_LIMIT)) > 0) {
		bool asks = count == 1 && message[0] == KIND_ASK;
		if (sctp_send(stack, association, asks ? server_id : message, asks ? strlen(server_id) : (size_t)count))
			break;
	}
	stack->close(association);
	free(message);
	return NULL;
}

static void *accept_all(void *argument)
{
	struct socket *listener = argument, *association;
	pthread_t thread;
	while ((association = stack->accept(listener, NULL, NULL)) != NULL) {
		if (pthread_create(&thread, NULL, serve, association) != 0)
			fail("thread");
		pthread_detach(thread);
	}
	fail("accept");
}

static void listen_on(struct sockaddr *address, socklen_t length)
{
	struct socket *listener = sctp_socket(stack, address->sa_family);
	pthread_t thread;
	if (stack->bind(listener, address, length) < 0 || stack->listen(listener, 16) < 0)
		fail("listen by SCTP");
	if (pthread_create(&thread, NULL, accept_all, listener) != 0)
		fail("thread");
}

int run_sctp_echo(const struct options *options)
{
	/* Of both families: a socket of IPv6 that has no address takes IPv4, too. */
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(options->port)};
	if (options->port == 0) {
		fprintf(stderr, "apus-traffic: a server needs --port\n");
		return EXIT_USAGE;
	}
	stack = sctp_start();
	server_id = options->id;
	if (options->address_length > 0) {
		struct sockaddr_storage own = options->address;
		((struct sockaddr_in *)&own)->sin_port = htons(options->port);
		listen_on((struct sockaddr *)&own, options->address_length);
	} else {
		listen_on((struct sockaddr *)&any, sizeof(any));
	}
	puts("listening");
	while (!stopped)
		pause();
	return EXIT_OK;
}
