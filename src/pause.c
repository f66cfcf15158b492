/* SPDX-License-Identifier: MIT
 *
 * What happens at a named point: a test's handler, or a yield now and then. See pause.h.
 */
#include <sched.h>

#include "pause.h"

static _Atomic(cgc__pause_handler *) pause_handler;
static _Thread_local uint64_t passages;

void cgc__pause_handle(cgc__pause_handler *handler)
{
	/* PAUSE.w: what the handler relies on. Pairs: PAUSE.r below. */
	atomic_store_explicit(&pause_handler, handler, memory_order_release);
}

void cgc__pause_at(const char *point)
{
	/* PAUSE.r. Pairs: PAUSE.w above. */
	cgc__pause_handler *handler = atomic_load_explicit(&pause_handler, memory_order_acquire);
	if (handler != NULL)
		handler(point);
	if (cgc__heap.yield == 0)
		return;
	/* Not every Nth: a loop with N points would always yield at the same one. (Knuth's 64-bit LCG.) */
	passages = passages * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	if ((passages >> 33) % cgc__heap.yield == 0)
		sched_yield();
}
