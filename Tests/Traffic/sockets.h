#pragma once

#include "options.h"

#include <signal.h>
#include <sys/types.h>

/* Set by SIGTERM, SIGINT and the timer; every loop looks at it. */
extern volatile sig_atomic_t stopped;

/* Every blocking call wakes at least this often to look at `stopped`. */
enum { WAKE_MS = 100 };

/* Seconds of the monotonic clock. */
double now_seconds(void);

/* Sleeps until the next request is due at `--rate`; a late one is not made up for by a burst. */
void pace(const struct options *options, double *due);

/* SIGTERM and SIGINT set `stopped` and interrupt calls; SIGPIPE is ignored; pins to `--cpu`. */
void prepare_process(const struct options *options);

/* Prints `what` with errno and ends with EXIT_FAILED. */
[[noreturn]] void fail(const char *what);

/* The name of an errno, such as ECONNREFUSED. */
const char *errno_name(int error);

/* A blocking client socket, receive and send limited to WAKE_MS a call; negative errno on failure. */
int client_socket(const struct options *options);

/* Connects within the time-out and returns the socket, or a negative errno (-ETIMEDOUT when nothing answered). */
int connect_peer(const struct options *options);

/* Connects a socket that is connected already to another peer; 0 or a negative errno. */
int connect_anew(const struct options *options, int descriptor);

/* A listening (TCP) or bound (UDP) socket of a family: AF_INET6 takes IPv4 too when `dual` is set. */
int server_socket(const struct options *options, int family, bool dual);

/* Sends everything before the deadline; 0 or a negative errno. */
int send_all(int descriptor, const void *bytes, size_t count, double deadline);

/* Receives what is there, waiting at most until the deadline; count, 0 at the end of a stream, or a negative errno. */
ssize_t receive_some(int descriptor, void *bytes, size_t count, double deadline);

/* Receives exactly `count` bytes; 0 or a negative errno (-EPIPE at an early end). */
int receive_all(int descriptor, void *bytes, size_t count, double deadline);

/*
 * After a stall the next retransmission decides when the connection is seen to live again:
 * keeps its interval short instead of doubling up to two minutes. Best effort.
 */
void retransmit_soon(int descriptor);

/* Makes close() send RST at once, so that no connection lingers in TIME_WAIT. */
void close_with_reset(int descriptor);
