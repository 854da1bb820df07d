#include "mesh.h"
#include "modes.h"
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* What woke the loop: kinds of descriptors, in the upper half of an event's data; a probe's number in the lower. */
enum source { SOURCE_COMMANDS, SOURCE_TCP, SOURCE_UDP, SOURCE_SCTP, SOURCE_PROBE };

#define REPEAT_SECONDS 0.3

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
	double repeat_at; /* when datagrams whose answers are missing are sent again: a busy host loses some */
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

/* ---- Asking: all questions of a round at once, those that nobody should answer first. */

static void note_answer(struct mesh_probe *probe)
{
	if (probe->is_answered)
		return;
	probe->is_answered = true;
	if (probe->is_expected && --mesh.unanswered == 0)
		mesh.quiet_since = now_seconds();
}

static void ask_by_sctp(struct mesh_probe *probe)
{
	if (probe->source_port == 0) {
		if (mesh.next_source_port < 1024)
			mesh.next_source_port = 1024;
		probe->source_port = mesh.next_source_port++;
	}
	mesh_sctp_ask(&mesh.sctp, probe);
}

/* A connection that is being opened repeats its question by itself. */
static void send_question(struct mesh_probe *probe)
{
	if (probe->protocol == MESH_SCTP)
		ask_by_sctp(probe);
	else if (probe->protocol == MESH_UDP)
		send(probe->descriptor, "?", 1, MSG_NOSIGNAL);
}

static void open_probe(struct mesh_probe *probe, uint32_t number)
{
	if (probe->protocol != MESH_SCTP) {
		if (probe->descriptor < 0)
			mesh_probe_connect(probe);
		watch(probe->descriptor, SOURCE_PROBE, number);
	}
	send_question(probe);
}

static void repeat_questions(void)
{
	mesh.repeat_at = now_seconds() + REPEAT_SECONDS;
	for (size_t i = 0; i < mesh.probe_count; i++) {
		if (mesh.probes[i].is_expected && !mesh.probes[i].is_answered)
			send_question(&mesh.probes[i]);
	}
}

static void set_probe(size_t number, char mark)
{
	struct mesh_probe *probe = &mesh.probes[number];
	mesh_probe_prepare(probe, number % MESH_QUESTIONS, &mesh.targets[number / MESH_QUESTIONS], mesh.options->port);
	probe->is_expected = mark == '1';
	mesh.unanswered += probe->is_expected;
}

/* `marks` has one character a question: 1 where an answer is expected, 0 where none is. */
static void begin_round(const char *marks)
{
	mesh.probe_count = strlen(marks);
	if (mesh.is_asking || mesh.probe_count != mesh.target_count * MESH_QUESTIONS) {
		fprintf(stderr, "apus-traffic: a round of %zu marks, not %zu, or too early\n", mesh.probe_count,
			mesh.target_count * MESH_QUESTIONS);
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
	mesh.repeat_at = mesh.quiet_since + REPEAT_SECONDS;
	mesh.deadline = mesh.quiet_since + mesh.options->timeout_ms / 1000.0;
}

/* What has come too late must not be taken for an answer of the next round. */
static void stop_watching(struct mesh_probe *probe)
{
	char byte;
	if (probe->descriptor < 0)
		return;
	epoll_ctl(mesh.epoll, EPOLL_CTL_DEL, probe->descriptor, NULL);
	while (probe->is_held && (recv(probe->descriptor, &byte, 1, 0) >= 0 || errno != EAGAIN)) {
	}
	if (!probe->is_held)
		close(probe->descriptor);
}

static void end_round(void)
{
	char marks[MESH_PROBES + 1];
	for (size_t i = 0; i < mesh.probe_count; i++) {
		marks[i] = mesh.probes[i].is_answered ? '1' : '0';
		stop_watching(&mesh.probes[i]);
	}
	marks[mesh.probe_count] = '\0';
	mesh.is_asking = false;
	puts(marks);
}

/* When the round is over: all expected answers have come and nothing else for the interval, or it takes too long. */
static double round_end(void)
{
	return mesh.unanswered == 0 ? mesh.quiet_since + mesh.options->interval_ms / 1000.0 : mesh.deadline;
}

static int remaining_ms(void)
{
	if (!mesh.is_asking)
		return WAKE_MS;
	double next = mesh.unanswered > 0 && mesh.repeat_at < mesh.deadline ? mesh.repeat_at : round_end();
	double left = (next - now_seconds()) * 1000;
	return left <= 0 ? 0 : (int)left + 1;
}

static void go_on(void)
{
	if (!mesh.is_asking)
		return;
	double now = now_seconds();
	if (now >= round_end())
		end_round();
	else if (mesh.unanswered > 0 && now >= mesh.repeat_at)
		repeat_questions();
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
	ssize_t count = recv(probe->descriptor, &byte, 1, 0);
	if (count == 1)
		note_answer(probe);
	/* A connection that is refused or at its end would wake the loop for ever. */
	if (probe->protocol == MESH_TCP)
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
		return mesh_serve_tcp((int)number);
	case SOURCE_UDP:
		return mesh_serve_udp((int)number);
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
		go_on();
	}
	return EXIT_OK;
}
