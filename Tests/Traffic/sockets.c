#include "sockets.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44 /* linux/tcp.h, since 6.15 */
#endif

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* linux/in.h, since 6.3 */
#endif

volatile sig_atomic_t stopped;

double now_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void fail(const char *what)
{
	fprintf(stderr, "apus-traffic: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILED);
}

const char *errno_name(int error)
{
	const char *name = strerrorname_np(error);
	return name ? name : "UNKNOWN";
}

void pace(const struct options *options, double *due)
{
	if (options->rate <= 0)
		return;
	double now = now_seconds();
	*due += 1 / options->rate;
	if (*due < now)
		*due = now;
	struct timespec pause = {.tv_sec = (time_t)(*due - now)};
	pause.tv_nsec = (long)((*due - now - (double)pause.tv_sec) * 1e9);
	nanosleep(&pause, NULL);
}

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

void prepare_process(const struct options *options)
{
	struct sigaction action = {.sa_handler = stop}; /* no SA_RESTART: blocked calls return */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (options->cpu < 0)
		return;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET((unsigned)options->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fail("cannot pin to that CPU");
}

/* The process is already failing when this is called with a descriptor that it must close: keep the first errno. */
static int close_failed(int descriptor)
{
	int error = errno;
	close(descriptor);
	return -error;
}

static int set_congestion(int descriptor, const struct options *options)
{
	if (!options->congestion || options->type != SOCK_STREAM)
		return 0;
	return setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, options->congestion,
			  (socklen_t)strlen(options->congestion));
}

static int set_wake_interval(int descriptor)
{
	struct timeval interval = {.tv_usec = WAKE_MS * 1000};
	if (setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &interval, sizeof(interval)) < 0)
		return -1;
	return setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &interval, sizeof(interval));
}

static int set_local_ports(int descriptor, const struct options *options)
{
	uint32_t range = options->last_port << 16 | options->first_port;
	if (range == 0)
		return 0;
	return setsockopt(descriptor, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range));
}

int client_socket(const struct options *options)
{
	int one = 1;
	int descriptor = socket(options->address.ss_family, options->type | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return -errno;
	if (set_wake_interval(descriptor) < 0 || set_congestion(descriptor, options) < 0 ||
	    set_local_ports(descriptor, options) < 0)
		return close_failed(descriptor);
	if (options->type == SOCK_STREAM)
		setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return descriptor;
}

/* A blocking connect() gives up after SO_SNDTIMEO with EINPROGRESS: wait on for the rest of the time-out. */
static int await_connection(int descriptor, double deadline)
{
	int error = 0;
	socklen_t length = sizeof(error);
	struct pollfd waiting = {.fd = descriptor, .events = POLLOUT};
	for (;;) {
		int ready = poll(&waiting, 1, WAKE_MS);
		if (ready > 0)
			break;
		if (stopped)
			return -EINTR;
		if (now_seconds() >= deadline)
			return -ETIMEDOUT;
	}
	if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return -error;
}

static int connect_within(const struct options *options, int descriptor)
{
	double deadline = now_seconds() + options->timeout_ms / 1000.0;
	if (connect(descriptor, (const struct sockaddr *)&options->address, options->address_length) == 0)
		return 0;
	int error = -errno;
	if (error == -EINPROGRESS || error == -EINTR || error == -EAGAIN)
		error = await_connection(descriptor, deadline);
	return error;
}

int connect_peer(const struct options *options)
{
	int descriptor = client_socket(options);
	if (descriptor < 0)
		return descriptor;
	int error = connect_within(options, descriptor);
	if (error == 0)
		return descriptor;
	close(descriptor);
	return error;
}

int connect_anew(const struct options *options, int descriptor)
{
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	if (connect(descriptor, &nobody, sizeof(nobody)) < 0)
		return -errno;
	return connect_within(options, descriptor);
}

static socklen_t server_address(const struct options *options, int family, struct sockaddr_storage *address)
{
	if (options->address_length != 0) {
		*address = options->address;
		return options->address_length;
	}
	memset(address, 0, sizeof(*address)); /* all zeros is "any" in both families */
	address->ss_family = (sa_family_t)family;
	((struct sockaddr_in *)address)->sin_port = htons(options->port);
	return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

int server_socket(const struct options *options, int family, bool dual)
{
	int one = 1, only_v6 = !dual;
	struct sockaddr_storage address;
	socklen_t length = server_address(options, family, &address);
	int descriptor = socket(address.ss_family, options->type | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		fail("socket");
	setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (address.ss_family == AF_INET6)
		setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
	if (set_wake_interval(descriptor) < 0 || set_congestion(descriptor, options) < 0)
		fail("socket options");
	if (bind(descriptor, (struct sockaddr *)&address, length) < 0)
		fail("bind");
	if (options->type == SOCK_STREAM && listen(descriptor, 4096) < 0)
		fail("listen");
	return descriptor;
}

/* Whether a failed call is worth another try: 0, or the negative errno that ends it. */
static int retry(double deadline)
{
	int error = errno;
	if (error != EAGAIN && error != EWOULDBLOCK && error != EINTR)
		return -error;
	if (stopped)
		return -EINTR;
	return now_seconds() >= deadline ? -ETIMEDOUT : 0;
}

int send_all(int descriptor, const void *bytes, size_t count, double deadline)
{
	const char *next = bytes;
	while (count > 0) {
		ssize_t sent = send(descriptor, next, count, MSG_NOSIGNAL);
		if (sent < 0) {
			int error = retry(deadline);
			if (error < 0)
				return error;
			continue;
		}
		next += sent;
		count -= (size_t)sent;
	}
	return 0;
}

ssize_t receive_some(int descriptor, void *bytes, size_t count, double deadline)
{
	for (;;) {
		ssize_t received = recv(descriptor, bytes, count, 0);
		if (received >= 0)
			return received;
		int error = retry(deadline);
		if (error < 0)
			return error;
	}
}

int receive_all(int descriptor, void *bytes, size_t count, double deadline)
{
	char *next = bytes;
	while (count > 0) {
		ssize_t received = receive_some(descriptor, next, count, deadline);
		if (received < 0)
			return (int)received;
		if (received == 0)
			return -EPIPE;
		next += received;
		count -= (size_t)received;
	}
	return 0;
}

void close_with_reset(int descriptor)
{
	struct linger linger = {.l_onoff = 1};
	setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void retransmit_soon(int descriptor)
{
	int one = 1, one_second = 1000;
	setsockopt(descriptor, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, &one, sizeof(one));
	setsockopt(descriptor, IPPROTO_TCP, TCP_RTO_MAX_MS, &one_second, sizeof(one_second));
}
