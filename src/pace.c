/* SPDX-License-Identifier: MIT
 *
 * Back-pressure: what happens when threads make garbage faster than the background thread finds it.
 *
 * After each look of the detector the bytes in objects may grow to a limit: twice what the look left, and 128 MiB. A
 * thread that wants another slab beyond it waits first, longer the further the heap is beyond: with b bytes wanted and
 * x = (bytes in objects - limit) / limit
 *
 *     wait = 1 ms * x^3 * b / 64 KiB, at most one second, cut short by the end of a look.
 *
 * So n threads that make nothing but garbage, and a detector that does not run for the time t, leave
 * x <= (4 n * t / 1 ms * 64 KiB / limit)^(1/4): it takes sixteen times as long to get twice as far. A bound that no
 * time moves is the option `limit`: beyond it there is no memory for objects (queues and the detector's arrays still
 * get theirs, to free some), and from half of it on threads wait as above, with x = (reserved bytes - limit / 2) /
 * (limit - reserved bytes). Threads in read sections never wait, because a section that waits holds up all deaths.
 */
#define _GNU_SOURCE /* pthread_cond_clockwait */
#include <sched.h>
#include <time.h>

#include "grace.h"
#include "pause.h"

#define FREE_GROWTH UINT64_C(134217728) /* between two looks, nobody's business */
#define LONGEST_WAIT_NS UINT64_C(1000000000)
#define SLICE_NS UINT64_C(2000000)
#define UNIT ((double)65536)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t renewed = PTHREAD_COND_INITIALIZER;
static uint64_t renewals;                        /* [lock] */
static _Atomic(uint64_t) pace_limit, look_limit; /* [atomic] bytes in objects */
static _Atomic(uint64_t) yields, waited_ns;

static void add(_Atomic(uint64_t) *counter, uint64_t amount)
{
	/* No order needed: statistics. */
	atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

/* Bytes in objects: alive, dead and waiting, garbage. A sum over all threads. */
uint64_t cgc__pace_measure(void)
{
	uint64_t made = 0, objects = 0, bytes = 0;
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next)
		cgc__slab_sum(context, &made, &objects, &bytes);
	return bytes;
}

/* Under a hard limit, what matters is all that was taken. */
static uint64_t bytes_used(void)
{
	return cgc__heap.limit != 0 ? cgc__memory_reserved() : cgc__pace_measure();
}

/* The sum is only made when it may be beyond. */
static bool is_beyond(_Atomic(uint64_t) *some_limit)
{
	/* No order needed: a number that paces. */
	uint64_t limit = atomic_load_explicit(some_limit, memory_order_relaxed);
	return cgc__memory_reserved() > limit && bytes_used() > limit;
}

/* Beyond the limit: threads wait, and a look is due whatever the detector's pause. */
bool cgc__pace_is_pressed(void)
{
	return is_beyond(&pace_limit);
}

/* Half way to the limit. */
bool cgc__pace_is_look_due(void)
{
	return is_beyond(&look_limit);
}

static uint64_t wait_for(uint64_t used, uint64_t limit, size_t bytes)
{
	double room = (double)limit, hard = (double)cgc__heap.limit - (double)used;
	if (cgc__heap.limit != 0 && hard < room)
		room = hard > 1 ? hard : 1;
	double x = (double)(used - limit) / room;
	double wait = 1e6 * x * x * x * ((double)bytes / UNIT);
	return wait < (double)LONGEST_WAIT_NS ? (uint64_t)wait : LONGEST_WAIT_NS;
}

static bool fits(size_t bytes)
{
	return cgc__heap.limit == 0 || cgc__memory_reserved() + bytes <= cgc__heap.limit;
}

/* Until that time or the end of a look; if there is no memory at all until then, until there is. */
static void wait_until(uint64_t end, size_t bytes)
{
	pthread_mutex_lock(&lock);
	uint64_t seen = renewals;
	cgc__collector_wake(); /* not earlier, or the end of its look could be missed */
	for (uint64_t now; (renewals == seen || !fits(bytes)) && (now = cgc__report_now()) < end;) {
		/* What others give back between two looks wakes nobody. */
		uint64_t slice = !fits(bytes) && now + SLICE_NS < end ? now + SLICE_NS : end;
		struct timespec until = {(time_t)(slice / 1000000000u), (long)(slice % 1000000000u)};
		pthread_cond_clockwait(&renewed, &lock, CLOCK_MONOTONIC, &until);
	}
	pthread_mutex_unlock(&lock);
}

/* Before a thread takes so many bytes. */
void cgc__pace_take(struct cgc__context *self, size_t bytes)
{
	uint64_t used;
	/* No order needed: a number that paces. */
	uint64_t limit = atomic_load_explicit(&pace_limit, memory_order_relaxed);
	if (__builtin_expect(cgc__memory_reserved() <= limit, 1) || cgc__collector_is_self() ||
	    cgc__grace_in_section() || (used = bytes_used()) <= limit)
		return;
	uint64_t wait = wait_for(used, limit, bytes);
	add(&yields, 1);
	if (wait < 50000) { /* shorter than it takes to fall asleep and wake up */
		cgc__collector_wake();
		sched_yield();
		return;
	}
	cgc__pause("pace.wait_due");
	uint64_t began = cgc__report_now();
	wait_until(began + wait, bytes);
	add(&waited_ns, cgc__report_now() - began);
	cgc__report_stall(self, began, self->callback_ns);
}

/* After a look that began with so many bytes in objects and ended so many. What has been allocated meanwhile may be
 * garbage for the most part, so it does not count. */
void cgc__pace_renew(uint64_t began, uint64_t ended)
{
	uint64_t kept = began > ended ? began - ended : 0;
	uint64_t limit = 2 * kept + FREE_GROWTH, half = cgc__heap.limit / 2;
	if (half != 0 && half < limit)
		limit = half;
	/* No order needed: numbers that pace. */
	atomic_store_explicit(&pace_limit, limit, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&look_limit, kept < limit ? kept + (limit - kept) / 2 : limit,
	                      memory_order_relaxed);
	pthread_mutex_lock(&lock);
	renewals++;
	pthread_cond_broadcast(&renewed);
	pthread_mutex_unlock(&lock);
}

void cgc__pace_stats(struct cgc_stats *stats)
{
	/* No order needed: statistics. */
	stats->yields = atomic_load_explicit(&yields, memory_order_relaxed);
	/* No order needed: statistics. */
	stats->paced_nanoseconds = atomic_load_explicit(&waited_ns, memory_order_relaxed);
}
