#include "request.h"

#include "sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_LIMIT = 16384 };

int open_request(const struct options *options)
{
	if (options->type == SOCK_DGRAM && options->unconnected)
		return client_socket(options);
	return connect_peer(options);
}

static int take_id(struct answer *answer, const char *text, size_t length)
{
	if (length == 0 || length > ID_LIMIT)
		return -EBADMSG;
	memcpy(answer->id, text, length);
	answer->id[length] = '\0';
	return 0;
}

/* Whether `bytes` is a whole "ID\n" followed by the request itself. */
static bool answers(const char *bytes, size_t count, const char *request, size_t length)
{
	return count > length + 1 && memcmp(bytes + count - length, request, length) == 0 &&
	       bytes[count - length - 1] == '\n';
}

static int ask_stream(int descriptor, const char *request, size_t length, double deadline, struct answer *answer)
{
	char bytes[ID_LIMIT + 1 + REQUEST_LIMIT];
	size_t count = 0;
	int error = send_all(descriptor, request, length, deadline);
	while (error == 0 && !answers(bytes, count, request, length)) {
		if (count == sizeof(bytes))
			return -EBADMSG;
		ssize_t received = receive_some(descriptor, bytes + count, sizeof(bytes) - count, deadline);
		if (received <= 0)
			return received < 0 ? (int)received : -ECONNRESET;
		count += (size_t)received;
	}
	return error != 0 ? error : take_id(answer, bytes, count - length - 1);
}

/* The answer must come from the address that was asked: reverse translation is part of what is tested. */
static bool from_peer(const struct options *options, const struct sockaddr_storage *sender)
{
	const struct sockaddr_in6 *asked = (const struct sockaddr_in6 *)&options->address;
	const struct sockaddr_in6 *got = (const struct sockaddr_in6 *)sender;
	if (sender->ss_family != options->address.ss_family || got->sin6_port != asked->sin6_port)
		return false;
	if (sender->ss_family == AF_INET)
		return ((const struct sockaddr_in *)sender)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)&options->address)->sin_addr.s_addr;
	return memcmp(&got->sin6_addr, &asked->sin6_addr, sizeof(got->sin6_addr)) == 0;
}

static int send_datagram(const struct options *options, int descriptor, const char *request, size_t length)
{
	const struct sockaddr *to = options->unconnected ? (const struct sockaddr *)&options->address : NULL;
	if (sendto(descriptor, request, length, MSG_NOSIGNAL, to, to ? options->address_length : 0) < 0)
		return -errno;
	return 0;
}

static int ask_datagram(const struct options *options, int descriptor, const char *request, size_t length,
			double deadline, struct answer *answer)
{
	char bytes[ID_LIMIT + 1 + REQUEST_LIMIT];
	int error = send_datagram(options, descriptor, request, length);
	if (error != 0)
		return error;
	while (!stopped) {
		struct sockaddr_storage sender = {0};
		socklen_t sender_length = sizeof(sender);
		ssize_t received =
			recvfrom(descriptor, bytes, sizeof(bytes), 0, (struct sockaddr *)&sender, &sender_length);
		if (received < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (received > 0 &&
		    answers(bytes, (size_t)received, request, length)) /* else late, to an older request */
			return from_peer(options, &sender) ? take_id(answer, bytes, (size_t)received - length - 1)
							   : -EADDRNOTAVAIL;
		if (now_seconds() >= deadline)
			return -ETIMEDOUT;
	}
	return -EINTR;
}

/* The name of a web server is the first line of its page. */
static int parse_page(const char *page, struct answer *answer)
{
	if (strncmp(page, "HTTP/1.", 7) != 0 || strncmp(page + 8, " 200", 4) != 0)
		return -EBADMSG;
	const char *body = strstr(page, "\r\n\r\n");
	if (!body)
		return -EBADMSG;
	body += 4;
	return take_id(answer, body, strcspn(body, "\r\n"));
}

static int ask_web(int descriptor, double deadline, struct answer *answer)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";
	char page[ANSWER_LIMIT + 1];
	size_t count = 0;
	int error = send_all(descriptor, request, sizeof(request) - 1, deadline);
	while (error == 0 && count < ANSWER_LIMIT) {
		ssize_t received = receive_some(descriptor, page + count, ANSWER_LIMIT - count, deadline);
		if (received < 0)
			return (int)received;
		if (received == 0)
			break;
		count += (size_t)received;
	}
	page[count] = '\0';
	return error != 0 ? error : parse_page(page, answer);
}

int make_request(const struct options *options, int descriptor, uint64_t sequence, struct answer *answer)
{
	char request[REQUEST_LIMIT];
	double deadline = now_seconds() + options->timeout_ms / 1000.0;
	if (options->http)
		return ask_web(descriptor, deadline, answer);
	int length = snprintf(request, sizeof(request), "%c%" PRIu64 "\n", KIND_ASK, sequence);
	if (options->type == SOCK_DGRAM)
		return ask_datagram(options, descriptor, request, (size_t)length, deadline, answer);
	return ask_stream(descriptor, request, (size_t)length, deadline, answer);
}
