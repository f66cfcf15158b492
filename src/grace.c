/* SPDX-License-Identifier: MIT
 *
 * Grace periods, numbered. See grace.h.
 */
#include <sched.h>
#include <time.h>

#include "grace.h"
#include "pause.h"

/* Before a wait for a brief section sleeps. */
#define YIELDS 100

char cgc__grace_ended, cgc__grace_began;
_Atomic(uint64_t) cgc__grace_started = 8, cgc__grace_done = 8;

uint64_t cgc__grace_seal(void)
{
	/* SEAL.w: all that this thread did before happens before the grace period that counts on from the number
	 * read here. Pairs: SEAL.r below. */
	return atomic_fetch_add_explicit(&cgc__grace_started, 0, memory_order_acq_rel) + 1;
}

/* Brief sections that began before, after a barrier of all threads: the last thing that liburcu does. A context that is
 * not in the list yet has counted nothing that the caller could be after. */
static void wait_brief(void)
{
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next) {
		/* BRIEF.r: what the section did. Pairs: BRIEF.w in grace.h. */
		uint32_t number = atomic_load_explicit(&context->brief, memory_order_acquire);
		/* BRIEF.r: as above. */
		for (unsigned i = 0;
		     (number & 1) != 0 && atomic_load_explicit(&context->brief, memory_order_acquire) == number;
		     i++)
			/* Who is in it may need this very processor, and have less of a priority. */
			if (i < YIELDS)
				sched_yield();
			else
				nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	}
}

_Noreturn void cgc__grace_report_nested(void)
{
	cgc__report_fatal("cgc__grace_enter_brief", "a brief section in another: grace periods would not wait",
	                  0);
}

void cgc__grace_wait(void)
{
	/* SEAL.r: read-modify-write, so that it follows every seal of a lower number. Pairs: SEAL.w above. */
	uint64_t number = atomic_fetch_add_explicit(&cgc__grace_started, 1, memory_order_acq_rel) + 1;
	cgc__pause("grace.numbered");
	CGC__TSAN_RELEASE(cgc__grace_began);
	urcu_memb_synchronize_rcu();
	cgc__pause("grace.barrier_over");
	wait_brief();
	CGC__TSAN_ACQUIRE(cgc__grace_ended);
	cgc__pause("grace.over");
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
	cgc__thread_refuse_child("cgc_read_unlock");
	if (cgc__self == NULL || !cgc__grace_in_section())
		cgc__report_misuse("cgc_read_unlock", NULL,
		                   "no read section is open: borrowed pointers may already dangle");
	cgc__grace_leave();
}
