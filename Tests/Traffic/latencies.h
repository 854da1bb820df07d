#pragma once

#include <stdint.h>

/* How long each of many transactions took. */
struct latencies {
	double *seconds; /* of the first ones; NULL where there is no room */
	uint64_t count;
};

/* Makes room; pages of it are touched only as they fill. */
void prepare_latencies(struct latencies *latencies);

void add_latency(struct latencies *latencies, double seconds);

/* To be called once, before the percentiles are asked for. */
void sort_latencies(struct latencies *latencies);

/* The latency that so many in a hundred do not exceed, in microseconds; 0 when there was none. */
double latency_percentile(const struct latencies *latencies, unsigned percent);

void free_latencies(struct latencies *latencies);
