/* SPDX-License-Identifier: MIT
 *
 * One look of the detector: copy, trial deletion on the copy, condemn, grace period, second look at the words,
 * verdict, end.
 *
 * Why the dead are dead (the long form is in docs/design.md): a word that is equal before and after was the same
 * at the moment between the last read and the grace period. All its references were seen in slots of the set, and
 * a reference that had left its slot by then would have changed a word of the set. So at that moment nobody
 * outside held one; who still borrowed left his section in the grace period; and nobody can have made a new one
 * from nowhere. Only weak references could, and they meet CONDEMNED.
 * Models: tests/model/window.pml (the look), tests/model/weak.pml (condemned, verdict, finalizers).
 */
#include "verdict.h"

#include "count.h"
#include "object.h"
#include "window.h"

/* Weak upgrades may undo a verdict so many times before the look is given up. */
#define ATTEMPTS 8

_Atomic(uint64_t) cgc__verdict;

static void begin_attempt(void)
{
	/* No order needed: only this thread starts attempts. */
	uint64_t number = (atomic_load_explicit(&cgc__verdict, memory_order_relaxed) >> 2) + 1;
	/* VERDICT.w: before the flags of this attempt, and before its grace period. Pairs: VERDICT.r in weak.c. */
	atomic_store_explicit(&cgc__verdict, number << 2 | CGC__VERDICT_PENDING, memory_order_release);
}

static bool commit(void)
{
	/* No order needed: only the exchange counts. */
	uint64_t verdict = atomic_load_explicit(&cgc__verdict, memory_order_relaxed);
	if (CGC__VERDICT_STATE(verdict) != CGC__VERDICT_PENDING)
		return false;
	/* VERDICT.w: after the flags of the saved are cleared. Pairs: VERDICT.r and VERDICT.w in weak.c. */
	return atomic_compare_exchange_strong_explicit(&cgc__verdict, &verdict,
	                                               (verdict & ~UINT64_C(3)) | CGC__VERDICT_COMMITTED,
	                                               memory_order_acq_rel, memory_order_acquire);
}

static void clear_condemned(struct cgc__member *member)
{
	/* CONDEMNED.w: no order needed before a commit, which releases it. Pairs: the upgrade in weak.c. */
	atomic_fetch_and_explicit(&cgc__header_of(member->object)->shared, ~CGC__CONDEMNED,
	                          memory_order_release);
	member->is_condemned = false;
}

/* Marks the dead that have weak references; one whose word has changed lives. */
static void condemn(struct cgc__window *window)
{
	begin_attempt();
	for (uint32_t i = 0; i < window->member_count; i++) {
		struct cgc__member *member = &window->members[i];
		if (member->is_live || (member->shared & CGC__HAS_WEAK) == 0)
			continue;
		uint64_t expected = member->shared;
		/* CONDEMNED.w: on the very word that was copied. Pairs: the upgrade in weak.c. */
		member->is_condemned = atomic_compare_exchange_strong_explicit(
			&cgc__header_of(member->object)->shared, &expected, expected | CGC__CONDEMNED,
			memory_order_acq_rel, memory_order_relaxed);
		if (!member->is_condemned)
			cgc__window_save(window, i);
	}
	cgc__window_spread(window);
}

static void save_changed(struct cgc__context *self, struct cgc__window *window)
{
	for (uint32_t i = 0; i < window->member_count; i++) {
		struct cgc__member *member = &window->members[i];
		if (member->is_live || !cgc__window_has_changed(member))
			continue;
		cgc__window_save(window, i);
		/* It may be garbage all the same: another look, later. */
		cgc__grace_enter_brief(self);
		if (!cgc__count_is_untracked(cgc__header_of(member->object)))
			cgc__count_add_suspect(self, member->object);
		cgc__grace_leave_brief(self);
	}
	cgc__window_spread(window);
	for (uint32_t i = 0; i < window->member_count; i++)
		if (window->members[i].is_live && window->members[i].is_condemned)
			clear_condemned(&window->members[i]);
}

/* True when the rest is dead for good. */
static bool settle(struct cgc__context *self, struct cgc__window *window)
{
	condemn(window);
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (attempt > 0)
			begin_attempt();
		cgc__pause("verdict.condemned");
		cgc__grace_wait();
		if (cgc__report_now() - window->checked > CGC__WINDOW_LIMIT_NS)
			break;
		cgc__pause("verdict.second_look_due");
		save_changed(self, window);
		cgc__pause("verdict.commit_due");
		if (commit())
			return true;
	}
	for (uint32_t i = 0; i < window->member_count; i++)
		if (window->members[i].is_condemned)
			clear_condemned(&window->members[i]);
	return false;
}

static bool wants_finalizer(const struct cgc__header *header)
{
	/* No order needed: dead, and only this thread finalizes what it condemned. */
	uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
	return (flags & CGC__FINALIZED) == 0 && cgc__type_of_id(header->type)->finalize != NULL;
}

/* What finalizers still have to see, with all it reaches, lives for another look; returns how many. */
static size_t keep_for_finalizers(struct cgc__window *window)
{
	size_t kept = 0;
	for (uint32_t i = 0; i < window->member_count; i++) {
		struct cgc__member *member = &window->members[i];
		member->is_kept = !member->is_live;
		if (!member->is_live && wants_finalizer(cgc__header_of(member->object)))
			cgc__window_save(window, i);
	}
	cgc__window_spread(window);
	for (uint32_t i = 0; i < window->member_count; i++) {
		/* Dead before, saved now. */
		window->members[i].is_kept &= window->members[i].is_live;
		kept += window->members[i].is_kept;
	}
	return kept;
}

/* Every weak reference to the dead answers NULL, before anything else happens to any of them. */
static struct cgc_weak *detach_weak(struct cgc__window *window, bool *any_kept)
{
	struct cgc_weak *calls = NULL;
	for (uint32_t i = 0; i < window->member_count; i++) {
		struct cgc__member *member = &window->members[i];
		if (!member->is_condemned)
			continue;
		calls = cgc__weak_detach(member->object, calls);
		*any_kept |= member->is_kept;
	}
	return calls;
}

static void mark_dead(struct cgc__member *member)
{
	struct cgc__header *header = cgc__header_of(member->object);
	/* DEAD.w before CONDEMNED goes: an upgrade sees one or the other. Pairs: DEAD.r in weak.c. */
	atomic_fetch_or_explicit(&header->shared, CGC__DEAD | CGC__MERGED, memory_order_acq_rel);
	cgc__pause("verdict.dead_marked");
	/* CONDEMNED.w. Pairs: as above. */
	atomic_fetch_and_explicit(&header->shared, ~(CGC__CONDEMNED | CGC__HAS_WEAK), memory_order_release);
	/* No order needed: nobody compares it any more. */
	atomic_store_explicit(&header->bias, CGC__UNBIASED, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&header->local, 0, memory_order_relaxed);
}

/* Alive again for finalizers: held once by this thread. */
static void hold(struct cgc__member *member)
{
	struct cgc__header *header = cgc__header_of(member->object);
	cgc__count_shared_up(header);
	/* No order needed: a note for statistics. */
	atomic_fetch_or_explicit(&header->flags, CGC__CONDEMNED_ONCE, memory_order_relaxed);
}

static void finalize(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	if (!wants_finalizer(header))
		return;
	/* No order needed: held, and only this thread finalizes what it condemned. */
	atomic_fetch_or_explicit(&header->flags, CGC__FINALIZED, memory_order_relaxed);
	cgc__reclaim_run(self, cgc__type_of_id(header->type)->finalize, object);
}

/* After the commit. The window closes in here, before user code runs. */
static void end_of_the_dead(struct cgc__context *self, struct cgc__window *window,
                            struct cgc__verdict_result *result)
{
	bool kept_weak = false;
	cgc__pause("verdict.committed");
	size_t kept = keep_for_finalizers(window);
	struct cgc_weak *calls = detach_weak(window, &kept_weak);
	cgc__pause("verdict.weak_detached");
	if (kept_weak)
		cgc__grace_wait(); /* who found a kept object by a weak reference must still read CONDEMNED */
	/* Compact the dead: they are all this needs. */
	size_t dead = 0;
	for (uint32_t i = 0; i < window->member_count; i++)
		if (!window->members[i].is_live)
			mark_dead(&window->members[i]);
		else if (window->members[i].is_kept)
			hold(&window->members[i]);
	for (uint32_t i = 0; i < window->member_count; i++)
		if (window->members[i].is_kept && window->members[i].is_condemned)
			clear_condemned(&window->members[i]);
	cgc__pause("verdict.dead_all");
	cgc__window_close(window);
	for (uint32_t i = 0; i < window->member_count; i++)
		if (!window->members[i].is_live || window->members[i].is_kept)
			window->members[dead++] = window->members[i];
	cgc__weak_call(self, calls);
	for (size_t i = 0; i < dead; i++) {
		if (window->members[i].is_kept) {
			finalize(self, window->members[i].object);
		} else {
			bool tracked = !cgc__count_is_untracked(cgc__header_of(window->members[i].object));
			result->freed += tracked;
			self->freed_tracked += tracked;
			cgc__reclaim_condemned(self, window->members[i].object);
		}
	}
	cgc__pause("verdict.finalized");
	for (size_t i = 0; i < dead; i++)
		if (window->members[i].is_kept)
			cgc__release(window->members[i].object);
	if (!self->draining)
		cgc__reclaim_drain(self);
	result->kept = kept;
}

struct cgc__verdict_result cgc__verdict_look(struct cgc__context *self, struct cgc__window *window, bool whole)
{
	struct cgc__verdict_result result = {0};
	cgc__window_open(self, window, whole);
	cgc__window_decide(window);
	result.candidates = window->member_count;
	size_t dead = 0;
	for (size_t i = 0; i < window->member_count && !window->failed; i++)
		dead += !window->members[i].is_live;
	if (!window->failed && dead > 0 && settle(self, window)) {
		end_of_the_dead(self, window, &result);
		return result;
	}
	result.aborted = window->failed || dead > 0;
	if (result.aborted)
		/* The suspects of this look are forgotten: the next one is whole. No order needed: a request. */
		atomic_store_explicit(&cgc__heap.lost_entry, true, memory_order_relaxed);
	cgc__window_close(window);
	return result;
}
