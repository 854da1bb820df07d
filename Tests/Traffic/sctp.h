#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <usrsctp.h>

enum { MESSAGE_LIMIT = 8192 };

/*
 * An SCTP stack of this process, over raw sockets, as the kernel may have none: usrsctp. It is loaded where it is asked
 * for, so that nothing else of this tool needs it.
 */
struct sctp_stack {
	struct socket *(*socket)(int domain, int type, int protocol, void *receive, void *send, uint32_t threshold,
				 void *info);
	int (*bind)(struct socket *socket, struct sockaddr *address, socklen_t length);
	int (*listen)(struct socket *socket, int backlog);
	struct socket *(*accept)(struct socket *socket, struct sockaddr *address, socklen_t *length);
	int (*connect)(struct socket *socket, struct sockaddr *address, socklen_t length);
	ssize_t (*send)(struct socket *socket, const void *bytes, size_t count, struct sockaddr *to, int addresses,
			void *info, socklen_t info_length, unsigned info_type, int flags);
	ssize_t (*receive)(struct socket *socket, void *bytes, size_t count, struct sockaddr *from, socklen_t *length,
			   void *info, socklen_t *info_length, unsigned *info_type, int *flags);
	int (*set_option)(struct socket *socket, int level, int name, const void *value, socklen_t length);
	int (*shutdown)(struct socket *socket, int how);
	void (*close)(struct socket *socket);
};

/* Loads and starts the stack; ends the process where that fails. */
const struct sctp_stack *sctp_start(void);

/* A socket of this family; one of IPv6 that is bound to no address takes IPv4, too. */
struct socket *sctp_socket(const struct sctp_stack *stack, int family);

/* Sends a message; 0 or -1. */
int sctp_send(const struct sctp_stack *stack, struct socket *socket, const void *bytes, size_t count);

/* Receives a message or a part of one: count, 0 at the end, -1. */
ssize_t sctp_receive(const struct sctp_stack *stack, struct socket *socket, void *bytes, size_t count);
