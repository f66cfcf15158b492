/* SPDX-License-Identifier: MIT
 *
 * Grace periods, numbered. See grace.h.
 */
#define _GNU_SOURCE /* syscall */
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

/* One grace period at a time. Nobody waits for anything in it but the background thread, in which the others find it
 * taken. */
static _Atomic(bool) busy;
/* Of this process, by any thread. */
static bool has_barrier;

void cgc__grace_start(void)
{
	has_barrier = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

static bool begin(void)
{
	/* BUSY.r: the last one's numbers. Pairs: BUSY.w in end(). */
	return !atomic_exchange_explicit(&busy, true, memory_order_acquire);
}

static void end(void)
{
	/* BUSY.w. Pairs: BUSY.r in begin(). */
	atomic_store_explicit(&busy, false, memory_order_release);
}

/* The number of the grace period under way, or of one that begins now. */
static uint64_t take_number(void)
{
	/* No order needed: written only by who is in begin() and end(). */
	uint64_t started = atomic_load_explicit(&cgc__grace_started, memory_order_relaxed);
	/* No order needed: as above. */
	if (started != atomic_load_explicit(&cgc__grace_done, memory_order_relaxed))
		return started;
	/* SEAL.r: read-modify-write, so that it follows every seal of a lower number. Pairs: SEAL.w above. */
	return atomic_fetch_add_explicit(&cgc__grace_started, 1, memory_order_acq_rel) + 1;
}

static void is_over(uint64_t number)
{
	CGC__TSAN_ACQUIRE(cgc__grace_ended);
	cgc__pause("grace.over");
	/* GRACE.w: all sections that began before are over. Pairs: GRACE.r, grace.h and reclaim.c. */
	atomic_store_explicit(&cgc__grace_done, number, memory_order_release);
}

static void wait(uint64_t number)
{
	cgc__pause("grace.numbered");
	CGC__TSAN_RELEASE(cgc__grace_began);
	urcu_memb_synchronize_rcu();
	cgc__pause("grace.barrier_over");
	wait_brief();
	is_over(number);
}

void cgc__grace_wait(void)
{
	while (!begin())
		sched_yield();
	/* No order needed: written only by who is in begin() and end(). */
	bool is_under_way = atomic_load_explicit(&cgc__grace_started, memory_order_relaxed) !=
	                    /* No order needed: as above. */
	                    atomic_load_explicit(&cgc__grace_done, memory_order_relaxed);
	wait(take_number());
	/* What the caller waits for may be later than the beginning of that one. */
	if (is_under_way)
		wait(take_number());
	end();
}

/* All sections of either kind, after a barrier of all threads. */
static bool are_all_outside(void)
{
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next)
		/* BRIEF.r, READING.r: what the sections did. Pairs: BRIEF.w, READING.w in grace.h. */
		if ((atomic_load_explicit(&context->brief, memory_order_acquire) & 1) != 0 ||
		    atomic_load_explicit(&context->reading, memory_order_acquire) != 0)
			return false;
	return true;
}

bool cgc__grace_try(void)
{
	if (!has_barrier || !begin())
		return false;
	uint64_t number = take_number();
	cgc__pause("grace.try_numbered");
	CGC__TSAN_RELEASE(cgc__grace_began);
	bool over = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0 && are_all_outside();
	if (over)
		is_over(number);
	end();
	return over;
}

void cgc_read_lock(void)
{
	cgc__grace_enter(cgc__thread_self());
}

void cgc_read_unlock(void)
{
	cgc__thread_refuse_child("cgc_read_unlock");
	if (cgc__self == NULL || !cgc__grace_in_section())
		cgc__report_misuse("cgc_read_unlock", NULL,
		                   "no read section is open: borrowed pointers may already dangle");
	cgc__grace_leave(cgc__self);
}
