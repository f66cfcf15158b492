/* SPDX-License-Identifier: MIT
 *
 * Read sections and grace periods: liburcu's memb flavour, the one place that names it (docs/design.md
 * says why this flavour).
 *
 * GRACE: what a section did happens before what follows a grace period that began after the section; what
 * precedes a grace period happens before what a section does that begins after its start. liburcu makes it
 * so with membarrier(2), which ThreadSanitizer cannot see in Debian's build, so the two edges are told to it
 * here, and only here. Model of the numbers and stamps: tests/model/death.pml.
 *
 * Sections are of two kinds. Those of liburcu nest and may be long: the program's (cgc_read_lock()), and ours
 * around the program's code. All others are brief: they hold no other section of ours, call nobody and wait for
 * nobody; they cost two stores to the thread's own context. A grace period waits for liburcu's, then for the brief
 * ones.
 * Model: tests/model/section.pml.
 */
#ifndef CGC_GRACE_H
#define CGC_GRACE_H

#if defined(__SANITIZE_THREAD__)
#define CGC__THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CGC__THREAD_SANITIZER 1
#endif
#endif

/* Inlined, liburcu's own plain accesses would be instrumented on one side only: calls then. */
#ifndef CGC__THREAD_SANITIZER
#define _LGPL_SOURCE
#endif
#include <urcu/urcu-memb.h>
/* For its barrier. */
#include <urcu/static/urcu-memb.h>

#include "heap.h"
#include "pause.h"

/* Two addresses that stand for the edges: sections ended, and grace periods begun. */
extern char cgc__grace_ended, cgc__grace_began;

#ifdef CGC__THREAD_SANITIZER
#define CGC__CHECKS true
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define CGC__TSAN_ACQUIRE(edge) __tsan_acquire(&(edge))
#define CGC__TSAN_RELEASE(edge) __tsan_release(&(edge))
#else
#define CGC__CHECKS CGC__PAUSES
#define CGC__TSAN_ACQUIRE(edge) ((void)0)
#define CGC__TSAN_RELEASE(edge) ((void)0)
#endif

_Noreturn void cgc__grace_report_nested(void);

/* A section in a section would look like none. Where speed does not matter, that is checked. */
static inline void cgc__grace_expect_brief(uint32_t number, uint32_t is_inside)
{
	if (CGC__CHECKS && (number & 1) != is_inside)
		cgc__grace_report_nested();
}

static inline void cgc__grace_enter(struct cgc__context *self)
{
	/* No order needed: own number. */
	uint32_t depth = atomic_load_explicit(&self->reading, memory_order_relaxed);
	/* READING.w: for those who may not wait for liburcu; as BRIEF.w. Pairs: READING.r in grace.c. */
	atomic_store_explicit(&self->reading, depth + 1, memory_order_relaxed);
	urcu_memb_read_lock(); /* the barrier, too */
	CGC__TSAN_ACQUIRE(cgc__grace_began);
}

static inline void cgc__grace_leave(struct cgc__context *self)
{
	CGC__TSAN_RELEASE(cgc__grace_ended);
	urcu_memb_read_unlock();
	/* No order needed: own number. */
	uint32_t depth = atomic_load_explicit(&self->reading, memory_order_relaxed);
	/* READING.w: after all that the section did. Pairs: READING.r in grace.c. */
	atomic_store_explicit(&self->reading, depth - 1, memory_order_release);
}

static inline void cgc__grace_enter_brief(struct cgc__context *self)
{
	/* No order needed: own number. */
	uint32_t number = atomic_load_explicit(&self->brief, memory_order_relaxed);
	cgc__grace_expect_brief(number, 0);
	/* BRIEF.w: odd, before the section's loads: who does not see it after a barrier of all threads has what came
	 * before that barrier seen by them. Pairs: BRIEF.r in grace.c. */
	atomic_store_explicit(&self->brief, number + 1, memory_order_relaxed);
	urcu_memb_smp_mb_slave(); /* nothing but a compiler's barrier where there is membarrier(2) */
	CGC__TSAN_ACQUIRE(cgc__grace_began);
}

static inline void cgc__grace_leave_brief(struct cgc__context *self)
{
	CGC__TSAN_RELEASE(cgc__grace_ended);
	/* No order needed: own number. */
	uint32_t number = atomic_load_explicit(&self->brief, memory_order_relaxed);
	cgc__grace_expect_brief(number, 1);
	/* BRIEF.w: even, after all that the section did. Pairs: BRIEF.r in grace.c. */
	atomic_store_explicit(&self->brief, number + 1, memory_order_release);
}

/* Of liburcu's kind. */
static inline bool cgc__grace_in_section(void)
{
	return urcu_memb_read_ongoing();
}

/* Numbers of the last grace period that began and that ended: one at a time. The background thread waits for them; a
 * thread that has enough in its queue tries to end one without waiting. One that was tried in vain goes on when
 * the next thread tries or waits; it never leaves its number, or a stamp could be older than it looks. */
extern _Atomic(uint64_t) cgc__grace_started, cgc__grace_done;

/* The grace period that covers everything the caller did until now: over when cgc__grace_done reaches it. */
uint64_t cgc__grace_seal(void);
/* Background thread only, outside of sections. */
void cgc__grace_wait(void);
/* Any thread, outside of sections: true if a grace period is over that was under way or began with this call. Never
 * waits: false if a thread is in a section. Costs a membarrier(2), about a microsecond. */
bool cgc__grace_try(void);
void cgc__grace_start(void);

/* The stamp in header.unlinked. A reference that leaves a slot or a handle is stamped, in the section in
 * which it leaves, with the number of grace periods begun. Two threads may stamp one object in either order;
 * both are in sections, so the stamp left is at most one behind the latest. One for that, one for a grace period
 * that was under way at the stamp: two would do, and a third is to spare. Of the number, the lowest 8 bits: a stamp is
 * never newer than one more than the last grace period done, and one that is older than 127 of them may look young,
 * which is another wait in a queue. */
static inline void cgc__grace_stamp(struct cgc__header *header)
{
	/* No order needed: a section keeps it near enough. */
	uint8_t started = (uint8_t)atomic_load_explicit(&cgc__grace_started, memory_order_relaxed);
	cgc__pause_fast("grace.stamp_read");
	/* A line that several processors count in is worth a look: the store would fetch it once more. No order
	 * needed: who sees the decrement that follows reads this stamp or a later one, whoever wrote it (read-read
	 * coherence). */
	if (atomic_load_explicit(&header->unlinked, memory_order_relaxed) == started)
		return;
	/* STAMP.w, and no order needed: the release decrement that follows carries it. Pairs: STAMP.r,
	 * cgc__grace_is_old(), after the decrement that found zero. */
	atomic_store_explicit(&header->unlinked, started, memory_order_relaxed);
}

static inline bool cgc__grace_is_old(struct cgc__header *header)
{
	/* STAMP.r: the caller's acquire decrement made the stamp visible. Pairs: STAMP.w. */
	uint8_t stamp = atomic_load_explicit(&header->unlinked, memory_order_relaxed);
	/* GRACE.r: a grace period that is over must really be over for us. Pairs: GRACE.w, grace.c. */
	uint8_t done = (uint8_t)atomic_load_explicit(&cgc__grace_done, memory_order_acquire);
	return (int8_t)(done - stamp) >= 3;
}

#endif
