/* SPDX-License-Identifier: MIT
 *
 * The server's memory over libcgc. See memory.h.
 */
#include <stdio.h>
#include <string.h>

#include "memory.h"

bool mem_start(const char *options)
{
	int error = cgc_start(options);
	if (error != 0)
		fprintf(stderr, "cgc-server: libcgc: %s\n", strerror(error));
	return error == 0;
}

size_t mem_stop(void)
{
	return cgc_stop();
}

void mem_thread_begin(void)
{
	cgc_thread_attach();
}

void mem_thread_end(void)
{
	cgc_thread_detach();
}

struct memory_numbers mem_numbers(void)
{
	struct cgc_stats stats;
	cgc_get_stats(&stats);
	return (struct memory_numbers){"libcgc", stats.objects_live, stats.bytes_live, stats.bytes_reserved};
}

void mem_describe(void (*line)(void *argument, const char *name, uint64_t value), void *argument)
{
	struct cgc_stats stats;
	cgc_get_stats(&stats);
	uint64_t freed =
		stats.objects_freed_by_count + stats.objects_freed_locally + stats.objects_freed_by_detector;
	/* Nothing private outlives the command that made it: what was never published has died, but for the few
	 * objects of commands that run at this moment on other threads. */
	uint64_t unpublished = stats.objects_allocated - stats.objects_published;
	if (unpublished > freed)
		unpublished = freed;
	line(argument, "objects_allocated", stats.objects_allocated);
	line(argument, "objects_live", stats.objects_live);
	line(argument, "bytes_live", stats.bytes_live);
	line(argument, "bytes_reserved", stats.bytes_reserved);
	line(argument, "objects_published", stats.objects_published);
	line(argument, "objects_freed", freed);
	line(argument, "objects_freed_by_count", stats.objects_freed_by_count);
	line(argument, "objects_freed_locally", stats.objects_freed_locally);
	line(argument, "objects_freed_by_detector", stats.objects_freed_by_detector);
	line(argument, "objects_freed_unpublished", unpublished);
	line(argument, "freed_unpublished_permille", freed > 0 ? unpublished * 1000 / freed : 0);
	line(argument, "objects_waiting", stats.objects_waiting);
	line(argument, "bytes_waiting", stats.bytes_waiting);
	line(argument, "suspects", stats.suspects);
	line(argument, "windows", stats.windows);
	line(argument, "windows_aborted", stats.windows_aborted);
	line(argument, "window_candidates", stats.generation[2].candidates);
	line(argument, "window_nanoseconds", stats.generation[2].nanoseconds);
	line(argument, "young_collections", stats.generation[0].collections + stats.generation[1].collections);
	line(argument, "grace_periods", stats.grace_periods);
	line(argument, "yields", stats.yields);
	line(argument, "paced_nanoseconds", stats.paced_nanoseconds);
	line(argument, "longest_stall_nanoseconds", stats.longest_stall_nanoseconds);
	line(argument, "threads_attached", stats.threads);
}

void mem_reset_longest(void)
{
	cgc_reset_longest_stall();
}
