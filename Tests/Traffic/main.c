#include "modes.h"
#include "sockets.h"

#include <stdio.h>
#include <string.h>

static const struct mode {
	const char *name;
	int (*run)(const struct options *options);
	bool needs_peer;
	const char *help;
} modes[] = {
	{"tcp-echo", run_tcp_echo, false,
	 "server; --port N [--listen ADDR] [--id NAME] [--serial] [--congestion NAME]"},
	{"udp-echo", run_udp_echo, false, "server; --port N [--listen ADDR] [--id NAME] [--serial]"},
	{"sctp-echo", run_sctp_echo, false, "server; --port N [--id NAME]; by an SCTP stack of its own, as root"},
	{"sctp-ask", run_sctp_ask, true,
	 "one association with messages of many sizes, whose echoes are compared; prints who answered"},
	{"ask", run_ask, true,
	 "one request, prints who answered; [--udp [--unconnected]] [--http] "
	 "[--peer-name [--count N] [--then ADDRESS --target-port N]]: what the socket calls its peer, after N more "
	 "requests of others, after one of its own to another peer"},
	{"load", run_load, true,
	 "requests one after another; [--count N] [--seconds T] [--rate R] [--hold] [--udp|--http]"},
	{"hold", run_hold, true,
	 "one connection, says when it stalls and resumes; [--http] [--interval-ms N] [--timeout-ms N]"},
	{"herd", run_herd, true, "many connections with checked answers; [--count N] [--interval-ms N]"},
	{"rr", run_rr, true, "request/response rate on one connection; [--udp] [--size N] [--seconds T] [--warmup T]"},
	{"crr", run_crr, true,
	 "connect/request/response/close rate, and how long until the response; [--udp] [--close reset|server] "
	 "[--ports LOW-HIGH]"},
	{"flood", run_flood, true,
	 "datagrams of one flow, as many as leave; [--size N] [--seconds T] [--ports LOW-HIGH]"},
	{"stream", run_stream, true, "bulk throughput to the peer; [--seconds T] [--warmup T] [--congestion NAME]"},
	{"mesh", run_mesh, false,
	 "serves --port N and N+1 by TCP, UDP and SCTP; asks them of others as its input says; [--interval-ms N]"},
	{"resolve", run_resolve, true,
	 "asks for names below --id, fresh or --same-name, and connects to --target-port; [--udp] [--first N] [--count "
	 "N] "
	 "[--rate R]"},
	{"dns", run_dns, true,
	 "resolver; answers with --count of --pool addresses from ADDRESS on, PORT its own; [--lifetime S] [--size N]"},
	{"inject", run_inject, false, "sends frames, read as lines of hex digits, out of --interface NAME"},
};

static const size_t mode_count = sizeof(modes) / sizeof(modes[0]);

static int usage(void)
{
	fprintf(stderr, "usage: apus-traffic MODE [options] [ADDRESS PORT]\n"
			"everywhere: --cpu N, --json where numbers are printed\n"
			"exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 timeout, 5 other network error\n\n");
	for (size_t i = 0; i < mode_count; i++)
		fprintf(stderr, "  %-9s %s\n", modes[i].name, modes[i].help);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct options options;
	if (argc < 2)
		return usage();
	for (size_t i = 0; i < mode_count; i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		parse_options(argc - 1, argv + 1, &options);
		if (modes[i].needs_peer)
			require_peer(&options);
		prepare_process(&options);
		return modes[i].run(&options);
	}
	return usage();
}
