#include "mesh.h"
#include "modes.h"
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* What woke the loop: kinds of descriptors, in the upper half of an event's data; a probe's number in the lower. */
enum source { SOURCE_COMMANDS, SOURCE_TCP, SOURCE_UDP, SOURCE_SCTP, SOURCE_PROBE };

static struct {
	const struct options *options;
	int epoll;
	struct mesh_sctp sctp;
	struct sockaddr_storage targets[MESH_TARGETS];
	size_t target_count;
	struct mesh_probe probes[MESH_PROBES];
	size_t probe_count, unanswered; /* expected answers that have not come */
	bool is_asking;
	double deadline; /* of the whole round */
	double quiet_since; /* when the last expected answer came */
	uint16_t next_source_port;
} mesh = {.next_source_port = 1024};

static void watch(int descriptor, enum source source, uint32_t number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)source << 32 | number};
	if (epoll_ctl(mesh.epoll, EPOLL_CTL_ADD, descriptor, &event) < 0)
		fail("epoll_ctl");
}

/* ---- Serving: the first byte of TCP, and whatever comes by UDP. */

static void open_servers(void)
{
	struct options own = *mesh.options;
	for (uint16_t i = 0; i < MESH_PORTS; i++) {
		own.port = (in_port_t)(mesh.options->port + i);
		for (int stream = 0; stream < 2; stream++) {
			own.type = stream ? SOCK_STREAM : SOCK_DGRAM;
			int descriptor = server_socket(&own, AF_INET6, true);
			fcntl(descriptor, F_SETFL, O_NONBLOCK);
			watch(descriptor, stream ? SOURCE_TCP : SOURCE_UDP, (uint32_t)descriptor);
		}
	}
	mesh_sctp_open(&mesh.sctp);
	watch(mesh.sctp.v4, SOURCE_SCTP, (uint32_t)mesh.sctp.v4);
	watch(mesh.sctp.v6, SOURCE_SCTP, (uint32_t)mesh.sctp.v6);
}

static void serve_tcp(int listener)
{
	int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (descriptor < 0)
		return;
	send(descriptor, "!", 1, MSG_NOSIGNAL);
	close(descriptor);
}

static void serve_udp(int descriptor)
{
	char byte;
	struct sockaddr_storage sender;
	socklen_t length = sizeof(sender);
	if (recvfrom(descriptor, &byte, 1, 0, (struct sockaddr *)&sender, &length) == 1)
		sendto(descriptor, "!", 1, MSG_NOSIGNAL, (struct sockaddr *)&sender, length);
}

/* ---- Asking: all questions of a round at once, those that nobody should answer first. */

static void note_answer(struct mesh_probe *probe)
{
	if (probe->is_answered)
		return;
	probe->is_answered = true;
	if (probe->is_expected && --mesh.unanswered == 0)
		mesh.quiet_since = now_seconds();
}

static void open_probe(struct mesh_probe *probe, uint32_t number)
{
	if (probe->protocol == MESH_SCTP) {
		if (mesh.next_source_port < 1024)
			mesh.next_source_port = 1024;
		probe->source_port = mesh.next_source_port++;
		mesh_sctp_ask(&mesh.sctp, probe);
		return;
	}
	int type = probe->protocol == MESH_TCP ? SOCK_STREAM : SOCK_DGRAM;
	probe->descriptor = socket(probe->address.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe->descriptor < 0)
		fail("socket");
	watch(probe->descriptor, SOURCE_PROBE, number);
	close_with_reset(probe->descriptor);
	/* Errors show as an answer that does not come. */
	connect(probe->descriptor, (const struct sockaddr *)&probe->address, probe->length);
	if (probe->protocol == MESH_UDP)
		send(probe->descriptor, "?", 1, MSG_NOSIGNAL);
}

static void set_probe(size_t number, char mark)
{
	struct mesh_probe *probe = &mesh.probes[number];
	size_t target = number / (3 * MESH_PORTS), port = number % MESH_PORTS;
	*probe = (struct mesh_probe){.address = mesh.targets[target], .descriptor = -1};
	probe->length = probe->address.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	((struct sockaddr_in *)&probe->address)->sin_port = htons((uint16_t)(mesh.options->port + port));
	probe->protocol = (enum mesh_protocol)(number / MESH_PORTS % 3);
	probe->is_expected = mark == '1';
	mesh.unanswered += probe->is_expected;
}

/* `marks` has one character a question: 1 where an answer is expected, 0 where none is. */
static void begin_round(const char *marks)
{
	mesh.probe_count = strlen(marks);
	if (mesh.is_asking || mesh.probe_count != mesh.target_count * 3 * MESH_PORTS) {
		fprintf(stderr, "apus-traffic: a round of %zu marks, not %zu, or too early\n", mesh.probe_count,
			mesh.target_count * 3 * MESH_PORTS);
		exit(EXIT_USAGE);
	}
	mesh.unanswered = 0;
	for (size_t i = 0; i < mesh.probe_count; i++)
		set_probe(i, marks[i]);
	for (int expected = 0; expected < 2; expected++) {
		for (size_t i = 0; i < mesh.probe_count; i++) {
			if (mesh.probes[i].is_expected == (expected == 1))
				open_probe(&mesh.probes[i], (uint32_t)i);
		}
	}
	mesh.is_asking = true;
	mesh.quiet_since = now_seconds();
	mesh.deadline = mesh.quiet_since + mesh.options->timeout_ms / 1000.0;
}

static void end_round(void)
{
	char marks[MESH_PROBES + 1];
	for (size_t i = 0; i < mesh.probe_count; i++) {
		marks[i] = mesh.probes[i].is_answered ? '1' : '0';
		if (mesh.probes[i].descriptor >= 0)
			close(mesh.probes[i].descriptor);
	}
	marks[mesh.probe_count] = '\0';
	mesh.is_asking = false;
	puts(marks);
}

/* Milliseconds until the round is over: when all expected answers have come and nothing else for the interval, or at
 * the time-out. */
static int remaining_ms(void)
{
	if (!mesh.is_asking)
		return WAKE_MS;
	double end = mesh.deadline;
	if (mesh.unanswered == 0)
		end = mesh.quiet_since + mesh.options->interval_ms / 1000.0;
	double left = (end - now_seconds()) * 1000;
	return left <= 0 ? 0 : (int)left + 1;
}

/* ---- Commands and events. */

static void add_target(const char *text)
{
	struct sockaddr_storage *address = &mesh.targets[mesh.target_count];
	if (mesh.target_count == MESH_TARGETS)
		fail("too many targets");
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &((struct sockaddr_in *)address)->sin_addr) == 1)
		address->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)address)->sin6_addr) == 1)
		address->ss_family = AF_INET6;
	else
		fail(text);
	mesh.target_count++;
}

/* Reads what there is; lines may come in pieces. */
static void read_commands(void)
{
	static char text[2 * MESH_PROBES];
	static size_t filled;
	ssize_t count = read(STDIN_FILENO, text + filled, sizeof(text) - 1 - filled);
	if (count <= 0) {
		stopped = 1;
		return;
	}
	filled += (size_t)count;
	text[filled] = '\0';
	char *line = text, *end;
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		if (strncmp(line, "target ", 7) == 0)
			add_target(line + 7);
		else
			begin_round(line);
		line = end + 1;
	}
	filled -= (size_t)(line - text);
	memmove(text, line, filled);
}

static void take_answer(struct mesh_probe *probe)
{
	char byte;
	if (recv(probe->descriptor, &byte, 1, 0) == 1)
		note_answer(probe);
	epoll_ctl(mesh.epoll, EPOLL_CTL_DEL, probe->descriptor, NULL);
}

static void take_sctp(int descriptor)
{
	uint16_t port = mesh_sctp_receive(descriptor, mesh.options->port);
	for (size_t i = 0; port != 0 && mesh.is_asking && i < mesh.probe_count; i++) {
		if (mesh.probes[i].protocol == MESH_SCTP && mesh.probes[i].source_port == port)
			note_answer(&mesh.probes[i]);
	}
}

static void handle(enum source source, uint32_t number)
{
	switch (source) {
	case SOURCE_COMMANDS:
		return read_commands();
	case SOURCE_TCP:
		return serve_tcp((int)number);
	case SOURCE_UDP:
		return serve_udp((int)number);
	case SOURCE_SCTP:
		return take_sctp((int)number);
	case SOURCE_PROBE:
		return take_answer(&mesh.probes[number]);
	}
}

int run_mesh(const struct options *options)
{
	struct epoll_event events[64];
	mesh.options = options;
	mesh.epoll = epoll_create1(EPOLL_CLOEXEC);
	open_servers();
	watch(STDIN_FILENO, SOURCE_COMMANDS, 0);
	puts("listening");
	while (!stopped) {
		int count = epoll_wait(mesh.epoll, events, 64, remaining_ms());
		for (int i = 0; i < count; i++)
			handle((enum source)(events[i].data.u64 >> 32), (uint32_t)events[i].data.u64);
		if (mesh.is_asking && remaining_ms() == 0)
			end_round();
	}
	return EXIT_OK;
}
