/* SPDX-License-Identifier: MIT
 *
 * Biased reference counts of published objects: up and down by one, inside a read section.
 *
 * Choi, Shull, Torrellas, "Biased Reference Counting", PACT 2018, with two changes. References in published
 * slots are counted in shared from the start, so that an object that is only handed through slots never drops
 * below zero there; and a count that does (a handle was released by another thread than the one that counted
 * it) is settled by taking the bias away: bias := UNBIASED, grace period, shared += local. Every access of
 * the owner to local is inside a section that began with a look at the bias, so after the grace period
 * local is frozen, whether the owner runs, blocks or is gone. docs/design.md has the comparison.
 * Models: tests/model/bias.pml, tests/model/adopt.pml; the sections: tests/model/section.pml.
 */
#ifndef CGC_COUNT_H
#define CGC_COUNT_H

#include "grace.h"
#include "pause.h"

void cgc__count_after_shared_down(struct cgc__context *self, void *object, uint64_t shared);
void cgc__count_queue(struct cgc__context *self, void *object, uint64_t shared);
void cgc__count_add_suspect(struct cgc__context *self, void *object);
void cgc__count_push_suspect(struct cgc__context *self, void *object);
uint64_t cgc__count_merge(struct cgc__context *self, struct cgc__header *header, uint64_t local);
void cgc__count_merge_last(struct cgc__context *self, void *object, uint64_t local);
void cgc__count_saturate(struct cgc__header *header);
void cgc__count_publish(void *object, const char *function);

static inline uint32_t cgc__count_bias(const struct cgc__header *header)
{
	/* No order needed: a thread compares it with its own, which only it sets; and who revokes it waits for a
	 * grace period before relying on it. */
	return atomic_load_explicit(&header->bias, memory_order_relaxed);
}

static inline bool cgc__count_is_untracked(const struct cgc__header *header)
{
	/* No order needed: this flag is constant. */
	return (atomic_load_explicit(&header->flags, memory_order_relaxed) & CGC__UNTRACKED) != 0;
}

/* Zero, or below zero before it is merged; and nobody's yet. */
static inline bool cgc__count_needs_entry(uint64_t shared)
{
	int64_t count = cgc__shared_count(shared);
	return (shared & (CGC__QUEUED | CGC__DEAD)) == 0 &&
	       ((shared & CGC__MERGED) != 0 ? count == 0 : count < 0);
}

/* Before others can come upon it. The caller holds a reference. */
static inline void cgc__count_expose(struct cgc__header *header)
{
	/* No order needed: who is to see this flag decides in an exchange of the whole word. */
	if ((atomic_load_explicit(&header->shared, memory_order_relaxed) & CGC__HANDED) != 0)
		/* HANDED.w: before the reference is placed (PUBLISH.w). Pairs: HANDED.r. */
		atomic_fetch_and_explicit(&header->shared, ~CGC__HANDED, memory_order_relaxed);
}

/* One reference more, counted in shared: for published slots, for threads that are not the owner, for weak
 * upgrades. In a section, or the caller holds a reference. */
static inline void cgc__count_shared_up(struct cgc__header *header)
{
	/* No order needed: an increment makes nothing visible; who places the reference does (PUBLISH.w). */
	uint64_t shared = atomic_fetch_add_explicit(&header->shared, CGC__SHARED_RETAIN, memory_order_relaxed);
	if (__builtin_expect(cgc__shared_count(shared) > CGC__SHARED_LIMIT, 0))
		cgc__count_saturate(header);
}

/* Takes the only reference away, and the object is dead, if it was handed over and nobody can come upon it; else
 * false, and nothing is done. Not for callers that may have borrowed it from a private object.
 * Model: tests/model/handoff.pml. */
static inline bool cgc__count_kill_handed(struct cgc__header *header)
{
	/* HANDED.r: and what others did to it before they gave up theirs. Pairs: HANDED.w, and COUNT.w below. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
	if ((shared & 0xff) != (CGC__MERGED | CGC__HANDED) || cgc__shared_count(shared) != 1)
		return false;
	/* COUNT.w, DEAD.w: no exchange; nobody else writes the word. */
	atomic_store_explicit(&header->shared, (shared + CGC__SHARED_RELEASE) | CGC__DEAD,
	                      memory_order_release);
	return true;
}

/* One reference less in shared. In a section. Not the last: nothing of the object is looked at afterwards but for what
 * a section keeps, and if it may be HANDED nothing at all. */
static inline void cgc__count_shared_down(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	cgc__grace_stamp(header);
	bool is_untracked = cgc__count_is_untracked(header);
	/* No order needed: the exchange below checks it. */
	uint64_t before = atomic_load_explicit(&header->shared, memory_order_relaxed);
	uint64_t last = before + CGC__SHARED_RELEASE;
	cgc__pause_fast("count.down_read");
	/* The last, by the look of it: discounted and flagged in one step. COUNT.w as below; QUEUED.w as in
	 * cgc__count_queue(). Pairs: COUNT.r in window.c; QUEUED.r in pending.c. */
	if (cgc__count_needs_entry(last) &&
	    atomic_compare_exchange_strong_explicit(&header->shared, &before, last | CGC__QUEUED,
	                                            memory_order_acq_rel, memory_order_relaxed)) {
		cgc__pause("count.last_flagged");
		cgc__pending_push(self, object, last | CGC__QUEUED);
		return;
	}
	/* COUNT.w: the slot was cleared, and the object used, before it is discounted. Acquire: what others did
	 * before their decrements, if this is the last. Pairs: COUNT.r in window.c; itself. */
	uint64_t shared =
		atomic_fetch_add_explicit(&header->shared, CGC__SHARED_RELEASE, memory_order_acq_rel) +
		CGC__SHARED_RELEASE;
	cgc__pause_fast("count.shared_down");
	/* Alive, and a suspect already or never one: the common end. */
	if (cgc__shared_count(shared) <= 0 || ((shared & CGC__SUSPECT) == 0 && !is_untracked))
		cgc__count_after_shared_down(self, object, shared);
}

/* One reference more, on the caller's account. In a section. */
static inline void cgc__count_up(struct cgc__context *self, struct cgc__header *header)
{
	uint32_t bias = cgc__count_bias(header);
	if (bias == self->biased_bias) {
		/* No order needed: only this thread writes it while the bias is its own. */
		uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
		cgc__pause_fast("count.local_up_due");
		/* No order needed: an increment makes nothing visible. Pairs: COUNT.r, window.c. */
		atomic_store_explicit(&header->local, local + CGC__LOCAL_RETAIN, memory_order_relaxed);
	} else if (CGC__KIND(bias) != CGC__IMMORTAL) {
		cgc__count_shared_up(header);
	}
}

/* One reference of the caller's less, of an object whose bias is its own. In a section. */
static inline __attribute__((always_inline)) void cgc__count_down_local(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	/* No order needed: only this thread writes it while the bias is its own. */
	uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
	if (__builtin_expect(cgc__local_count(local) == 1, 0)) {
		cgc__count_merge_last(self, object, local);
		return;
	}
	cgc__grace_stamp(header);
	/* COUNT.w: what the reference was used for comes before it is discounted. Pairs: COUNT.r in window.c. */
	atomic_store_explicit(&header->local, local + CGC__LOCAL_RELEASE, memory_order_release);
	cgc__pause_fast("count.local_down");
	/* SUSPECT.r after COUNT.w. The detector clears the flag, waits for a grace period, then reads the counts:
	 * if this reads the flag still set, the count above is seen. No order needed for that, the section is
	 * enough. Pairs: SUSPECT.w in window.c. */
	if ((atomic_load_explicit(&header->shared, memory_order_relaxed) & CGC__SUSPECT) == 0 &&
	    !cgc__count_is_untracked(header))
		cgc__count_add_suspect(self, object);
}

/* One reference of the caller's less. In a section. */
static inline __attribute__((always_inline)) void cgc__count_down(struct cgc__context *self, void *object)
{
	uint32_t bias = cgc__count_bias(cgc__header_of(object));
	if (bias == self->biased_bias)
		cgc__count_down_local(self, object);
	else if (CGC__KIND(bias) != CGC__IMMORTAL)
		cgc__count_shared_down(self, object);
}

#endif
