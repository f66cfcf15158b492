/* SPDX-License-Identifier: MIT
 *
 * What every stress program shares: options from the environment (DURATION, THREADS, SEED), a seeded
 * generator for each thread, objects with a checksum, and the way to fail.
 *
 * An item's number and checksum are written before the item is published and never again, so reading them
 * is free of races; its references are the only thing that changes.
 */
#ifndef STRESS_H
#define STRESS_H

#include <cgc.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STRESS_UNUSED __attribute__((unused))
#define STRESS_THREADS_MAX 256u

struct stress {
	const char *name;
	unsigned threads;
	unsigned duration; /* seconds */
	uint64_t seed;
	uint64_t forget;   /* one in so many new items, see stress_forget() */
	uint64_t deadline; /* nanoseconds */
};

static struct stress stress;

/* One thread of the program: its own random numbers, its own counts. */
struct worker {
	unsigned index;
	uint64_t random;
	uint64_t operations;
	uint64_t checked; /* checksums verified */
	unsigned steps;   /* until the clock is looked at again */
	bool over;
	pthread_t thread;
	void (*run)(struct worker *worker);
};

/* ---------------------------------------------------------------------------------------------
 * Failing: the first violation ends the program
 * ------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) _Noreturn STRESS_UNUSED static void
stress_violated(const char *file, int line, const char *format, ...)
{
	char what[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	fflush(stdout);
	fprintf(stderr, "%s: SEED=%" PRIu64 " THREADS=%u: violated at %s:%d: %s\n", stress.name, stress.seed,
	        stress.threads, file, line, what);
	/* Not exit(): other threads still run. */
	_exit(1);
}

#define VIOLATED(...) stress_violated(__FILE__, __LINE__, __VA_ARGS__)
#define REQUIRE(condition)                                  \
	do {                                                \
		if (!(condition))                           \
			VIOLATED("not so: %s", #condition); \
	} while (0)

/* ---------------------------------------------------------------------------------------------
 * Random numbers and time
 * ------------------------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014) */
STRESS_UNUSED static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

STRESS_UNUSED static inline uint64_t next_random(struct worker *worker)
{
	return mix(worker->random += UINT64_C(0x9e3779b97f4a7c15));
}

/* 0 .. limit - 1 */
STRESS_UNUSED static inline unsigned below(struct worker *worker, unsigned limit)
{
	return (unsigned)((next_random(worker) >> 32) * limit >> 32);
}

STRESS_UNUSED static inline bool one_in(struct worker *worker, unsigned n)
{
	return below(worker, n) == 0;
}

STRESS_UNUSED static uint64_t stress_now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* True until the time is over; cheap enough for every step. */
STRESS_UNUSED static inline bool stress_goes_on(struct worker *worker)
{
	if (worker->steps-- == 0) {
		worker->steps = 63;
		worker->over = stress_now() >= stress.deadline;
	}
	return !worker->over;
}

/* ---------------------------------------------------------------------------------------------
 * Begin and end
 * ------------------------------------------------------------------------------------------- */

static uint64_t stress_option(const char *name, uint64_t otherwise, uint64_t least, uint64_t most)
{
	const char *text = getenv(name);
	if (text == NULL || *text == '\0')
		return otherwise;
	char *end;
	errno = 0;
	uint64_t value = strtoull(text, &end, 0);
	if (*end != '\0' || *text == '-' || errno != 0 || value < least || value > most) {
		fprintf(stderr, "%s: %s=%s: expected a number from %" PRIu64 " to %" PRIu64 "\n", stress.name,
		        name, text, least, most);
		exit(1);
	}
	return value;
}

/* SAMPLE=FILE: each second a line `seconds,objects live,bytes reserved,bytes waiting`, until the process ends. */
STRESS_UNUSED static void *stress_sample(void *file)
{
	uint64_t begun = stress_now();
	for (uint64_t next = begun;; next += UINT64_C(1000000000)) {
		struct cgc_stats stats;
		struct timespec until = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
			;
		cgc_get_stats(&stats);
		fprintf(file, "%.1f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
		        (double)(stress_now() - begun) * 1e-9, stats.objects_live, stats.bytes_reserved,
		        stats.bytes_waiting);
		fflush(file);
	}
	return NULL;
}

STRESS_UNUSED static void stress_start_samples(void)
{
	const char *name = getenv("SAMPLE");
	if (name == NULL || *name == '\0')
		return;
	FILE *file = fopen(name, "w");
	pthread_t thread;
	if (file == NULL) {
		fprintf(stderr, "%s: SAMPLE=%s: %s\n", stress.name, name, strerror(errno));
		exit(1);
	}
	int error = pthread_create(&thread, NULL, stress_sample, file);
	if (error != 0) {
		fprintf(stderr, "%s: no thread for samples: %s\n", stress.name, strerror(error));
		exit(1);
	}
	pthread_detach(thread);
}

/* FORGET=N: one in N calls forgets an object, so that the soak can be seen to fail. */
STRESS_UNUSED static void stress_forget(void *object)
{
	static _Atomic(uint64_t) calls;
	/* No order needed: a number. */
	if (stress.forget != 0 &&
	    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) % stress.forget == 0)
		cgc_retain(object);
}

STRESS_UNUSED static void stress_begin(const char *name)
{
	stress.name = name;
	struct timespec time;
	clock_gettime(CLOCK_REALTIME, &time);
	uint64_t any = mix((uint64_t)time.tv_nsec ^ (uint64_t)time.tv_sec << 30 ^ (uint64_t)getpid()) >> 32;
	stress.forget = stress_option("FORGET", 0, 0, UINT64_MAX);
	stress.seed = stress_option("SEED", any, 0, UINT64_MAX);
	stress.threads = (unsigned)stress_option("THREADS", 4, 1, STRESS_THREADS_MAX);
	stress.duration = (unsigned)stress_option("DURATION", 10, 1, 1000000);
	printf("SEED=%" PRIu64 " THREADS=%u DURATION=%u %s\n", stress.seed, stress.threads, stress.duration,
	       name);
	fflush(stdout);
	int error = cgc_start("poison=1");
	if (error != 0) {
		fprintf(stderr, "%s: cgc_start: %s\n", name, strerror(error));
		exit(1);
	}
	stress.deadline = stress_now() + (uint64_t)stress.duration * UINT64_C(1000000000);
	stress_start_samples();
}

static void *stress_thread(void *argument)
{
	struct worker *worker = argument;
	worker->run(worker);
	return NULL;
}

STRESS_UNUSED static void stress_create(pthread_t *thread, void *(*run)(void *), void *argument)
{
	int error = pthread_create(thread, NULL, run, argument);
	if (error != 0) {
		fprintf(stderr, "%s: pthread_create: %s\n", stress.name, strerror(error));
		_exit(1);
	}
}

/* Runs `run` in stress.threads threads; returns what they did together. `round` makes the random numbers of
 * two calls differ. */
STRESS_UNUSED static struct worker stress_run(void (*run)(struct worker *worker), uint64_t round)
{
	struct worker sum = {0};
	struct worker *workers = calloc(stress.threads, sizeof(*workers));
	if (workers == NULL) {
		fprintf(stderr, "%s: calloc: out of memory\n", stress.name);
		exit(1);
	}
	for (unsigned i = 0; i < stress.threads; i++) {
		workers[i].index = i;
		workers[i].random = mix(stress.seed + 1) ^ mix((round << 16) + i + 1);
		workers[i].run = run;
		stress_create(&workers[i].thread, stress_thread, &workers[i]);
	}
	for (unsigned i = 0; i < stress.threads; i++) {
		pthread_join(workers[i].thread, NULL);
		sum.operations += workers[i].operations;
		sum.checked += workers[i].checked;
	}
	free(workers);
	return sum;
}

STRESS_UNUSED static uint64_t stress_live(void)
{
	struct cgc_stats stats;
	cgc_get_stats(&stats);
	return stats.objects_live;
}

/* Collects until nothing more is found, which must leave exactly `expected` objects. */
STRESS_UNUSED static void stress_expect_live(uint64_t expected, const char *when)
{
	unsigned collections = 0;
	if (cgc_debug_verify() != 0)
		VIOLATED("%s: the heap violates its invariants before it is collected", when);
	while (cgc_collect(2) > 0)
		if (++collections == 1000)
			VIOLATED("%s: 1000 collections of a quiet heap in turn found garbage", when);
	if (cgc_debug_verify() != 0)
		VIOLATED("%s: the heap violates its invariants", when);
	uint64_t live = stress_live();
	if (live != expected)
		VIOLATED("%s: %" PRIu64 " objects live, expected %" PRIu64, when, live, expected);
}

/* The last check and the summary. */
STRESS_UNUSED static int stress_end(const struct worker *sum)
{
	stress_expect_live(0, "at the end");
	struct cgc_stats stats;
	cgc_get_stats(&stats);
	size_t alive = cgc_stop();
	if (alive != 0)
		VIOLATED("cgc_stop: %zu objects alive, expected none", alive);
	printf("%s: ok: %" PRIu64 " operations, %" PRIu64 " checksums; objects: %" PRIu64 " made, %" PRIu64
	       " published, freed %" PRIu64 " by count, %" PRIu64 " locally, %" PRIu64
	       " by the detector, %" PRIu64 " live; %" PRIu64 " windows, %" PRIu64 " aborted; %" PRIu64
	       " grace periods; %" PRIu64 " bytes reserved\n",
	       stress.name, sum->operations, sum->checked, stats.objects_allocated, stats.objects_published,
	       stats.objects_freed_by_count, stats.objects_freed_locally, stats.objects_freed_by_detector,
	       stats.objects_live, stats.windows, stats.windows_aborted, stats.grace_periods,
	       stats.bytes_reserved);
	return 0;
}

#endif
