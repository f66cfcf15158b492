/* SPDX-License-Identifier: MIT
 *
 * What waits for a grace period: published objects whose count is zero, or below zero before it is merged, and
 * dead ones whose memory readers may still look at.
 *
 * Every thread queues in its own context and settles its own entries in batches, from slow paths; the background
 * thread settles what is left, so a thread that blocks keeps nothing. An entry carries the shared word as it
 * was when queued. Equal after a grace period that began later, with a count of zero: nobody holds a
 * reference, and whoever could make one from a borrowed pointer has left his section; so the object is dead.
 * Models: tests/model/bias.pml, tests/model/death.pml.
 */
#include "count.h"

#define BATCH 64
/* So many new entries are worth a grace period of the owner's own. */
#define GRACE_BATCH 1024
/* At one go, for the program's thread: entries, objects that die by them; looked at after so many entries. */
#define HELP_ENTRIES 256
#define HELP_OBJECTS 2048
#define HELP_STEP 16
/* So many headers are on their way into the cache while one entry is settled. */
#define AHEAD 8

static void wait_ended(struct cgc__context *self, void *object)
{
	cgc__counter_add(self, CGC__WAIT_ENDED, 1);
	cgc__counter_add(self, CGC__WAIT_ENDED_BYTES, cgc__reclaim_bytes(object));
}

void cgc__pending_push(struct cgc__context *self, void *object, uint64_t word)
{
	cgc__counter_add(self, CGC__WAIT_BEGUN, 1);
	cgc__counter_add(self, CGC__WAIT_BEGUN_BYTES, cgc__reclaim_bytes(object));
	if (cgc__queue_push(&self->pending, object, word)) {
		cgc__collector_wake_if_idle();
		return;
	}
	struct cgc__header *header = cgc__header_of(object);
	if ((word & (CGC__MERGED | CGC__DEAD)) == 0) {
		/* Local is in use. The next look at the whole generation finds it. No order needed: as the flag
		 * says that there is an entry, and there is none. */
		atomic_fetch_and_explicit(&header->shared, ~CGC__QUEUED, memory_order_relaxed);
		/* LOST.w: after the flag is taken back, or who takes the request still sees it. Pairs: LOST.r in
		 * window.c. */
		atomic_store_explicit(&cgc__heap.lost_entry, true, memory_order_release);
		wait_ended(self, object);
		return;
	}
	/* No memory for an entry: local, which is zero for ever, links it instead. */
	/* No order needed: the exchange below checks it. */
	struct cgc__header *head = atomic_load_explicit(&cgc__heap.overflow, memory_order_relaxed);
	do {
		/* No order needed: the exchange below publishes it. */
		atomic_store_explicit(&header->local, (uintptr_t)head, memory_order_relaxed);
		cgc__pause("pending.overflow_linked");
		/* OVERFLOW.w. Pairs: OVERFLOW.r in cgc__pending_retry_overflow(). */
	} while (!atomic_compare_exchange_weak_explicit(&cgc__heap.overflow, &head, header,
	                                                memory_order_release, memory_order_relaxed));
}

/* Background thread: what found no memory gets another chance. */
void cgc__pending_retry_overflow(struct cgc__context *self)
{
	/* OVERFLOW.r. Pairs: OVERFLOW.w in cgc__pending_push(). */
	struct cgc__header *header = atomic_exchange_explicit(&cgc__heap.overflow, NULL, memory_order_acquire);
	while (header != NULL) {
		void *object = cgc__object_of(header);
		/* No order needed: ours since the exchange. */
		struct cgc__header *next =
			(struct cgc__header *)atomic_load_explicit(&header->local, memory_order_relaxed);
		/* No order needed: merged or dead, nobody else writes it. */
		atomic_store_explicit(&header->local, 0, memory_order_relaxed);
		/* QUEUED.r: the word of now; it must stay for a grace period. Pairs: QUEUED.w in count.c. */
		uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
		wait_ended(self, object);
		cgc__pending_push(self, object, shared);
		header = next;
	}
}

/* The count has moved since it was queued: wait again, or take the flag back. What was at zero and is referenced
 * again may be in a ring by now, so it becomes a suspect. */
static void look_again(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	uint64_t suspect = cgc__count_is_untracked(header) ? 0 : CGC__SUSPECT;
	/* QUEUED.r. Pairs: QUEUED.w in count.c. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
	do {
		if (cgc__count_needs_entry(shared & ~CGC__QUEUED)) {
			cgc__pending_push(self, object, shared);
			return;
		}
		cgc__pause("pending.again_due");
		/* QUEUED.w: cleared only while the count is not zero; who brings it to zero later queues it anew.
		 * Nothing is touched afterwards but for the suspect's flag. Pairs: the decrements in count.h. */
	} while (!atomic_compare_exchange_weak_explicit(&header->shared, &shared,
	                                                (shared & ~CGC__QUEUED) | suspect, memory_order_acq_rel,
	                                                memory_order_acquire));
	cgc__pause("pending.again_cleared");
	if (suspect != 0 && (shared & CGC__SUSPECT) == 0)
		cgc__count_push_suspect(self, object);
}

/* Shared went below zero while the owner counts in local. First the bias goes; a grace period later nobody
 * writes local any more, and it is added to shared. */
static void settle_bias(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	/* REVOKE.r: UNBIASED by the owner's merge comes with MERGED. Pairs: REVOKE.w in count.c. */
	uint32_t bias = atomic_load_explicit(&header->bias, memory_order_acquire);
	/* QUEUED.r. Pairs: QUEUED.w in count.c. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
	if ((shared & CGC__MERGED) == 0 && CGC__KIND(bias) == CGC__BIASED) {
		/* REVOKE.w: no order needed, the grace period is the order. Pairs: the look at the bias in count.h,
		 * inside of a section. */
		atomic_compare_exchange_strong_explicit(&header->bias, &bias, CGC__UNBIASED,
		                                        memory_order_relaxed, memory_order_relaxed);
		cgc__pending_push(self, object, shared);
		return;
	}
	if ((shared & CGC__MERGED) == 0) {
		cgc__pause("pending.revoked");
		/* No order needed but GRACE: the owner's last store is visible, its section is over. */
		uint64_t local = cgc__local_count(atomic_load_explicit(&header->local, memory_order_relaxed));
		uint64_t merged;
		do {
			if ((int64_t)local + cgc__shared_count(shared) > CGC__SHARED_LIMIT)
				cgc__count_saturate(header);
			if (CGC__KIND(cgc__count_bias(header)) == CGC__IMMORTAL)
				return; /* QUEUED stays: nobody needs to queue it again */
			merged = (shared + local * CGC__SHARED_ONE + CGC__SHARED_VERSION) | CGC__MERGED;
			/* COUNT.w: raise before lowering. Pairs: COUNT.r in window.c. */
		} while (!atomic_compare_exchange_weak_explicit(&header->shared, &shared, merged,
		                                                memory_order_acq_rel, memory_order_acquire));
		cgc__pause("pending.revoke_raised");
		/* COUNT.w: after the raise. Pairs: COUNT.r in window.c. */
		atomic_store_explicit(&header->local, 0, memory_order_release);
	}
	look_again(self, object);
}

static void settle_zero(struct cgc__context *self, void *object, uint64_t word)
{
	struct cgc__header *header = cgc__header_of(object);
	const uint64_t ignored = CGC__SUSPECT | CGC__CONDEMNED;
	/* QUEUED.r. Pairs: QUEUED.w in count.c. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
	while (cgc__shared_count(word) == 0 && ((shared ^ word) & ~ignored) == 0) {
		cgc__pause("pending.zero_due");
		/* DEAD.w: the count was zero for a whole grace period. Acquire: everything done to the object
		 * before its last decrement. Pairs: the upgrade in weak.c. */
		if (atomic_compare_exchange_weak_explicit(&header->shared, &shared,
		                                          (shared | CGC__DEAD) & ~CGC__QUEUED,
		                                          memory_order_acq_rel, memory_order_acquire)) {
			cgc__pause("pending.zero_dead");
			cgc__reclaim_dead(self, object);
			return;
		}
	}
	look_again(self, object);
}

static void settle(struct cgc__context *self, const struct cgc__entry *entry)
{
	wait_ended(self, entry->object);
	if ((entry->word & CGC__DEAD) != 0)
		cgc__reclaim_dead(self, entry->object);
	else if ((entry->word & CGC__MERGED) == 0)
		settle_bias(self, entry->object);
	else
		settle_zero(self, entry->object, entry->word);
}

/* Takes at most BATCH entries whose grace period is over; the try-lock is not held when they are settled,
 * because that runs finalizers. */
static size_t take_ready(struct cgc__context *context, struct cgc__entry *batch, size_t most)
{
	size_t taken = 0;
	/* CONSUME.r: the last consumer's plain fields. Pairs: CONSUME.w below. */
	if (atomic_exchange_explicit(&context->consuming, true, memory_order_acquire))
		return 0;
	struct cgc__queue *queue = &context->pending;
	/* GRACE.r: over for us too. Pairs: GRACE.w in grace.c. */
	if (context->pending_epoch <= atomic_load_explicit(&cgc__grace_done, memory_order_acquire)) {
		/* No order needed: only consumers write it. */
		while (taken < most &&
		       atomic_load_explicit(&queue->popped, memory_order_relaxed) < context->pending_sealed &&
		       cgc__queue_pop(queue, &batch[taken]))
			taken++;
		/* No order needed: only consumers write it. */
		if (atomic_load_explicit(&queue->popped, memory_order_relaxed) == context->pending_sealed) {
			/* LENGTH.r: these entries, and what their pushers did before. Pairs: LENGTH.w in queue.c. */
			context->pending_sealed = atomic_load_explicit(&queue->pushed, memory_order_acquire);
			cgc__pause("pending.seal_due");
			context->pending_epoch = cgc__grace_seal();
		}
	}
	/* CONSUME.w. Pairs: CONSUME.r above. */
	atomic_store_explicit(&context->consuming, false, memory_order_release);
	return taken;
}

/* Settles entries of any context whose grace period is over, about `limit` of them; false if there were none. */
bool cgc__pending_consume(struct cgc__context *self, struct cgc__context *context, size_t limit)
{
	struct cgc__entry batch[BATCH];
	size_t done = 0, taken;
	while (done < limit && (taken = take_ready(context, batch, limit < BATCH ? limit : BATCH)) > 0) {
		cgc__pause("pending.taken");
		for (size_t i = 0; i < taken && i < AHEAD; i++)
			__builtin_prefetch(cgc__header_of(batch[i].object), 1);
		for (size_t i = 0; i < taken; i++) {
			if (i + AHEAD < taken)
				__builtin_prefetch(cgc__header_of(batch[i + AHEAD].object), 1);
			settle(self, &batch[i]);
		}
		done += taken;
	}
	return done > 0;
}

/* So many pushes from now the next look at the own queue is worth its time. */
static void poll_after(struct cgc__context *self, uint64_t pushes)
{
	/* No order needed: own number. */
	self->poll_at = atomic_load_explicit(&self->pending.pushed, memory_order_relaxed) + pushes;
}

static bool may_help(struct cgc__context *self)
{
	return !self->polling && !self->draining && self->in_callback == 0 && !cgc__grace_in_section();
}

/* The owner's grace period instead of the background thread's: what dies by it is in the owner's cache, and it comes
 * whether that thread gets a processor or not. */
static bool end_grace_period(struct cgc__context *self)
{
	/* No order needed: own number. */
	self->pending_tried = atomic_load_explicit(&self->pending.pushed, memory_order_relaxed);
	/* No order needed: a hint; while a window is open the dead wait for its end. */
	return !atomic_load_explicit(&cgc__heap.window_open, memory_order_relaxed) && cgc__grace_try();
}

static bool help(struct cgc__context *self)
{
	uint64_t began = cgc__report_now(), callbacks = self->callback_ns, before = self->ended_objects;
	size_t entries = 0;
	self->polling = true;
	while (entries < HELP_ENTRIES && self->ended_objects - before < HELP_OBJECTS &&
	       cgc__pending_consume(self, self, HELP_STEP))
		entries += HELP_STEP;
	self->polling = false;
	if (entries > 0)
		/* No order needed: a hint, for the background thread. */
		atomic_fetch_add_explicit(&self->helped, 1, memory_order_relaxed);
	cgc__report_stall(self, began, callbacks);
	return entries > 0;
}

/* The owner helps, in bounded batches. */
void cgc__pending_help(struct cgc__context *self)
{
	poll_after(self, 0);
	if (!may_help(self) || help(self))
		return;
	if (self->poll_at - self->pending_tried >= GRACE_BATCH && end_grace_period(self))
		help(self);
	poll_after(self, cgc__heap.pending_batch - 1);
}

/* Before the owner takes more memory: what waits may be more than the number of entries says. */
void cgc__pending_relieve(struct cgc__context *self)
{
	if (cgc__queue_length(&self->pending) == 0 || !may_help(self) || help(self))
		return;
	end_grace_period(self);
	help(self);
}

static struct cgc__context *all_contexts(void)
{
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	return atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
}

/* Background thread, once a round: a thread that has settled some of its entries since will settle the rest, while
 * they are in its cache. */
void cgc__pending_see_who_helps(void)
{
	for (struct cgc__context *context = all_contexts(); context != NULL; context = context->next) {
		/* No order needed: a hint. */
		uint64_t helped = atomic_load_explicit(&context->helped, memory_order_relaxed);
		context->is_helping = helped != context->helped_before && !cgc__heap.eager;
		context->helped_before = helped;
	}
}

/* Background thread: of all contexts, or of those whose owners do not help; returns how many entries are left. */
uint64_t cgc__pending_consume_all(struct cgc__context *self, bool all)
{
	uint64_t left = 0;
	for (struct cgc__context *context = all_contexts(); context != NULL; context = context->next) {
		if (!all && context->is_helping)
			continue;
		while (cgc__pending_consume(self, context, SIZE_MAX))
			;
		left += cgc__queue_length(&context->pending);
	}
	return left;
}
