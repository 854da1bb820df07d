#include "latencies.h"

#include <stdlib.h>

enum { LATENCIES_MAX = 1 << 20 };

void prepare_latencies(struct latencies *latencies)
{
	*latencies = (struct latencies){.seconds = calloc(LATENCIES_MAX, sizeof(double))};
}

void add_latency(struct latencies *latencies, double seconds)
{
	if (latencies->seconds != NULL && latencies->count < LATENCIES_MAX)
		latencies->seconds[latencies->count++] = seconds;
}

static int compare(const void *left, const void *right)
{
	double difference = *(const double *)left - *(const double *)right;
	return (difference > 0) - (difference < 0);
}

void sort_latencies(struct latencies *latencies)
{
	if (latencies->count > 0)
		qsort(latencies->seconds, latencies->count, sizeof(double), compare);
}

double latency_percentile(const struct latencies *latencies, unsigned percent)
{
	return latencies->count == 0 ? 0 : latencies->seconds[(latencies->count - 1) * percent / 100] * 1e6;
}

void free_latencies(struct latencies *latencies)
{
	free(latencies->seconds);
	*latencies = (struct latencies){0};
}
