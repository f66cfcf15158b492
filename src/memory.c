/* SPDX-License-Identifier: MIT
 *
 * Every byte of the library's heap comes from here: jemalloc, through its own calls, so that a program may
 * keep any malloc for itself (a sanitizer's, for one). Also the place where a test lets memory run out.
 *
 * Slabs come from arenas that nothing else is in: among a program's other extents jemalloc does
 * not find a free one that fits the alignment, and each slab would be new memory until the decay.
 */
#include <jemalloc/jemalloc.h>
#include <stdio.h>

#include "heap.h"

/* A context uses one of them. */
#define ARENAS 16

static _Atomic(uint64_t) reserved_bytes;
static _Atomic(uint64_t) call_number;
static _Atomic(uint64_t) failing_call, failing_count = 1;

static pthread_once_t arenas_once = PTHREAD_ONCE_INIT;
static unsigned arenas[ARENAS]; /* 0: there is none, the thread's own is used */

static void make_arenas(void)
{
	for (unsigned i = 0; i < ARENAS; i++) {
		size_t size = sizeof(arenas[i]);
		if (mallctl("arenas.create", &arenas[i], &size, NULL, 0) != 0)
			arenas[i] = 0;
	}
}

/* Before the library has threads. */
void cgc__memory_start(void)
{
	pthread_once(&arenas_once, make_arenas);
}

static int flags_of_slab(size_t alignment)
{
	unsigned arena = arenas[cgc__self != NULL ? cgc__self->id % ARENAS : 0];
	return MALLOCX_ALIGN(alignment) | (arena != 0 ? (int)MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE : 0);
}

/* What was given back some time ago goes to the system, as it would in an arena that is used all the time. */
void cgc__memory_decay(void)
{
	for (unsigned i = 0; i < ARENAS; i++) {
		char name[32];
		snprintf(name, sizeof(name), "arena.%u.decay", arenas[i]);
		if (arenas[i] != 0)
			mallctl(name, NULL, NULL, NULL, 0);
	}
}

void *cgc__memory_get(size_t bytes, size_t alignment)
{
	/* No order needed: statistics, and a switch that tests set before they start threads. */
	uint64_t failing = atomic_load_explicit(&failing_call, memory_order_relaxed);
	if (failing != 0) {
		/* No order needed: only the number counts. */
		uint64_t call = atomic_fetch_add_explicit(&call_number, 1, memory_order_relaxed) + 1;
		/* No order needed: as above. */
		if (call >= failing &&
		    call - failing < atomic_load_explicit(&failing_count, memory_order_relaxed))
			return NULL;
	}
	int flags = alignment >= CGC__SLAB_BYTES ? flags_of_slab(alignment) : MALLOCX_ALIGN(alignment);
	void *memory = mallocx(bytes, alignment > 16 ? flags : 0);
	if (memory != NULL)
		/* No order needed: statistics. */
		atomic_fetch_add_explicit(&reserved_bytes, bytes, memory_order_relaxed);
	return memory;
}

void cgc__memory_put_slab(void *memory, size_t bytes)
{
	/* No order needed: statistics. */
	atomic_fetch_sub_explicit(&reserved_bytes, bytes, memory_order_relaxed);
	dallocx(memory, MALLOCX_TCACHE_NONE);
}

void cgc__memory_put(void *memory, size_t bytes)
{
	if (memory == NULL)
		return;
	/* No order needed: statistics. */
	atomic_fetch_sub_explicit(&reserved_bytes, bytes, memory_order_relaxed);
	dallocx(memory, 0);
}

uint64_t cgc__memory_reserved(void)
{
	/* No order needed: statistics. */
	return atomic_load_explicit(&reserved_bytes, memory_order_relaxed);
}

void cgc__memory_fail_at(uint64_t call)
{
	/* No order needed: set before threads use the library. */
	atomic_store_explicit(&call_number, 0, memory_order_relaxed);
	atomic_store_explicit(&failing_call, call, memory_order_relaxed);
}

void cgc__memory_fail_count(uint64_t calls)
{
	/* No order needed: as above. */
	atomic_store_explicit(&failing_count, calls, memory_order_relaxed);
}
