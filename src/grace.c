/* SPDX-License-Identifier: MIT
 *
 * Grace periods, numbered. See grace.h.
 */
#include "grace.h"

char cgc__grace_ended, cgc__grace_began;
_Atomic(uint64_t) cgc__grace_started = 8, cgc__grace_done = 8;

uint64_t cgc__grace_seal(void)
{
	CGC__TSAN_RELEASE(cgc__grace_ended);
	/* SEAL.r: if this reads n, grace period n + 1 begins later, and its membarrier orders all that this
	 * thread did before behind its start. A relaxed load is enough: reading an old n is impossible after
	 * the membarrier of n + 1, and reading a new one only waits longer. Pairs: SEAL.w below. */
	return atomic_load_explicit(&cgc__grace_started, memory_order_relaxed) + 1;
}

void cgc__grace_wait(void)
{
	/* No order needed to read it: only this thread writes it. */
	uint64_t number = atomic_load_explicit(&cgc__grace_started, memory_order_relaxed) + 1;
	/* SEAL.w: before the grace period's first membarrier. Pairs: SEAL.r above. */
	atomic_store_explicit(&cgc__grace_started, number, memory_order_release);
	CGC__TSAN_RELEASE(cgc__grace_began);
	urcu_memb_synchronize_rcu();
	CGC__TSAN_ACQUIRE(cgc__grace_ended);
	/* GRACE.w: all sections that began before are over. Pairs: GRACE.r, grace.h and reclaim.c. */
	atomic_store_explicit(&cgc__grace_done, number, memory_order_release);
}

void cgc_read_lock(void)
{
	cgc__thread_self();
	cgc__grace_enter();
}

void cgc_read_unlock(void)
{
	if (cgc__self == NULL || !cgc__grace_in_section())
		cgc__report_misuse("cgc_read_unlock", NULL,
		                   "no read section is open: borrowed pointers may already dangle");
	cgc__grace_leave();
}
