#include "modes.h"
#include "request.h"
#include "sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BACKENDS = 256, ERRORS = 160 };

struct tally {
	uint64_t ok, failed;
	uint64_t errors[ERRORS]; /* by errno */
	double started, last_ok, max_gap;
	size_t backends;
	struct {
		char id[ID_LIMIT + 1];
		uint64_t count;
	} backend[BACKENDS];
};

static void count_backend(struct tally *tally, const char *id)
{
	size_t i = 0;
	while (i < tally->backends && strcmp(tally->backend[i].id, id) != 0)
		i++;
	if (i == BACKENDS)
		return; /* still counted in `ok` */
	if (i == tally->backends) {
		snprintf(tally->backend[i].id, sizeof(tally->backend[i].id), "%s", id);
		tally->backends++;
	}
	tally->backend[i].count++;
}

static void note_gap(struct tally *tally, double now)
{
	if (now - tally->last_ok > tally->max_gap)
		tally->max_gap = now - tally->last_ok;
}

static void record(struct tally *tally, int error, const char *id)
{
	if (error != 0) {
		tally->failed++;
		tally->errors[error < ERRORS ? error : 0]++;
		return;
	}
	double now = now_seconds();
	note_gap(tally, now);
	tally->last_ok = now;
	tally->ok++;
	count_backend(tally, id);
}

/* When it was sent, when it was answered, and by whom or why not. The clock is that of the whole machine. */
static void log_request(double sent, int error, const char *id)
{
	printf("%.6f %.6f %s\n", sent, now_seconds(), error != 0 ? errno_name(error) : id);
}

static struct options with_next_port(const struct options *options, uint64_t sequence)
{
	struct options own = *options;
	if (options->next_port && options->first_port != 0)
		own.first_port = own.last_port =
			options->first_port + (unsigned)(sequence % (options->last_port - options->first_port + 1));
	return own;
}

/* One request on a connection of its own, or on the one that `--hold` keeps; reopened after a failure. */
static void request(const struct options *given, int *descriptor, uint64_t sequence, struct tally *tally)
{
	const struct options own = with_next_port(given, sequence), *options = &own;
	struct answer answer = {""};
	double sent = now_seconds();
	if (*descriptor < 0)
		*descriptor = open_request(options);
	int error = *descriptor < 0 ? *descriptor : make_request(options, *descriptor, sequence, &answer);
	if (error == -EINTR && stopped)
		return; /* cut short by the end of the run, which says nothing about the network */
	record(tally, -error, answer.id);
	if (options->log)
		log_request(sent, -error, answer.id);
	if (*descriptor >= 0 && (error != 0 || !options->hold)) {
		if (options->type == SOCK_STREAM)
			close_with_reset(*descriptor);
		close(*descriptor);
		*descriptor = -1;
	}
}

static void print_json(const struct tally *tally, double seconds)
{
	const char *separator = "";
	printf("{\"ok\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"errors\":{", tally->ok, tally->failed);
	for (int i = 0; i < ERRORS; i++) {
		if (tally->errors[i] == 0)
			continue;
		printf("%s\"%s\":%" PRIu64, separator, i ? errno_name(i) : "other", tally->errors[i]);
		separator = ",";
	}
	printf("},\"ids\":{");
	for (size_t i = 0; i < tally->backends; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", tally->backend[i].id, tally->backend[i].count);
	printf("},\"max_gap_ms\":%.1f,\"seconds\":%.3f}\n", tally->max_gap * 1000, seconds);
}

int run_load(const struct options *options)
{
	static struct tally tally;
	int descriptor = -1;
	double due = tally.started = tally.last_ok = now_seconds();
	double end = options->seconds > 0 ? due + options->seconds : 0;
	for (uint64_t sequence = 0; !stopped; sequence++) {
		if ((options->count && sequence == options->count) || (end > 0 && now_seconds() >= end))
			break;
		request(options, &descriptor, sequence, &tally);
		if (!stopped)
			pace(options, &due);
	}
	double now = now_seconds();
	note_gap(&tally, now);
	print_json(&tally, now - tally.started);
	return tally.failed == 0 && tally.ok > 0 ? EXIT_OK : EXIT_FAILED;
}
