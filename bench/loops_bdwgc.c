/* SPDX-License-Identifier: MIT
 *
 * Boehm's collector. It knows the main thread alone, so it stops no other and sends no signal: the best case for
 * it. It marks on the calling thread, so that its work is in the time of that thread.
 */
#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include <gc.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loops.h"

struct cell {
	struct cell *next, *other;
	char payload[PAYLOAD - 2 * sizeof(void *)];
};

void bdwgc_start(void)
{
	GC_set_markers_count(1);
	GC_INIT();
}

unsigned bdwgc_version(void)
{
	return GC_get_version();
}

void loop_bdwgc(size_t size)
{
	for (size_t i = 0; i < LOOP; i++) {
		void *memory = GC_MALLOC(size);
		ESCAPE(memory);
	}
}

void batch_bdwgc(size_t size)
{
	void *blocks[BATCH];
	for (size_t i = 0; i < BATCH; i++) {
		blocks[i] = GC_MALLOC(size);
		ESCAPE(blocks[i]);
	}
}

static struct cell *ring(size_t length)
{
	struct cell *last = GC_MALLOC(sizeof(*last)), *first = last;
	for (size_t i = 1; i < length; i++) {
		struct cell *cell = GC_MALLOC(sizeof(*cell));
		cell->next = first;
		first = cell;
	}
	last->next = first;
	return first;
}

void rings_bdwgc(size_t length)
{
	for (size_t i = 0; i < BATCH / length; i++) {
		struct cell *first = ring(length);
		ESCAPE(first);
	}
	GC_gcollect();
}

static double look(size_t count)
{
	struct cell **rings = GC_MALLOC(count * sizeof(struct cell *));
	for (size_t i = 0; i < count; i++)
		rings[i] = ring(RING);
	struct timespec began, ended;
	GC_gcollect();
	clock_gettime(CLOCK_MONOTONIC, &began);
	GC_gcollect();
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ESCAPE(rings);
	return (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
}

double bdwgc_look(size_t rings)
{
	int ends[2];
	double seconds = -1;
	if (pipe(ends) != 0)
		return -1;
	pid_t child = fork();
	if (child == 0) {
		seconds = look(rings);
		_exit(write(ends[1], &seconds, sizeof(seconds)) == (ssize_t)sizeof(seconds) ? 0 : 1);
	}
	close(ends[1]);
	if (child < 0 || read(ends[0], &seconds, sizeof(seconds)) != (ssize_t)sizeof(seconds))
		seconds = -1;
	close(ends[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	return seconds;
}
