/* SPDX-License-Identifier: MIT
 *
 * The live line, redrawn on a terminal and a plain log elsewhere, and the final table.
 */
#include "report.h"

#include <cgc.h>
#include <stdio.h>
#include <unistd.h>

static double resident_megabytes(void)
{
	unsigned long pages = 0;
	FILE *stream = fopen("/proc/self/statm", "re");
	if (stream != NULL) {
		if (fscanf(stream, "%*u %lu", &pages) != 1)
			pages = 0;
		fclose(stream);
	}
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* 12345678 as "12.3 M", in one of a few buffers that take turns. */
static const char *scaled(double value)
{
	static char buffers[16][24];
	static unsigned turn;
	char *buffer = buffers[turn++ % 16];
	const char *unit = value >= 1e9 ? " G" : value >= 1e6 ? " M" : value >= 1e4 ? " k" : "";
	double divisor = value >= 1e9 ? 1e9 : value >= 1e6 ? 1e6 : value >= 1e4 ? 1e3 : 1;
	snprintf(buffer, sizeof(buffers[0]), divisor > 1 ? "%.1f%s" : "%.0f%s", value / divisor, unit);
	return buffer;
}

static const char *duration(uint64_t nanoseconds)
{
	static char buffers[16][24];
	static unsigned turn;
	char *buffer = buffers[turn++ % 16];
	double value = (double)nanoseconds;
	if (nanoseconds < 1000)
		snprintf(buffer, sizeof(buffers[0]), "%.0f ns", value);
	else if (nanoseconds < 1000000)
		snprintf(buffer, sizeof(buffers[0]), "%.1f us", value / 1e3);
	else
		snprintf(buffer, sizeof(buffers[0]), "%.1f ms", value / 1e6);
	return buffer;
}

static uint64_t cycles_found(const struct cgc_stats *stats)
{
	return stats->generation[0].collected + stats->generation[1].collected + stats->generation[2].collected;
}

void report_lines_begin(void)
{
	printf("live: objects; cyclic: those found in garbage cycles so far; stall: the longest of any call so "
	       "far\n");
	fflush(stdout);
}

void report_line(unsigned seconds, double rate)
{
	struct cgc_stats stats;
	cgc_get_stats(&stats);
	int is_terminal = isatty(STDOUT_FILENO);
	/* Fits into 80 columns, where \r could not go back. */
	printf("%s%3u s %7s op/s %7s live %7s cyclic  stall %s  RSS %.0f MB%s", is_terminal ? "\r" : "",
	       seconds, scaled(rate), scaled((double)stats.objects_live), scaled((double)cycles_found(&stats)),
	       duration(stats.longest_stall_nanoseconds), resident_megabytes(), is_terminal ? "\033[K" : "\n");
	fflush(stdout);
}

void report_lines_end(void)
{
	if (isatty(STDOUT_FILENO))
		printf("\n");
}

static void print_latency(const char *name, const struct latency *latency, double seconds)
{
	if (latency->count == 0)
		return;
	printf("  %-18s %10s/s %10s %10s %10s %10s\n", name, scaled((double)latency->count / seconds),
	       duration(latency_percentile(latency, 0.5)), duration(latency_percentile(latency, 0.99)),
	       duration(latency_percentile(latency, 0.999)), duration(latency->max));
}

static void print_operations(const struct crew *crew, double seconds)
{
	static const char *const names[OPERATIONS] = {"resolve, borrowed", "resolve, counted", "install",
	                                              "remove", "swap universe"};
	struct latency sums[OPERATIONS] = {0}, readers = {0};
	for (unsigned i = 0; i < crew->count; i++)
		for (int operation = 0; operation < OPERATIONS; operation++)
			latency_add(&sums[operation], &crew->workers[i].latency[operation]);
	latency_add(&readers, &sums[RESOLVE_BORROWED]);
	latency_add(&readers, &sums[RESOLVE_COUNTED]);
	printf("  %-18s %12s %10s %10s %10s %10s\n", "", "throughput", "p50", "p99", "p99.9", "max");
	print_latency("readers, all", &readers, seconds);
	for (int operation = 0; operation < OPERATIONS; operation++)
		print_latency(names[operation], &sums[operation], seconds);
}

static void print_count(const char *name, uint64_t count)
{
	printf("  %-34s %16llu\n", name, (unsigned long long)count);
}

static void print_objects(const struct crew *crew)
{
	struct cgc_stats stats;
	uint64_t packages = 0, objects = 0;
	for (unsigned i = 0; i < crew->count; i++) {
		packages += crew->workers[i].packages;
		objects += crew->workers[i].objects;
	}
	cgc_get_stats(&stats);
	print_count("packages resolved or changed", packages);
	print_count("objects read, each with its seal", objects);
	print_count("objects allocated", stats.objects_allocated);
	print_count("  published", stats.objects_published);
	print_count("  freed by count", stats.objects_freed_by_count);
	print_count("  freed locally", stats.objects_freed_locally);
	print_count("  freed by the detector", stats.objects_freed_by_detector);
	print_count("  live or waiting", stats.objects_live);
	print_count("looks of the detector", stats.windows);
	print_count("  given up", stats.windows_aborted);
	print_count("grace periods", stats.grace_periods);
	printf("  %-34s %16s\n", "longest stall", duration(stats.longest_stall_nanoseconds));
	printf("  %-34s %13.0f MB\n", "RSS", resident_megabytes());
}

void report_table(const struct crew *crew, double seconds)
{
	printf("\n%u writers, %u readers, %.1f s\n", crew->writers, crew->count - crew->writers, seconds);
	print_operations(crew, seconds);
	print_objects(crew);
	printf("\n");
}
