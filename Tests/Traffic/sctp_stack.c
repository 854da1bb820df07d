#include "sctp.h"
#include "sockets.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *library;

static void *find(const char *name)
{
	void *symbol = dlsym(library, name);
	if (symbol == NULL) {
		fprintf(stderr, "apus-traffic: %s\n", dlerror());
		exit(EXIT_FAILED);
	}
	return symbol;
}

static struct sctp_stack load(void)
{
	return (struct sctp_stack){
		.socket = find("usrsctp_socket"),
		.bind = find("usrsctp_bind"),
		.listen = find("usrsctp_listen"),
		.accept = find("usrsctp_accept"),
		.connect = find("usrsctp_connect"),
		.send = find("usrsctp_sendv"),
		.receive = find("usrsctp_recvv"),
		.set_option = find("usrsctp_setsockopt"),
		.shutdown = find("usrsctp_shutdown"),
		.close = find("usrsctp_close"),
	};
}

const struct sctp_stack *sctp_start(void)
{
	static struct sctp_stack stack;
	library = dlopen("libusrsctp.so.2", RTLD_NOW);
	if (library == NULL) {
		fprintf(stderr, "apus-traffic: %s; scripts/setup installs it\n", dlerror());
		exit(EXIT_FAILED);
	}
	void (*start)(uint16_t port, void *send, void *print) = find("usrsctp_init");
	int (*set_blackhole)(uint32_t value) = find("usrsctp_sysctl_set_sctp_blackhole");
	stack = load();
	start(0, NULL, NULL);
	/* Raw sockets get what is for another process of the host, too: it is not to be aborted. */
	set_blackhole(2);
	return &stack;
}

struct socket *sctp_socket(const struct sctp_stack *stack, int family)
{
	const int on = 1;
	struct socket *socket = stack->socket(family, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
	if (socket == NULL)
		fail("socket of SCTP");
	if (stack->set_option(socket, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on)) < 0)
		fail("SCTP_NODELAY");
	return socket;
}

int sctp_send(const struct sctp_stack *stack, struct socket *socket, const void *bytes, size_t count)
{
	return stack->send(socket, bytes, count, NULL, 0, NULL, 0, SCTP_SENDV_NOINFO, 0) < 0 ? -1 : 0;
}

ssize_t sctp_receive(const struct sctp_stack *stack, struct socket *socket, void *bytes, size_t count)
{
	struct sctp_rcvinfo info;
	socklen_t length = sizeof(info);
	unsigned type = 0;
	int flags = 0;
	return stack->receive(socket, bytes, count, NULL, NULL, &info, &length, &type, &flags);
}
