/*
 * Asks a resolver for fresh names and connects to what it answers, with nothing between answer and SYN: what a client
 * sees of a policy that learns addresses from answers.
 */
#include "latencies.h"
#include "modes.h"
#include "sockets.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	MESSAGE_MAX = 65536,
	HEADER = 12,
	TYPE_A = 1,
	TYPE_AAAA = 28,
	QUESTIONS_OF_CONNECTION = 64, /* over TCP; dnsmasq ends one after 100 */
};

enum { ERRORS_MAX = 256 };

struct tally {
	uint64_t ok, unresolved, failed, retransmitted;
	uint64_t errors[ERRORS_MAX]; /* failures by errno */
	struct latencies latencies; /* from question to connection */
};

/* Writes a question for a name below the domain and returns its length. */
static size_t write_question(const struct options *options, uint8_t *message, uint64_t number, int type)
{
	char name[256];
	size_t length = HEADER;
	if (options->same_name)
		snprintf(name, sizeof(name), "n.%s", options->id);
	else
		snprintf(name, sizeof(name), "n%llu.%s", (unsigned long long)number, options->id);
	memset(message, 0, HEADER);
	message[0] = (uint8_t)(number >> 8);
	message[1] = (uint8_t)number;
	message[2] = 1; /* recursion desired */
	message[5] = 1; /* one question */
	for (char *label = strtok(name, "."); label != NULL; label = strtok(NULL, ".")) {
		size_t size = strlen(label);
		message[length++] = (uint8_t)size;
		memcpy(message + length, label, size);
		length += size;
	}
	message[length++] = 0;
	message[length++] = 0;
	message[length++] = (uint8_t)type;
	message[length++] = 0;
	message[length++] = 1; /* class IN */
	return length;
}

/* Finds the end of a name; 0 when it has none in the message. */
static size_t skip_name(const uint8_t *message, size_t length, size_t place)
{
	while (place < length && message[place] != 0) {
		if (message[place] >= 0xc0)
			return place + 2;
		place += message[place] + 1u;
	}
	return place + 1;
}

/* Takes the first address of the wanted type out of an answer; false when there is none. */
static bool read_answer(const uint8_t *message, size_t length, int type, struct options *peer)
{
	unsigned count = message[6] << 8 | message[7];
	size_t place = skip_name(message, length, HEADER) + 4;
	for (; count > 0 && place + 12 < length; count--) {
		place = skip_name(message, length, place);
		if (place + 10 > length)
			return false;
		size_t data = place + 10, size = (size_t)(message[place + 8] << 8 | message[place + 9]);
		if (message[place] == 0 && message[place + 1] == type && data + size <= length) {
			struct sockaddr_in *v4 = (struct sockaddr_in *)&peer->address;
			struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer->address;
			memcpy(type == TYPE_A ? (void *)&v4->sin_addr : &v6->sin6_addr, message + data, size);
			return true;
		}
		place = data + size;
	}
	return false;
}

/* Receives one answer with the id, over either protocol; its length, or a negative errno. */
static ssize_t receive_answer(const struct options *options, int resolver, uint8_t *message, double deadline)
{
	uint8_t prefix[2];
	if (options->type == SOCK_DGRAM)
		return receive_some(resolver, message, MESSAGE_MAX, deadline);
	int error = receive_all(resolver, prefix, sizeof(prefix), deadline);
	size_t length = (size_t)(prefix[0] << 8 | prefix[1]);
	if (error == 0 && length > MESSAGE_MAX)
		error = -EMSGSIZE;
	if (error == 0)
		error = receive_all(resolver, message, length, deadline);
	return error < 0 ? error : (ssize_t)length;
}

/* Asks for a fresh name and writes what it resolves to into `peer`. */
static bool resolve(const struct options *options, int resolver, uint64_t number, struct options *peer)
{
	int type = options->address.ss_family == AF_INET ? TYPE_A : TYPE_AAAA;
	uint8_t question[MESSAGE_MAX + 2], answer[MESSAGE_MAX];
	size_t length = write_question(options, question + 2, number, type);
	bool stream = options->type == SOCK_STREAM;
	double deadline = now_seconds() + options->timeout_ms / 1000.0;
	question[0] = (uint8_t)(length >> 8);
	question[1] = (uint8_t)length;
	if (send_all(resolver, question + (stream ? 0 : 2), length + (stream ? 2 : 0), deadline) < 0)
		return false;
	for (;;) {
		ssize_t size = receive_answer(options, resolver, answer, deadline);
		if (size < HEADER)
			return false;
		if (answer[0] == question[2] && answer[1] == question[3])
			return read_answer(answer, (size_t)size, type, peer);
	}
}

static void connect_at_once(const struct options *peer, struct tally *tally, double asked)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);
	int descriptor = connect_peer(peer);
	if (descriptor < 0) {
		tally->failed++;
		tally->errors[-descriptor & (ERRORS_MAX - 1)]++;
		return;
	}
	add_latency(&tally->latencies, now_seconds() - asked);
	tally->ok++;
	if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) == 0)
		tally->retransmitted += info.tcpi_total_retrans;
	close_with_reset(descriptor);
	close(descriptor);
}

static void report(const struct tally *tally)
{
	const char *separator = "";
	printf("{\"ok\":%llu,\"unresolved\":%llu,\"failed\":%llu,\"retransmitted\":%llu,",
	       (unsigned long long)tally->ok, (unsigned long long)tally->unresolved, (unsigned long long)tally->failed,
	       (unsigned long long)tally->retransmitted);
	printf("\"p50_us\":%.1f,\"p99_us\":%.1f,\"errors\":{", latency_percentile(&tally->latencies, 50),
	       latency_percentile(&tally->latencies, 99));
	for (int error = 0; error < ERRORS_MAX; error++) {
		if (tally->errors[error] == 0)
			continue;
		printf("%s\"%s\":%llu", separator, errno_name(error), (unsigned long long)tally->errors[error]);
		separator = ",";
	}
	printf("}}\n");
}

/* Opens a connection to the resolver in place of one over TCP that has had enough questions. Negative: -errno. */
static int renew(const struct options *options, int resolver, uint64_t number)
{
	if (options->type != SOCK_STREAM || number == 0 || number % QUESTIONS_OF_CONNECTION != 0)
		return resolver;
	close(resolver);
	return connect_peer(options);
}

int run_resolve(const struct options *options)
{
	struct tally tally = {0};
	uint64_t first = options->first_name < 0 ? (uint64_t)getpid() << 32 : (uint64_t)options->first_name;
	uint64_t count = options->count != 0 ? options->count : 1;
	struct options peer = *options;
	int resolver = connect_peer(options);
	if (resolver < 0) {
		fprintf(stderr, "apus-traffic: %s\n", errno_name(-resolver));
		return EXIT_NETWORK;
	}
	peer.type = SOCK_STREAM;
	peer.port = options->target_port;
	((struct sockaddr_in *)&peer.address)->sin_port = htons(peer.port);
	prepare_latencies(&tally.latencies);
	double due = now_seconds();
	for (uint64_t number = 0; number < count && !stopped; number++) {
		pace(options, &due);
		resolver = renew(options, resolver, number);
		if (resolver < 0)
			break;
		double asked = now_seconds();
		if (resolve(options, resolver, first + number, &peer))
			connect_at_once(&peer, &tally, asked);
		else
			tally.unresolved++;
	}
	sort_latencies(&tally.latencies);
	report(&tally);
	free_latencies(&tally.latencies);
	return tally.ok == count ? EXIT_OK : EXIT_FAILED;
}
