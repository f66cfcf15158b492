/* SPDX-License-Identifier: MIT
 *
 * Every byte of the library's heap comes from here: jemalloc, through its own calls, so that a program may
 * keep any malloc for itself (a sanitizer's, for one). Also the place where a test lets memory run out.
 */
#include <jemalloc/jemalloc.h>

#include "heap.h"

static _Atomic(uint64_t) reserved_bytes;
static _Atomic(uint64_t) call_number;
static _Atomic(uint64_t) failing_call, failing_count = 1;

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
	void *memory = mallocx(bytes, alignment > 16 ? MALLOCX_ALIGN(alignment) : 0);
	if (memory != NULL)
		/* No order needed: statistics. */
		atomic_fetch_add_explicit(&reserved_bytes, bytes, memory_order_relaxed);
	return memory;
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
