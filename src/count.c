/* SPDX-License-Identifier: MIT
 *
 * The slow halves of retain and release, and what a lost reference leaves behind: an object whose count is
 * zero goes to the pending queue, one that lost a reference but not the last becomes a suspect.
 * The rules are in count.h and heap.h. Models: tests/model/bias.pml, tests/model/window.pml
 * (what a lost reference leaves).
 */
#include "count.h"
#include "type.h"

/* Refuses what is no usable object of this thread; true if it is private to it. */
static bool check_kind(struct cgc__context *self, const void *object, const char *function)
{
	uint32_t bias = cgc__count_bias(cgc__header_of(object));
	switch (CGC__KIND(bias)) {
	case CGC__PRIVATE:
		if (bias != self->private_bias)
			cgc__report_misuse(function, object,
			                   "private to another thread: publish, transfer or store it before "
			                   "handing it over");
		return true;
	case CGC__FREE:
		cgc__report_misuse(function, object,
		                   "use after free: the object is dead and its memory given back");
	case CGC__DYING:
		cgc__report_misuse(function, object, "the object is being destroyed: its memory goes away");
	default:
		return false;
	}
}

/* Neither counted by the caller's thread nor immortal; or the thread is not attached yet. */
static __attribute__((noinline)) void retain_other(void *object)
{
	struct cgc__context *self = cgc__thread_self();
	struct cgc__header *header = cgc__header_of(object);
	if (check_kind(self, object, "cgc_retain")) {
		/* Debug mode comes here for private objects too. No order needed: private. */
		uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
		/* No order needed: private. */
		atomic_store_explicit(&header->local, local + CGC__LOCAL_RETAIN, memory_order_relaxed);
		return;
	}
	cgc__retain_slow(object);
}

static __attribute__((noinline)) void release_other(void *object)
{
	struct cgc__context *self = cgc__thread_self();
	struct cgc__header *header = cgc__header_of(object);
	if (check_kind(self, object, "cgc_release")) {
		/* Debug mode comes here for private objects too. No order needed: private. */
		uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
		if (cgc__local_count(local) > 1)
			/* No order needed: private. */
			atomic_store_explicit(&header->local, local + CGC__LOCAL_RELEASE, memory_order_relaxed);
		else
			cgc__release_last_private(object);
		return;
	}
	cgc__release_slow(object);
}

/* Published: the usual case, kept apart so that it is short. Whose bias it is, is looked at inside the section, or
 * who revokes it would not wait. */
void cgc__retain_slow(void *object)
{
	struct cgc__context *self = cgc__self;
	struct cgc__header *header = cgc__header_of(object);
	uint32_t bias = cgc__count_bias(header);
	if (__builtin_expect(self != NULL && CGC__IS_COUNTED(bias), 1)) {
		cgc__grace_enter_brief(self);
		cgc__count_up(self, header);
		cgc__grace_leave_brief(self);
	} else if (bias != CGC__IMMORTAL) {
		retain_other(object);
	}
}

void cgc__release_slow(void *object)
{
	struct cgc__context *self = cgc__self;
	uint32_t bias = cgc__count_bias(cgc__header_of(object));
	if (__builtin_expect(self != NULL && CGC__IS_COUNTED(bias), 1)) {
		cgc__pause_fast("count.bias_seen");
		cgc__grace_enter_brief(self);
		bool is_dead = CGC__KIND(bias) == CGC__UNBIASED && !cgc__grace_in_section() &&
		               cgc__count_kill_handed(cgc__header_of(object));
		if (!is_dead)
			cgc__count_down(self, object);
		cgc__grace_leave_brief(self);
		if (__builtin_expect(is_dead, 0))
			cgc__reclaim_handed(self, object);
		cgc__pending_poll(self);
	} else if (bias != CGC__IMMORTAL) {
		release_other(object);
	}
}

/* Owner, in a section: its last local reference goes. Local is zero first, then shared says so: in between the
 * total is too low for nobody, because only the owner and, a grace period later, a revoker rely on it.
 * Returns shared. */
uint64_t cgc__count_merge(struct cgc__context *self, struct cgc__header *header, uint64_t local)
{
	/* COUNT.w. Pairs: COUNT.r in window.c, and the merge flag below. */
	atomic_store_explicit(&header->local, local + CGC__LOCAL_RELEASE, memory_order_release);
	cgc__pause("count.merge_local_zero");
	/* COUNT.w: local is zero before shared stands for both. Acquire: as in cgc__count_shared_down().
	 * Pairs: every read-modify-write of shared. */
	uint64_t shared =
		atomic_fetch_or_explicit(&header->shared, CGC__MERGED, memory_order_acq_rel) | CGC__MERGED;
	cgc__pause("count.merge_flagged");
	/* REVOKE.w: after the flag, so that UNBIASED without MERGED always means a revocation; if it is IMMORTAL by now
	 * it stays so. Pairs: REVOKE.r in pending.c. */
	uint32_t mine = self->biased_bias;
	atomic_compare_exchange_strong_explicit(&header->bias, &mine, CGC__UNBIASED, memory_order_release,
	                                        memory_order_relaxed);
	cgc__pause("count.merge_unbiased");
	return shared;
}

void cgc__count_merge_last(struct cgc__context *self, void *object, uint64_t local)
{
	struct cgc__header *header = cgc__header_of(object);
	cgc__grace_stamp(header);
	cgc__count_after_shared_down(self, object, cgc__count_merge(self, header, local));
}

/* In a section. Queues an object that is at zero, or below it and not merged; not one that is dead, queued already
 * (its consumer looks again) or referenced again meanwhile (who takes that reference away comes here). */
void cgc__count_queue(struct cgc__context *self, void *object, uint64_t shared)
{
	struct cgc__header *header = cgc__header_of(object);
	while (cgc__count_needs_entry(shared)) {
		cgc__pause("count.queue_due");
		/* QUEUED.w: one thread queues it, with a word that says zero. Pairs: QUEUED.r in pending.c. */
		if (atomic_compare_exchange_weak_explicit(&header->shared, &shared, shared | CGC__QUEUED,
		                                          memory_order_acq_rel, memory_order_acquire)) {
			cgc__pause("count.queue_flagged");
			cgc__pending_push(self, object, shared | CGC__QUEUED);
			return;
		}
	}
}

/* In a section. `shared` is the word that the caller's own operation left: who left a zero must see to it, and
 * decides on that value alone. */
void cgc__count_after_shared_down(struct cgc__context *self, void *object, uint64_t shared)
{
	struct cgc__header *header = cgc__header_of(object);
	int64_t count = cgc__shared_count(shared);
	if ((shared & CGC__DEAD) != 0)
		return; /* a finalizer of its set is running: verdict.c decides */
	bool merged = (shared & CGC__MERGED) != 0;
	if (merged && count < 0)
		cgc__report_misuse("cgc_release", object,
		                   "released more often than retained: it may be in use elsewhere");
	if (merged ? count == 0 : count < 0) {
		cgc__count_queue(self, object, shared);
	} else if ((shared & CGC__SUSPECT) == 0 && !cgc__count_is_untracked(header)) {
		cgc__count_add_suspect(self, object);
	}
}

/* In a section. */
void cgc__count_add_suspect(struct cgc__context *self, void *object)
{
	/* SUSPECT.w: one entry per flag; the decrement is before it. Pairs: SUSPECT.r, where window.c takes it. */
	uint64_t shared =
		atomic_fetch_or_explicit(&cgc__header_of(object)->shared, CGC__SUSPECT, memory_order_acq_rel);
	cgc__pause("count.suspect_flagged");
	if ((shared & CGC__SUSPECT) == 0)
		cgc__count_push_suspect(self, object);
}

/* The caller has set the flag; it keeps the memory, so this needs no section. */
void cgc__count_push_suspect(struct cgc__context *self, void *object)
{
	if (cgc__queue_push(&self->suspects, object, 0)) {
		if (__builtin_expect(cgc__queue_length(&self->suspects) >= cgc__heap.suspect_batch, 0))
			cgc__collector_wake_if_idle();
		return;
	}
	/* No memory for the entry: the next look at the whole generation does without. No order needed: a request. */
	atomic_store_explicit(&cgc__heap.lost_entry, true, memory_order_relaxed);
	/* SUSPECT.w: the flag says that there is an entry, and there is none; if it was the last thing that kept the
	 * memory, that goes back now. Pairs: GONE.w in reclaim.c. */
	uint64_t shared =
		atomic_fetch_and_explicit(&cgc__header_of(object)->shared, ~CGC__SUSPECT, memory_order_acq_rel);
	if ((shared & CGC__GONE) != 0)
		cgc__pending_push(self, object, CGC__DEAD);
}

/* More references than the word can count: never freed rather than freed early. */
void cgc__count_saturate(struct cgc__header *header)
{
	/* No order needed: counting on for a while changes nothing, the limit is far from overflow. */
	atomic_store_explicit(&header->bias, CGC__IMMORTAL, memory_order_relaxed);
}

void cgc_immortalize(void *object)
{
	struct cgc__context *self = cgc__thread_self();
	if (check_kind(self, object, "cgc_immortalize"))
		cgc__publish_graph(self, object, 0, 0);
	cgc__count_saturate(cgc__header_of(object));
}

void cgc__count_publish(void *object, const char *function)
{
	struct cgc__context *self = cgc__thread_self();
	if (check_kind(self, object, function))
		cgc__publish_graph(self, object, 0, 0);
}

void cgc_publish(void *object)
{
	cgc__count_publish(object, "cgc_publish");
}

/* Private, with no other handle, no references and nothing to call. */
static bool is_leaf(const struct cgc__header *header)
{
	/* No order needed, here and below: private. */
	uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
	/* No order needed: as above. */
	uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
	return (flags & (CGC__PLAIN | CGC__UNTRACKED)) == (CGC__PLAIN | CGC__UNTRACKED) &&
	       cgc__type_maps[header->type] == 0 && cgc__local_count(local) == 1;
}

/* Apart, or handing a leaf over would save registers for it. */
static __attribute__((noinline)) void transfer_published(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	cgc__grace_enter_brief(self);
	if (cgc__count_bias(header) == self->biased_bias) {
		/* Raise before lowering: the total is never too low. */
		cgc__count_shared_up(header);
		cgc__pause("count.transfer_raised");
		cgc__count_down(self, object);
	}
	cgc__grace_leave_brief(self);
}

void cgc_transfer(void *object)
{
	struct cgc__context *self = cgc__thread_self();
	if (!check_kind(self, object, "cgc_transfer")) {
		transfer_published(self, object);
		return;
	}
	uint64_t handed = is_leaf(cgc__header_of(object)) ? CGC__HANDED : 0;
	cgc__publish_graph(self, object, CGC__SHARED_ONE | handed, 1);
}
