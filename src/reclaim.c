/* SPDX-License-Identifier: MIT
 *
 * Death: finalizer, weak references, destroy, children, memory, in this order, on constant stack. Whoever set
 * DEAD (or DYING, for private objects) has the object to itself.
 *
 *   private     count zero ------------------------------> [finalize -> released again] -> destroy -> memory
 *   published   DEAD -> weak references NULL [-> grace period -> alive once more -> finalize -> released again]
 *                    -> destroy -> [grace period, if it had weak references or a window is open] -> memory
 *
 * A finalizer runs on an object that is alive for it: it holds one reference, and the object that survives the
 * release of that one has been resurrected.
 * Models: tests/model/death.pml (children, memory), tests/model/weak.pml (weak references, finalizers).
 */
#include "count.h"
#include "object.h"
#include "slab.h"

/* Published objects that a mutator destroys at one go; the rest of a large graph goes back to the queue. */
#define DRAIN_LIMIT 512

size_t cgc__reclaim_bytes(const void *object)
{
	const struct cgc__slab *slab = cgc__slab_of(cgc__header_of(object));
	return slab->cell_bytes != 0 ? slab->cell_bytes : slab->bytes - slab->cells_offset;
}

/* User code: no lock is held here, and its time is not the library's. */
void cgc__reclaim_run(struct cgc__context *self, void (*callback)(void *), void *object)
{
	uint64_t began = cgc__report_now();
	self->in_callback++;
	callback(object);
	self->in_callback--;
	self->callback_ns += cgc__report_now() - began;
}

static bool wants_finalizer(const struct cgc__header *header, const struct cgc_type *type)
{
	return type->finalize != NULL &&
	       /* No order needed: whoever has a dead object to itself got it through an acquire. */
	       (atomic_load_explicit(&header->flags, memory_order_relaxed) & CGC__FINALIZED) == 0;
}

static void set_flag(struct cgc__header *header, uint8_t flag)
{
	/* No order needed: as above; only one thread has it. */
	uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&header->flags, flags | flag, memory_order_relaxed);
}

static void list_dying(struct cgc__context *self, struct cgc__header *header)
{
	/* No order needed: dead, ours. */
	atomic_store_explicit(&header->local, (uintptr_t)self->dying, memory_order_relaxed);
	self->dying = header;
}

/* The last reference to a private object goes. */
void cgc__reclaim_private(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	/* No order needed: private. */
	atomic_store_explicit(&header->bias, CGC__BIAS(self->id, CGC__DYING), memory_order_relaxed);
	list_dying(self, header);
	if (!self->draining)
		cgc__reclaim_drain(self);
}

/* The same, at once for the common case: nothing to call, nothing else to release. */
void cgc__release_last_private(void *object)
{
	struct cgc__context *self = cgc__self;
	struct cgc__header *header = cgc__header_of(object);
	/* No order needed: private. */
	uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
	if ((flags & (CGC__PLAIN | CGC__ELDER)) != CGC__PLAIN || !cgc__slots_are_empty(object)) {
		cgc__reclaim_private(self, object);
		return;
	}
	if ((flags & CGC__UNTRACKED) == 0) {
		self->freed_tracked++;
		self->young_count[0]--;
	}
	cgc__slab_give_young(self, header);
}

static void finalize_private(struct cgc__context *self, struct cgc__header *header, const struct cgc_type *type)
{
	set_flag(header, CGC__FINALIZED);
	/* If it survives, the next collections must find it, whatever ran since it was listed. */
	cgc__slab_hold(self, cgc__slab_of(header), CGC__HOLD_TOUCHED);
	cgc__slab_hold(self, cgc__slab_of(header), CGC__HOLD_ELDER);
	/* No order needed: private. */
	atomic_store_explicit(&header->local, 1, memory_order_relaxed);
	/* No order needed: private. */
	atomic_store_explicit(&header->bias, self->private_bias, memory_order_relaxed);
	cgc__reclaim_run(self, type->finalize, cgc__object_of(header));
	cgc__release(cgc__object_of(header));
}

/* A published object whose weak references answer NULL and that nobody can reach: alive for its finalizer. */
static void finalize_published(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	const struct cgc_type *type = cgc__type_of_id(header->type);
	set_flag(header, CGC__FINALIZED);
	/* No order needed: nobody else reaches it. Count first, so that it is never alive with none. */
	atomic_fetch_add_explicit(&header->shared, CGC__SHARED_RETAIN, memory_order_relaxed);
	/* DEAD.w: alive again. No order needed: made visible by whoever stores it. */
	uint64_t alive =
		atomic_fetch_and_explicit(&header->shared, ~CGC__DEAD, memory_order_relaxed) & ~CGC__DEAD;
	cgc__pause("reclaim.finalizer_due");
	cgc__reclaim_run(self, type->finalize, object);
	cgc__pause("reclaim.finalizer_done");
	/* DEAD.w: nobody but its finalizer could reach it, and its word has not moved, so nobody does now. Pairs: the
	 * upgrade in weak.c. */
	if (atomic_compare_exchange_strong_explicit(&header->shared, &alive,
	                                            (alive + CGC__SHARED_RELEASE) | CGC__DEAD,
	                                            memory_order_acq_rel, memory_order_relaxed))
		list_dying(self, header);
	else
		cgc__release(object);
}

/* A child of a private object. */
void cgc__reclaim_drop_private_child(struct cgc__context *self, void *child)
{
	struct cgc__header *header = cgc__header_of(child);
	uint32_t bias = cgc__count_bias(header);
	if (bias == self->private_bias) {
		/* No order needed: private. */
		uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
		if (cgc__local_count(local) > 1)
			/* No order needed: private. */
			atomic_store_explicit(&header->local, local + CGC__LOCAL_RELEASE, memory_order_relaxed);
		else
			cgc__release_last_private(child);
	} else if (CGC__KIND(bias) != CGC__DYING) {
		cgc__grace_enter_brief(self);
		cgc__count_down(self, child);
		cgc__grace_leave_brief(self);
	}
}

/* A published object that is destroyed and that no reader looks at any more. */
static void give_back(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	cgc__grace_enter_brief(self);
	/* WINDOW.r: in a section, so that the detector's grace period after WINDOW.w waits for what follows.
	 * Pairs: WINDOW.w in window.c. */
	if (atomic_load_explicit(&cgc__heap.window_open, memory_order_acquire)) {
		cgc__pending_push(self, object, CGC__DEAD);
	} else {
		cgc__pause("reclaim.give_back_due");
		/* SUSPECT.r: nobody sets it any more. Pairs: SUSPECT.w in window.c. */
		uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
		if ((shared & CGC__SUSPECT) != 0)
			/* GONE.w: the last flag out gives the memory back. Pairs: GONE.r in window.c. */
			shared = atomic_fetch_or_explicit(&header->shared, CGC__GONE, memory_order_acq_rel);
		cgc__pause("reclaim.gone");
		if ((shared & CGC__SUSPECT) == 0)
			cgc__slab_give(self, cgc__header_of(object));
	}
	cgc__grace_leave_brief(self);
}

/* Published, destroyed by counting. */
static void count_end(struct cgc__context *self, struct cgc__header *header)
{
	/* No order needed: whoever has a dead object to itself got it through an acquire. */
	uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&header->flags, flags | CGC__DESTROYED, memory_order_relaxed);
	self->freed_tracked += (flags & CGC__UNTRACKED) == 0;
	self->freed_condemned += (flags & (CGC__UNTRACKED | CGC__CONDEMNED_ONCE)) == CGC__CONDEMNED_ONCE;
	self->ended_objects++;
	self->ended_bytes += cgc__reclaim_bytes(cgc__object_of(header));
	cgc__counter_add(self, CGC__DIED_BY_COUNT, 1);
}

/* DEAD is set, and the caller has the object to itself: ended at once if there is nothing to call and nothing else to
 * release; false if not. */
static bool end_leaf(struct cgc__context *self, struct cgc__header *header)
{
	/* No order needed: as in count_end(); and a weak reference can be made no more. */
	uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
	/* No order needed: as above. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_relaxed);
	void *object = cgc__object_of(header);
	if ((flags & (CGC__PLAIN | CGC__DESTROYED)) != CGC__PLAIN || (shared & CGC__HAS_WEAK) != 0 ||
	    !cgc__slots_are_empty(object))
		return false;
	count_end(self, header);
	give_back(self, object);
	return true;
}

/* A child of a published object that was dead for a grace period: nobody borrows the child through it. If
 * nobody has unlinked it elsewhere lately either, nobody borrows it at all, and it dies with its parent. Two dead
 * parents may do this to one child at a time, without a stamp; so nothing is touched after the exchange that a flag
 * set by it does not keep. */
static void drop_published_child(struct cgc__context *self, void *child)
{
	struct cgc__header *header = cgc__header_of(child);
	if (CGC__KIND(cgc__count_bias(header)) == CGC__IMMORTAL)
		return;
	bool is_untracked = cgc__count_is_untracked(header);
	/* COUNT.r: before the stamp is read; a discount that this word includes has its stamp visible, one that it does
	 * not makes the exchange fail. Pairs: COUNT.w in count.h. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire), next;
	do {
		next = shared + CGC__SHARED_RELEASE;
		if ((next & CGC__DEAD) != 0)
			; /* of the same set: verdict.c sees to it */
		else if (cgc__count_needs_entry(next))
			next |= (next & CGC__MERGED) != 0 && cgc__grace_is_old(header) ? CGC__DEAD
			                                                               : CGC__QUEUED;
		else if (!is_untracked && (next & CGC__QUEUED) == 0)
			next |= CGC__SUSPECT;
		cgc__pause("reclaim.child_due");
		/* COUNT.w, as in cgc__count_shared_down(), DEAD.w, QUEUED.w, SUSPECT.w. Pairs: COUNT.r in window.c,
		 * the upgrade in weak.c, the queues; itself. */
	} while (!atomic_compare_exchange_weak_explicit(&header->shared, &shared, next, memory_order_acq_rel,
	                                                memory_order_acquire));
	cgc__pause("reclaim.child_dropped");
	uint64_t set = next & ~shared;
	if ((set & CGC__DEAD) != 0 && !end_leaf(self, header))
		list_dying(self, header);
	if ((set & CGC__QUEUED) != 0)
		cgc__pending_push(self, child, next);
	if ((set & CGC__SUSPECT) != 0)
		cgc__count_push_suspect(self, child);
}

static void drop_children(struct cgc__context *self, void *object)
{
	struct cgc__slots slots = cgc__slots_of(object);
	for (_Atomic(void *) *slot; (slot = cgc__slots_next(&slots)) != NULL;) {
		/* No order needed: nobody else reaches the object, but for a window, which takes either. */
		void *child = atomic_load_explicit(slot, memory_order_relaxed);
		if (!cgc__is_object(child))
			continue;
		/* UNLINK.w: before the discount. Pairs: the edges read in window.c. */
		atomic_store_explicit(slot, NULL, memory_order_release);
		cgc__pause("reclaim.child_unlinked");
		drop_published_child(self, child);
	}
}

/* The lowest bit of a fallen reference: from a published object. */
#define FROM_PUBLISHED ((uintptr_t)1)

static void drop_fallen(struct cgc__context *self)
{
	uintptr_t fallen = self->fallen[self->fallen_first++ % CGC__FALLEN];
	if ((fallen & FROM_PUBLISHED) != 0)
		drop_published_child(self, (void *)(fallen - FROM_PUBLISHED));
	else
		cgc__reclaim_drop_private_child(self, (void *)fallen);
}

/* Children, while the dying are drained: each is discounted when its header has had the time to get into the cache. */
static void let_children_fall(struct cgc__context *self, void *object, uintptr_t from)
{
	struct cgc__slots slots = cgc__slots_of(object);
	for (_Atomic(void *) *slot; (slot = cgc__slots_next(&slots)) != NULL;) {
		/* No order needed: nobody else reaches the object, but for a window, which takes either. */
		void *child = atomic_load_explicit(slot, memory_order_relaxed);
		if (!cgc__is_object(child))
			continue;
		__builtin_prefetch(cgc__header_of(child), 1);
		if (from == FROM_PUBLISHED) {
			/* UNLINK.w: before the discount. Pairs: the edges read in window.c. */
			atomic_store_explicit(slot, NULL, memory_order_release);
			cgc__pause("reclaim.child_unlinked");
		}
		if (self->fallen_end - self->fallen_first == CGC__FALLEN)
			drop_fallen(self);
		self->fallen[self->fallen_end++ % CGC__FALLEN] = (uintptr_t)child | from;
	}
}

/* A leaf that only its last handle led to. */
void cgc__reclaim_handed(struct cgc__context *self, void *object)
{
	cgc__pause("reclaim.handed_dead");
	count_end(self, cgc__header_of(object));
	give_back(self, object);
}

/* DEAD is set, and the caller has the object to itself. */
void cgc__reclaim_dead(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	if (end_leaf(self, header))
		return;
	list_dying(self, header);
	if (!self->draining)
		cgc__reclaim_drain(self);
}

static void destroy_private(struct cgc__context *self, struct cgc__header *header, const struct cgc_type *type)
{
	void *object = cgc__object_of(header);
	if (type->destroy != NULL)
		cgc__reclaim_run(self, type->destroy, object);
	let_children_fall(self, object, 0);
	if (!cgc__count_is_untracked(header)) {
		self->freed_tracked++;
		if (self->young_count[0] > 0)
			self->young_count[0]--;
	}
	/* No order needed: private. */
	if ((atomic_load_explicit(&header->flags, memory_order_relaxed) & CGC__ELDER) == 0) {
		cgc__slab_give_young(self, header);
		return;
	}
	cgc__counter_add(self, CGC__DIED_BY_COUNT, 1);
	cgc__slab_give(self, header);
}

static bool clear_weak(struct cgc__context *self, struct cgc__header *header)
{
	/* HAS_WEAK.r: no order needed, DEAD came with an acquire, and nobody sets this flag afterwards. Pairs:
	 * HAS_WEAK.w in weak.c. */
	if ((atomic_load_explicit(&header->shared, memory_order_relaxed) & CGC__HAS_WEAK) == 0)
		return false;
	/* No order needed: the stripe's lock orders the references. */
	atomic_fetch_and_explicit(&header->shared, ~CGC__HAS_WEAK, memory_order_relaxed);
	cgc__weak_call(self, cgc__weak_detach(cgc__object_of(header), NULL));
	return true;
}

/* The next step of a dead object's end; a step that needs a grace period first queues it. */
static void end_published(struct cgc__context *self, struct cgc__header *header, const struct cgc_type *type)
{
	void *object = cgc__object_of(header);
	/* No order needed: whoever has a dead object to itself got it through an acquire. */
	if ((atomic_load_explicit(&header->flags, memory_order_relaxed) & CGC__DESTROYED) != 0) {
		give_back(self, object);
		return;
	}
	bool had_weak = clear_weak(self, header);
	cgc__pause("reclaim.weak_cleared");
	if (wants_finalizer(header, type)) {
		/* Whoever read a weak reference before it was cleared must still find the object dead. */
		if (had_weak)
			cgc__pending_push(self, object, CGC__DEAD);
		else
			finalize_published(self, object);
		return;
	}
	if (type->destroy != NULL)
		cgc__reclaim_run(self, type->destroy, object);
	let_children_fall(self, object, FROM_PUBLISHED);
	count_end(self, header);
	if (had_weak)
		cgc__pending_push(self, object, CGC__DEAD);
	else
		give_back(self, object);
}

/* Background thread: garbage by verdict, weak references cleared, finalizers run. References between members of
 * the set are discounted like others and mean nothing to the dead. */
void cgc__reclaim_condemned(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	const struct cgc_type *type = cgc__type_of_id(header->type);
	if (type->destroy != NULL)
		cgc__reclaim_run(self, type->destroy, object);
	drop_children(self, object);
	set_flag(header, CGC__DESTROYED);
	cgc__counter_add(self, CGC__DIED_BY_DETECTOR, 1);
	self->ended_bytes += cgc__reclaim_bytes(object);
	cgc__pending_push(self, object, CGC__DEAD);
}

/* Destroys what is listed as dying, and what dies by that; not recursive, whatever the shape of the graph. */
void cgc__reclaim_drain(struct cgc__context *self)
{
	size_t published = 0, count = 0;
	uint64_t began = 0, callbacks = self->callback_ns;
	bool is_background = cgc__collector_is_self();
	self->draining = true;
	for (;;) {
		struct cgc__header *header = self->dying;
		if (header == NULL && self->fallen_first == self->fallen_end)
			break;
		if (header == NULL) {
			drop_fallen(self);
			continue;
		}
		/* No order needed: ours. */
		self->dying = (struct cgc__header *)atomic_load_explicit(&header->local, memory_order_relaxed);
		/* No order needed: ours. */
		atomic_store_explicit(&header->local, 0, memory_order_relaxed);
		const struct cgc_type *type = cgc__type_of_id(header->type);
		if (CGC__KIND(cgc__count_bias(header)) == CGC__DYING) {
			if (wants_finalizer(header, type))
				finalize_private(self, header, type);
			else
				destroy_private(self, header, type);
		} else if (published++ < DRAIN_LIMIT || is_background) {
			end_published(self, header, type);
		} else {
			cgc__pending_push(self, cgc__object_of(header), CGC__DEAD);
		}
		if (++count == 64)
			began = cgc__report_now();
	}
	self->draining = false;
	if (began != 0)
		cgc__report_stall(self, began, callbacks);
}
