#include "measure.h"

#include "sockets.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/time.h>

static volatile sig_atomic_t phase_over;
static double counted_seconds;

static void on_alarm(int signal)
{
	(void)signal;
	phase_over = 1;
}

static void arm(double seconds)
{
	struct itimerval timer = {0};
	phase_over = 0;
	timer.it_value.tv_sec = (time_t)seconds;
	timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void start_counting(struct measurement *measurement)
{
	measurement->counting = true;
	measurement->start = now_seconds();
	arm(counted_seconds);
}

void start_measuring(struct measurement *measurement, double warmup, double seconds)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &action, NULL);
	*measurement = (struct measurement){0};
	counted_seconds = seconds > 0 ? seconds : 1;
	if (warmup > 0)
		arm(warmup);
	else
		start_counting(measurement);
}

bool still_measuring(struct measurement *measurement)
{
	if (stopped)
		return false;
	if (!phase_over)
		return true;
	if (measurement->counting)
		return false;
	start_counting(measurement);
	return true;
}

double stop_measuring(struct measurement *measurement)
{
	measurement->end = now_seconds();
	return measurement->counting ? measurement->end - measurement->start : 0;
}

void report_rate(bool json, const char *name, uint64_t count, uint64_t failed, double seconds,
		 const struct latencies *latencies)
{
	double rate = seconds > 0 ? (double)count / seconds : 0;
	double median = latencies ? latency_percentile(latencies, 50) : 0;
	double slowest = latencies ? latency_percentile(latencies, 99) : 0;
	if (json) {
		printf("{\"%s\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"seconds\":%.6f,\"per_second\":%.1f", name, count,
		       failed, seconds, rate);
		if (latencies)
			printf(",\"p50_us\":%.2f,\"p99_us\":%.2f", median, slowest);
		printf("}\n");
		return;
	}
	printf("%" PRIu64 " %s in %.3f s: %.0f/s, %" PRIu64 " failed", count, name, seconds, rate, failed);
	if (latencies)
		printf(", p50 %.1f us, p99 %.1f us", median, slowest);
	printf("\n");
}
