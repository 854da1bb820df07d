#pragma once

#include "options.h"

/* Each mode runs until it is done or told to stop and returns an exit code. */
int run_tcp_echo(const struct options *options);
int run_udp_echo(const struct options *options);
int run_sctp_echo(const struct options *options);
int run_sctp_ask(const struct options *options);
int run_ask(const struct options *options);
int run_load(const struct options *options);
int run_hold(const struct options *options);
int run_herd(const struct options *options);
int run_rr(const struct options *options);
int run_crr(const struct options *options);
int run_flood(const struct options *options);
int run_stream(const struct options *options);
int run_inject(const struct options *options);
int run_dns(const struct options *options);
int run_resolve(const struct options *options);
int run_mesh(const struct options *options);
