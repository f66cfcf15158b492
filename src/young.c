/* SPDX-License-Identifier: MIT
 *
 * The local collection of generations 0 and 1: trial deletion over what suspects among the calling thread's private
 * objects reach. No atomic read-modify-write, no other thread notices.
 *
 * A ring is garbage only after a member has lost a reference that was not its last, or was closed with the last
 * handle; both show in the member's own words for as long as it is private: is_suspect(). What no suspect reaches
 * lives.
 *
 * References from within the set are subtracted from copies of the counts; what keeps a count is held from
 * outside (a handle of the program's, an older object) and lives, with all it reaches; the rest is dead. So C
 * variables need no registration: they are counts that no field explains. Survivors of 0 move to 1, survivors
 * of 1 are published.
 * Against readers of what it publishes: tests/model/publish.pml; against cells freed by others: tests/model/slab.pml.
 * Trial deletion: Christopher 1984, as CPython does it. From suspects: Bacon, Rajan, ECOOP 2001.
 */
#include <errno.h>

#include "count.h"
#include "object.h"

/* shared is scratch while an object is private: copied count above, and */
#define IN_SET UINT64_C(2)
#define LIVE UINT64_C(1)
#define COPIED_ONE UINT64_C(4)

/* Finalizers may make garbage with finalizers; so many rounds of it in one collection, the rest later. */
#define FINALIZER_ROUNDS 4

struct set {
	void **objects; /* all of these generations; then the dead in front */
	void **stack;   /* those whose references are still to be followed */
	size_t count, capacity, stack_count;
	size_t suspects;
	bool failed;
};

static uint64_t scratch(const void *object)
{
	/* No order needed: private. */
	return atomic_load_explicit(&cgc__header_of(object)->shared, memory_order_relaxed);
}

static void set_scratch(const void *object, uint64_t word)
{
	/* No order needed: private. */
	atomic_store_explicit(&cgc__header_of(object)->shared, word, memory_order_relaxed);
}

static bool grow(struct cgc__context *self, struct set *set)
{
	size_t capacity = set->capacity > 0 ? 2 * set->capacity : 4096;
	void **objects = cgc__memory_get(2 * capacity * sizeof(void *), 0);
	if (objects == NULL)
		return false;
	for (size_t i = 0; i < set->count; i++)
		objects[i] = set->objects[i];
	cgc__memory_put(set->objects, 2 * set->capacity * sizeof(void *));
	self->young_set = set->objects = objects;
	self->young_capacity = set->capacity = capacity;
	return true;
}

/* Every retain and release of a private object moves its version by one: released at least once, and alive.
 * cgc__link() makes it look so where a ring may have been closed with the last handle. */
static bool is_suspect(const void *object)
{
	/* No order needed: private. */
	uint64_t local = atomic_load_explicit(&cgc__header_of(object)->local, memory_order_relaxed);
	return (uint32_t)(local >> 32) != cgc__local_count(local) - 1;
}

/* Adds a slab's tracked private objects of one generation. */
static void gather(struct cgc__context *self, struct set *set, struct cgc__slab *slab, uint8_t generation)
{
	for (uint32_t cell = 0; cell < slab->bumped; cell++) {
		/* GENERATION.r: with 0, a cell that others have freed reads as free. Pairs: GENERATION.w, slab.c. */
		if (atomic_load_explicit(&slab->generation[cell], memory_order_acquire) != generation)
			continue;
		struct cgc__header *header = cgc__slab_header(slab, cell);
		if (cgc__count_bias(header) != self->private_bias || cgc__count_is_untracked(header))
			continue;
		if (set->count == set->capacity && !grow(self, set)) {
			set->failed = true;
			return;
		}
		void *object = cgc__object_of(header);
		set->suspects += is_suspect(object);
		set->objects[set->count++] = object;
	}
}

static void gather_all(struct cgc__context *self, struct set *set, int generation)
{
	for (struct cgc__slab *slab = self->touched; slab != NULL; slab = slab->touched_next)
		gather(self, set, slab, 0);
	if (generation == 1)
		for (struct cgc__slab *slab = self->elder; slab != NULL; slab = slab->elder_next)
			gather(self, set, slab, 1);
}

static bool is_in_set(struct cgc__context *self, void *value)
{
	return cgc__is_object(value) && cgc__count_bias(cgc__header_of(value)) == self->private_bias &&
	       scratch(value) != 0;
}

/* Into the set that is tried. */
static void add(struct set *set, void *object)
{
	/* No order needed: private. */
	uint64_t local = atomic_load_explicit(&cgc__header_of(object)->local, memory_order_relaxed);
	set_scratch(object, cgc__local_count(local) * COPIED_ONE | IN_SET);
	set->stack[set->stack_count++] = object;
}

/* Of the generations that are collected? */
static bool is_candidate(struct cgc__context *self, const void *value, int generation)
{
	const struct cgc__header *header = cgc__header_of(value);
	/* No order needed: private, if the bias says so. */
	uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
	return cgc__count_bias(header) == self->private_bias && (flags & CGC__UNTRACKED) == 0 &&
	       (generation == 1 || (flags & CGC__ELDER) == 0);
}

/* What is on the stack is followed; references from within the set are subtracted. */
static void follow(struct cgc__context *self, struct set *set, int generation)
{
	while (set->stack_count > 0) {
		struct cgc__slots slots = cgc__slots_of(set->stack[--set->stack_count]);
		for (_Atomic(void *) *slot; (slot = cgc__slots_next(&slots)) != NULL;) {
			/* No order needed: private. */
			void *value = atomic_load_explicit(slot, memory_order_relaxed);
			if (!cgc__is_object(value) || !is_candidate(self, value, generation))
				continue;
			if (scratch(value) == 0)
				add(set, value);
			set_scratch(value, scratch(value) - COPIED_ONE);
		}
	}
}

/* Suspects and what they reach, all at once for each, so that a ring's members are followed together. */
static void try_suspects(struct cgc__context *self, struct set *set, int generation)
{
	set->stack = set->objects + set->capacity;
	for (size_t i = 0; i < set->count; i++)
		if (is_suspect(set->objects[i]) && scratch(set->objects[i]) == 0) {
			add(set, set->objects[i]);
			follow(self, set, generation);
		}
}

static void mark_live(struct set *set, void *object)
{
	set_scratch(object, scratch(object) | LIVE);
	set->stack[set->stack_count++] = object;
}

static void propagate(struct cgc__context *self, struct set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		if ((scratch(set->objects[i]) & LIVE) == 0 && scratch(set->objects[i]) >= COPIED_ONE)
			mark_live(set, set->objects[i]);
		while (set->stack_count > 0) {
			struct cgc__slots slots = cgc__slots_of(set->stack[--set->stack_count]);
			for (_Atomic(void *) *slot; (slot = cgc__slots_next(&slots)) != NULL;) {
				/* No order needed: private. */
				void *value = atomic_load_explicit(slot, memory_order_relaxed);
				if (is_in_set(self, value) && (scratch(value) & LIVE) == 0)
					mark_live(set, value);
			}
		}
	}
}

/* The dead to the front; returns how many. All scratch words are zero again. */
static size_t partition(struct set *set)
{
	size_t dead = 0;
	for (size_t i = 0; i < set->count; i++) {
		void *object = set->objects[i];
		bool is_dead = (scratch(object) & (IN_SET | LIVE)) == IN_SET;
		set_scratch(object, 0);
		if (is_dead) {
			set->objects[i] = set->objects[dead];
			set->objects[dead++] = object;
		}
	}
	return dead;
}

static size_t find_dead(struct cgc__context *self, struct set *set, int generation)
{
	try_suspects(self, set, generation);
	propagate(self, set);
	return partition(set);
}

/* Survivors of 0 go to 1, those of 1 are published. Empties the list of touched slabs: those that are allocated
 * from get back on it at their next allocation. */
static void age(struct cgc__context *self, struct set *set, size_t dead, int generation)
{
	struct cgc__slab *touched = self->touched;
	self->touched = NULL;
	if (generation == 1) {
		for (size_t i = dead; i < set->count; i++) {
			if (cgc__count_bias(cgc__header_of(set->objects[i])) == self->private_bias)
				cgc__publish_graph(self, set->objects[i], 0, 0);
		}
	} else {
		for (size_t i = dead; i < set->count; i++) {
			struct cgc__header *header = cgc__header_of(set->objects[i]);
			struct cgc__slab *slab = cgc__slab_of(header);
			/* No order needed: private. */
			atomic_store_explicit(&slab->generation[cgc__slab_cell(slab, header)], 1,
			                      memory_order_relaxed);
			/* So that slab.c clears the generation when the cell is free. No order needed: private. */
			uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
			/* No order needed: private. */
			atomic_store_explicit(&header->flags, flags | CGC__ELDER, memory_order_relaxed);
			cgc__slab_hold(self, slab, CGC__HOLD_ELDER);
		}
	}
	for (struct cgc__slab *next; touched != NULL; touched = next) {
		next = touched->touched_next;
		cgc__slab_let_go(self, touched, CGC__HOLD_TOUCHED);
	}
}

static void empty_elder(struct cgc__context *self)
{
	struct cgc__slab *elder = self->elder;
	self->elder = NULL;
	for (struct cgc__slab *next; elder != NULL; elder = next) {
		next = elder->elder_next;
		cgc__slab_let_go(self, elder, CGC__HOLD_ELDER);
	}
}

/* Calls the finalizers that the dead have left; false if there were none. Every object is held meanwhile, so
 * that all are intact for each; afterwards the dead have to be found anew. */
static bool finalize(struct cgc__context *self, struct set *set, size_t dead)
{
	size_t count = 0;
	for (size_t i = 0; i < dead; i++) {
		struct cgc__header *header = cgc__header_of(set->objects[i]);
		/* No order needed: private. */
		uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
		count += cgc__type_of_id(header->type)->finalize != NULL && (flags & CGC__FINALIZED) == 0;
	}
	if (count == 0)
		return false;
	void **held = set->objects;
	for (size_t i = 0; i < dead; i++)
		cgc_retain(held[i]);
	for (size_t i = 0; i < dead; i++) {
		struct cgc__header *header = cgc__header_of(held[i]);
		struct cgc_type *type = cgc__type_of_id(header->type);
		/* No order needed: this thread holds it. */
		uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
		if (type->finalize == NULL || (flags & CGC__FINALIZED) != 0)
			continue;
		/* No order needed: this thread holds it. */
		atomic_fetch_or_explicit(&header->flags, CGC__FINALIZED, memory_order_relaxed);
		cgc__reclaim_run(self, type->finalize, held[i]);
	}
	for (size_t i = 0; i < dead; i++)
		cgc__release(held[i]);
	return true;
}

static void kill(struct cgc__context *self, struct set *set, size_t dead)
{
	void **objects = set->objects;
	for (size_t i = 0; i < dead; i++)
		/* No order needed: private. From here on releases of it, from within the set, count for nothing. */
		atomic_store_explicit(&cgc__header_of(objects[i])->bias, CGC__BIAS(self->id, CGC__DYING),
		                      memory_order_relaxed);
	for (size_t i = 0; i < dead; i++) {
		struct cgc_type *type = cgc__type_of_id(cgc__header_of(objects[i])->type);
		if (type->destroy != NULL)
			cgc__reclaim_run(self, type->destroy, objects[i]);
	}
	for (size_t i = 0; i < dead; i++) {
		struct cgc__slots slots = cgc__slots_of(objects[i]);
		for (_Atomic(void *) *slot; (slot = cgc__slots_next(&slots)) != NULL;) {
			/* No order needed: private. */
			void *child = atomic_load_explicit(slot, memory_order_relaxed);
			if (cgc__is_object(child))
				cgc__reclaim_drop_private_child(self, child);
		}
	}
	cgc__pause("young.children_dropped");
	for (size_t i = 0; i < dead; i++) {
		cgc__slab_give(self, cgc__header_of(objects[i]));
	}
	self->freed_tracked += dead;
	cgc__counter_add(self, CGC__DIED_LOCALLY, dead);
}

static void promoted(size_t survivors)
{
	/* No order needed: a statistic that paces the detector. */
	atomic_fetch_add_explicit(&cgc__heap.promoted, survivors, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_fetch_add_explicit(&cgc__heap.elder_collections, 1, memory_order_relaxed);
	cgc__collector_whole_due();
}

static void count_collection(struct cgc__context *self, int generation, uint64_t candidates, uint64_t collected,
                             uint64_t resurrected, uint64_t nanoseconds)
{
	int base = CGC__YOUNG_COLLECTIONS + 5 * generation;
	cgc__counter_add(self, base, 1);
	cgc__counter_add(self, base + 1, candidates);
	cgc__counter_add(self, base + 2, collected);
	cgc__counter_add(self, base + 3, resurrected);
	cgc__counter_add(self, base + 4, nanoseconds);
}

/* Collects 0, or 0 and 1, of the calling thread; returns how many objects of cyclic types died by that. */
long cgc__young_collect(struct cgc__context *self, int generation)
{
	if (self->collecting)
		return 0; /* a finalizer of this very collection asks for another */
	self->collecting = true;
	uint64_t began = cgc__report_now(), callbacks = self->callback_ns;
	uint64_t freed_before = self->freed_tracked, candidates = 0, condemned = 0;
	struct set set;
	size_t dead;
	bool gave_up = false;
	for (int round = 0;; round++) {
		set = (struct set){.objects = self->young_set, .capacity = self->young_capacity};
		gather_all(self, &set, generation);
		if (set.failed) {
			/* Out of memory: nothing is collected now, nothing is lost. */
			self->collecting = false;
			return -ENOMEM;
		}
		cgc__pause("young.gathered");
		dead = set.suspects > 0 ? find_dead(self, &set, generation) : 0;
		if (candidates == 0)
			candidates = set.count;
		gave_up = round == FINALIZER_ROUNDS;
		if (gave_up)
			dead = 0;
		if (!finalize(self, &set, dead))
			break;
		condemned += dead;
	}
	cgc__pause("young.decided");
	age(self, &set, dead, generation);
	cgc__pause("young.aged");
	if (gave_up)
		/* LOST.w: what was published may be garbage without suspects; who takes this request finds it.
		 * Pairs: LOST.r in window.c. */
		atomic_store_explicit(&cgc__heap.lost_entry, true, memory_order_release);
	kill(self, &set, dead);
	if (generation == 1)
		empty_elder(self);
	uint64_t collected = self->freed_tracked - freed_before;
	uint64_t resurrected = condemned > collected ? condemned - collected : 0;
	self->young_count[0] = 0;
	self->young_count[1] = generation == 1 ? 0 : self->young_count[1] + 1;
	count_collection(self, generation, candidates, collected, resurrected,
	                 cgc__report_now() - began - (self->callback_ns - callbacks));
	self->collecting = false;
	if (generation == 1)
		promoted(set.count - dead);
	return (long)collected;
}

/* From cgc_new: the thread's net allocations have passed the threshold. */
void cgc__young_collect_due(struct cgc__context *self)
{
	/* No order needed: a setting. */
	if (!atomic_load_explicit(&cgc__heap.is_enabled, memory_order_relaxed) || self->collecting)
		return;
	uint64_t began = cgc__report_now(), callbacks = self->callback_ns;
	/* No order needed: a setting. */
	unsigned limit = atomic_load_explicit(&cgc__heap.threshold[1], memory_order_relaxed);
	int generation = self->young_count[1] >= limit && limit != 0 ? 1 : 0;
	if (cgc__heap.collect_always != 0)
		generation = (int)cgc__heap.collect_always - 1;
	cgc__young_collect(self, generation);
	cgc__report_stall(self, began, callbacks);
}
