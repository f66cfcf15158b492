/* SPDX-License-Identifier: MIT
 *
 * The loops that allocate and give back, for the peer that includes this after it has defined
 *
 *     kind                           what to allocate
 *     kind kind_of(struct job *)     from the parameters ORDER BYTES [...]
 *     void *make(kind), drop(void *)
 *     void hand_over(void *)         before another thread gets the object
 */
#ifndef COMPARE_ALLOC_H
#define COMPARE_ALLOC_H

#include <sched.h>
#include <stdatomic.h>

#include "harness.h"

#define HELD 1000

enum order { ORDER_ONE, ORDER_LIFO, ORDER_FIFO, ORDER_RANDOM };

struct allocation {
	enum order order;
	kind what;
	void *held[HELD];
	uint16_t turn[HELD]; /* the order in which they are dropped */
};

static enum order order_of(const char *name)
{
	static const char *const names[] = {"one", "lifo", "fifo", "random"};
	for (int i = 0; i < 4; i++)
		if (strcmp(names[i], name) == 0)
			return (enum order)i;
	fail("the order is one, lifo, fifo or random");
}

void alloc_prepare(struct job *job)
{
	struct allocation *allocation = memory(sizeof(*allocation));
	allocation->order = order_of(job_parameter(job, 0));
	allocation->what = kind_of(job);
	for (uint16_t i = 0; i < HELD; i++)
		allocation->turn[i] = i;
	for (uint16_t i = HELD - 1; i > 0; i--) {
		uint16_t j = (uint16_t)(job_random(job) % (i + 1u)), other = allocation->turn[i];
		allocation->turn[i] = allocation->turn[j];
		allocation->turn[j] = other;
	}
	job->state = allocation;
}

static inline void *make_one(kind what, uint64_t value)
{
	void *object = make(what);
	touch(object, value);
	ESCAPE(object);
	return object;
}

static void one_at_a_time(kind what)
{
	for (size_t i = 0; i < HELD; i++)
		drop(make_one(what, i));
}

uint64_t alloc_batch(struct job *job)
{
	struct allocation *allocation = job->state;
	kind what = allocation->what;
	if (allocation->order == ORDER_ONE) {
		one_at_a_time(what);
		return HELD;
	}
	for (size_t i = 0; i < HELD; i++)
		allocation->held[i] = make_one(what, i);
	if (allocation->order == ORDER_LIFO)
		for (size_t i = HELD; i-- > 0;)
			drop(allocation->held[i]);
	else if (allocation->order == ORDER_FIFO)
		for (size_t i = 0; i < HELD; i++)
			drop(allocation->held[i]);
	else
		for (size_t i = 0; i < HELD; i++)
			drop(allocation->held[allocation->turn[i]]);
	return HELD;
}

/* ---- producer and consumer: a bounded ring ---- */

#define RING 1024
/* Looks at a full or an empty ring before the batch ends, so that nobody waits for who has stopped. */
#define LOOKS 64

static struct {
	_Alignas(64) _Atomic(size_t) put;
	_Alignas(64) _Atomic(size_t) taken;
	void *entries[RING];
} ring;

static uint64_t produce(struct job *job)
{
	struct allocation *allocation = job->state;
	kind what = allocation->what;
	size_t put = atomic_load_explicit(&ring.put, memory_order_relaxed), end = put + LOOP, begin = put;
	for (int looks = 0; put != end && looks < LOOKS;) {
		if (put - atomic_load_explicit(&ring.taken, memory_order_acquire) == RING) {
			looks++;
			sched_yield();
			continue;
		}
		void *object = make_one(what, put);
		hand_over(object);
		ring.entries[put % RING] = object;
		atomic_store_explicit(&ring.put, ++put, memory_order_release);
	}
	return put - begin;
}

static uint64_t consume(void)
{
	size_t taken = atomic_load_explicit(&ring.taken, memory_order_relaxed), end = taken + LOOP,
	       begin = taken;
	for (int looks = 0; taken != end && looks < LOOKS;) {
		if (atomic_load_explicit(&ring.put, memory_order_acquire) == taken) {
			looks++;
			sched_yield();
			continue;
		}
		void *object = ring.entries[taken % RING];
		KEEP(object);
		drop(object);
		atomic_store_explicit(&ring.taken, ++taken, memory_order_release);
	}
	return taken - begin;
}

uint64_t hand_over_batch(struct job *job)
{
	return job->thread == 0 ? produce(job) : consume();
}

void hand_over_prepare(struct job *job)
{
	if (job->threads != 2)
		fail("the workload is for 2 threads");
	alloc_prepare(job);
}

#endif
