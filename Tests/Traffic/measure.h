#pragma once

#include "latencies.h"

#include <stdbool.h>
#include <stdint.h>

/* A counting run: a warm-up that is not counted, then the part that is. */
struct measurement {
	double start, end;
	bool counting;
};

/* Starts the clock; `phase_over` is raised by a timer at the end of the warm-up and again at the end of the run. */
void start_measuring(struct measurement *measurement, double warmup, double seconds);

/* To be asked once a transaction: false when the run is over. Costs no system call and no clock. */
bool still_measuring(struct measurement *measurement);

/* Ends the run and returns the counted seconds. */
double stop_measuring(struct measurement *measurement);

/*
 * Prints one rate, as JSON or for people. `name` is the plural of what was counted; latencies are sorted, or NULL where
 * nobody took them.
 */
void report_rate(bool json, const char *name, uint64_t count, uint64_t failed, double seconds,
		 const struct latencies *latencies);
