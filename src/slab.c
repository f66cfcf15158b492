/* SPDX-License-Identifier: MIT
 *
 * Memory for objects: cells of one size in slabs of 64 KiB (heap.h has the structure and its equation).
 *
 * The owner allocates from its current slab of each size: a list of free cells, then cells never used. A cell
 * that its owner frees goes back to the slab's list; cells that others free come back through remote.c.
 * Model: tests/model/slab.pml.
 */
#include <string.h>

#include "pause.h"
#include "slab.h"

/* Returned slabs that one refill looks at. */
#define COLLECT_AT_ONCE 32
/* Cells never used that one refill takes. */
#define EXTENSION 64

void cgc__slab_unmap(struct cgc__slab *slab)
{
	cgc__memory_put(slab->window_map, slab->cell_count * sizeof(uint32_t));
	cgc__sites_drop(slab);
	CGC__UNPOISON(slab, slab->bytes);
	cgc__memory_put_slab(slab, slab->bytes);
}

/* The owner: a slab that never held a published object. */
static void release(struct cgc__slab *slab)
{
	struct cgc__context *context = slab->context;
	pthread_mutex_lock(&context->slabs_lock);
	cgc__slab_remove(context, slab);
	pthread_mutex_unlock(&context->slabs_lock);
	cgc__slab_unmap(slab);
}

static struct cgc__slab *new_slab(struct cgc__context *self, uint32_t size_class, size_t cell_bytes)
{
	size_t bytes, cell_count;
	if (size_class == CGC__CLASS_LARGE) {
		cell_count = 1;
		bytes = cgc__slab_cells_offset(1) + cgc__slab_cell_for(cell_bytes);
	} else {
		bytes = CGC__SLAB_BYTES;
		cell_count = (bytes - sizeof(struct cgc__slab) - 16) / (cell_bytes + 1);
	}
	if (cgc__heap.limit != 0 && cgc__memory_reserved() + bytes > cgc__heap.limit)
		return NULL;
	struct cgc__slab *slab = cgc__memory_get(bytes, CGC__SLAB_BYTES);
	if (slab == NULL)
		return NULL;
	size_t cells_offset = cgc__slab_cells_offset(cell_count);
	memset(slab, 0, cells_offset);
	slab->context = self;
	slab->bytes = bytes;
	slab->cell_bytes = (uint32_t)(size_class == CGC__CLASS_LARGE ? 0 : cell_bytes);
	slab->cell_count = (uint32_t)cell_count;
	slab->reciprocal = slab->cell_bytes != 0 ? (uint32_t)((UINT64_C(1) << 32) / slab->cell_bytes + 1) : 0;
	slab->cells_offset = (uint32_t)cells_offset;
	slab->size_class = size_class;
	slab->alone = CGC__ALONE_NEVER;
	if (!cgc__slab_enter(self, slab)) {
		cgc__memory_put_slab(slab, bytes);
		return NULL;
	}
	return slab;
}

static void remove_partial(struct cgc__context *self, struct cgc__slab *slab)
{
	if (slab->previous != NULL)
		slab->previous->next = slab->next;
	else
		self->partial[slab->size_class] = slab->next;
	if (slab->next != NULL)
		slab->next->previous = slab->previous;
	slab->is_partial = false;
	slab->alone = CGC__ALONE_NEVER;
}

static void add_partial(struct cgc__context *self, struct cgc__slab *slab)
{
	struct cgc__slab *head = self->partial[slab->size_class];
	slab->previous = NULL;
	slab->next = head;
	if (head != NULL)
		head->previous = slab;
	self->partial[slab->size_class] = slab;
	slab->is_partial = true;
	slab->alone = CGC__ALONE_PARTIAL;
}

/* Owner: an empty slab that it has no reason to keep. */
static void retire_empty(struct cgc__context *self, struct cgc__slab *slab)
{
	if (cgc__slab_is_held(slab, CGC__HOLD_CURRENT | CGC__HOLD_TOUCHED | CGC__HOLD_ELDER))
		return;
	if (slab->is_partial) {
		if (slab->next == NULL && slab->previous == NULL)
			return; /* keep one of each size */
		remove_partial(self, slab);
	}
	if (!slab->is_shared) {
		release(slab);
		return;
	}
	/* A window may be reading it: the background thread releases it. */
	cgc__remote_retire(self, slab);
}

/* Owner: a few of the slabs with cells that others have freed, so that no call takes long; the rest is for the
 * next refill. */
static void collect_returned(struct cgc__context *self)
{
	if (self->collected == NULL) {
		/* No order needed to look; RETURNED.r if there is something. Pairs: RETURNED.w in
		 * cgc__remote_return(). */
		if (atomic_load_explicit(&self->returned, memory_order_relaxed) == NULL)
			return;
		/* RETURNED.r. Pairs: RETURNED.w in cgc__remote_return(). */
		self->collected = atomic_exchange_explicit(&self->returned, NULL, memory_order_acquire);
	}
	for (int i = 0; i < COLLECT_AT_ONCE && self->collected != NULL; i++) {
		struct cgc__slab *slab = self->collected;
		self->collected = slab->returned_next;
		cgc__remote_collect(slab);
		if (slab->size_class == CGC__CLASS_LARGE)
			retire_empty(self, slab);
		else if (!slab->is_partial && !cgc__slab_is_held(slab, CGC__HOLD_CURRENT))
			add_partial(self, slab);
	}
	/* The background thread may take what is left, if nothing was returned meanwhile. */
	struct cgc__slab *none = NULL;
	/* RETURNED.w, as in cgc__remote_return(). Pairs: RETURNED.r above and in cgc__remote_release_retired(). */
	if (self->collected != NULL &&
	    atomic_compare_exchange_strong_explicit(&self->returned, &none, self->collected,
	                                            memory_order_acq_rel, memory_order_relaxed))
		self->collected = NULL;
}

/* Up to `count` cells never used go on the list of free ones, in their order; false if that is empty then. */
static bool extend(struct cgc__slab *slab, uint32_t count)
{
	uint32_t left = slab->cell_count - slab->bumped, end = slab->bumped + (count < left ? count : left);
	for (uint32_t cell = end; cell-- > slab->bumped;) {
		struct cgc__header *header = cgc__slab_header(slab, cell);
		/* No order needed, here and below: owner only. */
		atomic_store_explicit(&header->bias, CGC__FREE, memory_order_relaxed);
		/* No order needed: as above. */
		atomic_store_explicit(&header->local, (uintptr_t)slab->free, memory_order_relaxed);
		slab->free = header;
	}
	slab->bumped = end;
	return slab->free != NULL;
}

/* The slab that it allocates from, of that size; NULL is none. */
static void set_current(struct cgc__context *self, uint32_t size_class, struct cgc__slab *slab)
{
	struct cgc__slab *before = self->current[size_class];
	if (before != NULL) {
		before->alone = CGC__ALONE_NEVER;
		cgc__slab_set_holds(before, CGC__HOLD_CURRENT, 0);
	}
	if (slab != NULL) {
		slab->alone = CGC__ALONE_CURRENT;
		cgc__slab_set_holds(slab, 0, CGC__HOLD_CURRENT);
	}
	self->current[size_class] = slab;
}

static bool is_exhausted(const struct cgc__context *self, uint32_t size_class)
{
	const struct cgc__slab *slab = self->current[size_class];
	return self->partial[size_class] == NULL &&
	       (slab == NULL || (slab->free == NULL && slab->bumped == slab->cell_count));
}

/* A slab with a free cell becomes the current one. */
static struct cgc__slab *refill(struct cgc__context *self, uint32_t size_class)
{
	/* First of all: what is destroyed by it may allocate too. */
	if (is_exhausted(self, size_class))
		cgc__pending_relieve(self);
	struct cgc__slab *slab = self->current[size_class];
	if (slab != NULL && slab->free != NULL)
		return slab;
	collect_returned(self);
	if (slab != NULL) {
		if (slab->free != NULL || extend(slab, EXTENSION))
			return slab;
		set_current(self, size_class, NULL);
	}
	/* Under a hard limit only what is taken counts, else all that is filled. */
	if (self->partial[size_class] == NULL || cgc__heap.limit == 0)
		cgc__pace_take(self, CGC__SLAB_BYTES);
	slab = self->partial[size_class];
	if (slab != NULL) {
		remove_partial(self, slab);
	} else {
		uint64_t began = cgc__report_now();
		slab = new_slab(self, size_class, cgc__slab_class_bytes[size_class]);
		cgc__report_stall(self, began, self->callback_ns);
		if (slab == NULL)
			return NULL;
	}
	set_current(self, size_class, slab);
	if (slab->free == NULL)
		extend(slab, EXTENSION);
	return slab;
}

static struct cgc__header *take_large(struct cgc__context *self, size_t cell_bytes)
{
	cgc__pending_relieve(self);
	cgc__pace_take(self, cell_bytes);
	uint64_t began = cgc__report_now();
	struct cgc__slab *slab = new_slab(self, CGC__CLASS_LARGE, cell_bytes);
	cgc__report_stall(self, began, self->callback_ns);
	if (slab == NULL)
		return NULL;
	slab->bumped = slab->used = 1;
	cgc__counter_raise(&self->made[CGC__CLASS_LARGE], 1);
	cgc__counter_add(self, CGC__MADE_LARGE_BYTES, slab->bytes - slab->cells_offset);
	return cgc__slab_header(slab, 0);
}

/* A cell of at least that size, header and contents undefined; NULL if memory is out. */
struct cgc__header *cgc__slab_take(struct cgc__context *self, size_t cell_bytes)
{
	uint32_t size_class = cgc__slab_class_of(cell_bytes);
	if (size_class == CGC__CLASS_LARGE)
		return take_large(self, cell_bytes);
	struct cgc__slab *slab = refill(self, size_class);
	return slab != NULL ? cgc__slab_pop(self, slab) : NULL;
}

/* Owner: keeps the slab for `reason`, in that list. */
void cgc__slab_hold(struct cgc__context *self, struct cgc__slab *slab, uint8_t reason)
{
	if (cgc__slab_is_held(slab, reason))
		return;
	cgc__slab_set_holds(slab, 0, reason);
	if (reason == CGC__HOLD_TOUCHED) {
		slab->touched_next = self->touched;
		self->touched = slab;
	} else {
		slab->elder_next = self->elder;
		self->elder = slab;
	}
}

/* Owner: has taken it off that list; the slab may be gone after this. */
void cgc__slab_let_go(struct cgc__context *self, struct cgc__slab *slab, uint8_t reason)
{
	bool is_empty = slab->used == 0;
	bool is_large = slab->size_class == CGC__CLASS_LARGE;
	cgc__slab_set_holds(slab, reason, 0);
	if (is_empty && (slab->is_partial || is_large))
		retire_empty(self, slab);
}

static size_t payload_bytes(const struct cgc__slab *slab)
{
	return (slab->cell_bytes != 0 ? slab->cell_bytes : slab->bytes - slab->cells_offset) -
	       sizeof(struct cgc__header);
}

/* So that who uses the dead sees it (poison=1). */
void cgc__slab_fill_and_push(struct cgc__slab *slab, struct cgc__header *header)
{
	memset(header + 1, 0x5a, payload_bytes(slab));
	cgc__slab_push(slab, header);
}

/* In generation 0 its cell says so already. */
static bool is_of_generation_0(const struct cgc__header *header)
{
	/* No order needed: the caller has the object to itself. */
	enum cgc__kind kind = CGC__KIND(atomic_load_explicit(&header->bias, memory_order_relaxed));
	/* No order needed: as above. */
	uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
	return (kind == CGC__PRIVATE || kind == CGC__DYING) && (flags & CGC__ELDER) == 0;
}

/* The object in it is over. Any thread. */
void cgc__slab_give(struct cgc__context *self, struct cgc__header *header)
{
	struct cgc__slab *slab = cgc__slab_of(header);
	/* So that who uses the dead sees it. */
	if (__builtin_expect(cgc__heap.poison, 0))
		memset(header + 1, 0x5a, payload_bytes(slab));
	cgc__counter_raise(&self->given[slab->size_class], 1);
	if (__builtin_expect(slab->size_class == CGC__CLASS_LARGE, 0))
		cgc__counter_add(self, CGC__GIVEN_LARGE_BYTES, slab->bytes - slab->cells_offset);
	bool is_young = is_of_generation_0(header);
	/* No order needed: the cell's next owner is ordered by GENERATION or REMOTE. */
	atomic_store_explicit(&header->bias, CGC__FREE, memory_order_relaxed);
	if (!is_young)
		/* GENERATION.w: no window or local collection may take the cell for an object from here on, and
		 * one that reads 0 sees the bias. Pairs: GENERATION.r in young.c and window.c. */
		atomic_store_explicit(&slab->generation[cgc__slab_cell(slab, header)], 0, memory_order_release);
	CGC__POISON(header + 1, payload_bytes(slab));
	if (slab->context != self) {
		cgc__remote_give(self, slab, header);
		return;
	}
	/* No order needed: owner only. */
	atomic_store_explicit(&header->local, (uintptr_t)slab->free, memory_order_relaxed);
	slab->free = header;
	slab->used--;
	if (cgc__slab_is_held(slab, CGC__HOLD_CURRENT))
		return;
	if (!slab->is_partial && slab->size_class != CGC__CLASS_LARGE)
		add_partial(self, slab);
	if (slab->used == 0)
		retire_empty(self, slab);
}

/* Owner: its free cells, as if others had freed them, so that the slab goes back when the last one is free. */
static void give_free_cells(struct cgc__slab *slab)
{
	/* Those never used as well: of a slab that nobody allocates from, bumped is constant, as all_cells_remote() in
	 * another thread expects. */
	extend(slab, slab->cell_count);
	uint64_t count = slab->bumped - slab->used;
	struct cgc__header *first = slab->free, *last = first;
	if (first == NULL)
		return;
	while (cgc__slab_next_free(last) != NULL)
		last = cgc__slab_next_free(last);
	slab->free = NULL;
	slab->used = slab->bumped;
	cgc__remote_push(slab, first, last, count);
}

/* The owner ends: it allocates from no slab any more, and all free cells are where the background thread sees them. */
void cgc__slab_leave(struct cgc__context *self)
{
	cgc__remote_send(self);
	for (unsigned i = 0; i < CGC__CLASS_COUNT; i++) {
		set_current(self, i, NULL);
		while (self->partial[i] != NULL)
			remove_partial(self, self->partial[i]);
	}
	while (self->collected != NULL) {
		struct cgc__slab *slab = self->collected;
		self->collected = slab->returned_next;
		cgc__remote_return(self, slab);
	}
	size_t position = SIZE_MAX;
	struct cgc__slab *slab = NULL;
	while ((slab = cgc__slab_walk(self, &position, slab)) != NULL)
		give_free_cells(slab);
}
