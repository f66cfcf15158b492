/* SPDX-License-Identifier: MIT
 *
 * Memory for objects: cells of one size in slabs of 64 KiB (heap.h has the structure and its equation).
 *
 * The owner allocates from its current slab of each size: a list of free cells, then cells never used. A cell
 * that its owner frees goes back to the slab's list. A cell freed by another thread goes on the slab's remote
 * stack; the push that finds that stack empty also puts the slab on its context's `returned` stack, once, where
 * the owner picks it up when it runs out. A slab whose cells are all on its remote stack is taken from there by
 * the background thread, so that an owner that sleeps for ever keeps no memory.
 * Model: tests/model/slab.pml.
 */
#include <string.h>

#include "pause.h"
#include "slab.h"

/* Returned slabs that one refill looks at. */
#define COLLECT_AT_ONCE 32
/* Cells never used that one refill takes. */
#define EXTENSION 64

static void give_to_jemalloc(struct cgc__slab *slab)
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
	give_to_jemalloc(slab);
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

/* slab.remote: how many cells above, the offset of the first below; 0 is none. */
static uint64_t remote_word(const struct cgc__slab *slab, const struct cgc__header *first, uint64_t count)
{
	return count << 32 | (uint64_t)((uintptr_t)first - (uintptr_t)slab);
}

static struct cgc__header *remote_first(const struct cgc__slab *slab, uint64_t word)
{
	return word != 0 ? (struct cgc__header *)((uintptr_t)slab + (uint32_t)word) : NULL;
}

static struct cgc__header *next_free(const struct cgc__header *header)
{
	/* No order needed: the list is the reader's own by now. */
	return (struct cgc__header *)atomic_load_explicit(&header->local, memory_order_relaxed);
}

/* Owner: takes what others freed, all at once. */
static void collect_remote(struct cgc__slab *slab)
{
	/* REMOTE.r: what the freeing threads wrote to the cells. Release: our look at returned_next, before another
	 * thread that finds the stack empty returns the slab again. Pairs: REMOTE.w in give_remote(). */
	uint64_t word = atomic_exchange_explicit(&slab->remote, 0, memory_order_acq_rel);
	cgc__pause("slab.remote_collected");
	struct cgc__header *first = remote_first(slab, word), *last = first;
	slab->used -= (uint32_t)(word >> 32);
	if (first == NULL)
		return;
	if (slab->free != NULL) {
		while (next_free(last) != NULL)
			last = next_free(last);
		/* No order needed: owner only. */
		atomic_store_explicit(&last->local, (uintptr_t)slab->free, memory_order_relaxed);
	}
	slab->free = first;
}

static void return_slab(struct cgc__context *context, struct cgc__slab *slab)
{
	/* No order needed: the exchange below checks it. */
	struct cgc__slab *head = atomic_load_explicit(&context->returned, memory_order_relaxed);
	do {
		slab->returned_next = head;
		/* RETURNED.w. Pairs: RETURNED.r in collect_returned() and cgc__slab_release_retired(). */
	} while (!atomic_compare_exchange_weak_explicit(&context->returned, &head, slab, memory_order_release,
	                                                memory_order_relaxed));
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
	/* A window may be reading it: the background thread releases it, as if others had emptied it. */
	uint64_t cells = remote_word(slab, slab->free, slab->bumped);
	slab->free = NULL;
	slab->used = slab->bumped;
	/* REMOTE.w. Pairs: REMOTE.r in all_cells_remote(). */
	atomic_store_explicit(&slab->remote, cells, memory_order_release);
	cgc__pause("slab.retired");
	return_slab(self, slab);
}

/* Owner: a few of the slabs with cells that others have freed, so that no call takes long; the rest is for the
 * next refill. */
static void collect_returned(struct cgc__context *self)
{
	if (self->collected == NULL) {
		/* No order needed to look; RETURNED.r if there is something. Pairs: RETURNED.w in return_slab(). */
		if (atomic_load_explicit(&self->returned, memory_order_relaxed) == NULL)
			return;
		/* RETURNED.r. Pairs: RETURNED.w in return_slab(). */
		self->collected = atomic_exchange_explicit(&self->returned, NULL, memory_order_acquire);
	}
	for (int i = 0; i < COLLECT_AT_ONCE && self->collected != NULL; i++) {
		struct cgc__slab *slab = self->collected;
		self->collected = slab->returned_next;
		collect_remote(slab);
		if (slab->size_class == CGC__CLASS_LARGE)
			retire_empty(self, slab);
		else if (!slab->is_partial && !cgc__slab_is_held(slab, CGC__HOLD_CURRENT))
			add_partial(self, slab);
	}
	/* The background thread may take what is left, if nothing was returned meanwhile. */
	struct cgc__slab *none = NULL;
	/* RETURNED.w, as in return_slab(). Pairs: RETURNED.r above and in cgc__slab_release_retired(). */
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

static void give_remote(struct cgc__slab *slab, struct cgc__header *header)
{
	struct cgc__context *context = slab->context;
	/* No order needed: the exchange below checks it. */
	uint64_t head = atomic_load_explicit(&slab->remote, memory_order_relaxed);
	do {
		/* No order needed: the exchange below publishes it. */
		atomic_store_explicit(&header->local, (uintptr_t)remote_first(slab, head),
		                      memory_order_relaxed);
		/* REMOTE.w: the link, and that the object is over, before the cell can be used again. The
		 * acquire half is for the slab that follows an empty stack: taken by the owner, returned again by
		 * us. Pairs: REMOTE.r in collect_remote(). */
	} while (!atomic_compare_exchange_weak_explicit(&slab->remote, &head,
	                                                remote_word(slab, header, (head >> 32) + 1),
	                                                memory_order_acq_rel, memory_order_relaxed));
	cgc__pause("slab.given_remote");
	/* The slab cannot go away before it is returned: its cell is on the stack, and who empties the stack
	 * found the slab in `returned`. */
	if (head == 0)
		return_slab(context, slab);
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
void cgc__slab_fill_and_push(struct cgc__context *self, struct cgc__slab *slab, struct cgc__header *header)
{
	memset(header + 1, 0x5a, payload_bytes(slab));
	cgc__slab_push(self, slab, header);
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
		give_remote(slab, header);
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

static bool all_cells_remote(struct cgc__slab *slab)
{
	/* REMOTE.r: all that was done to the cells. Pairs: REMOTE.w in give_remote() and retire_empty(). */
	return atomic_load_explicit(&slab->remote, memory_order_acquire) >> 32 == slab->bumped;
}

/* The lock keeps the owner from walking to the slab meanwhile. */
static bool try_release(struct cgc__context *context, struct cgc__slab *slab)
{
	pthread_mutex_lock(&context->slabs_lock);
	/* HOLD.r: if 0, the owner is done with it. Pairs: HOLD.w in cgc__slab_set_holds(). */
	bool is_over = atomic_load_explicit(&slab->holds, memory_order_acquire) == 0 && all_cells_remote(slab);
	if (is_over)
		cgc__slab_remove(context, slab);
	pthread_mutex_unlock(&context->slabs_lock);
	cgc__pause("slab.release_decided");
	if (is_over)
		give_to_jemalloc(slab);
	return is_over;
}

/* Background thread, no window open: gives back the slabs that others have emptied. A slab off the returned
 * stack whose cells are all remote is in no list of its owner's, unless it is held. */
void cgc__slab_release_retired(void)
{
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next) {
		/* RETURNED.r. Pairs: RETURNED.w in return_slab(). */
		struct cgc__slab *slab =
			atomic_exchange_explicit(&context->returned, NULL, memory_order_acquire);
		cgc__pause("slab.returned_taken");
		while (slab != NULL) {
			struct cgc__slab *next = slab->returned_next;
			if (!try_release(context, slab))
				return_slab(context, slab);
			slab = next;
		}
	}
}

/* Owner: its free cells, as if others had freed them, so that the slab goes back when the last one is free. */
static void give_free_cells(struct cgc__context *self, struct cgc__slab *slab)
{
	/* Those never used as well: of a slab that nobody allocates from, bumped is constant, as all_cells_remote() in
	 * another thread expects. */
	extend(slab, slab->cell_count);
	uint64_t count = slab->bumped - slab->used;
	struct cgc__header *first = slab->free, *last = first;
	if (first == NULL)
		return;
	while (next_free(last) != NULL)
		last = next_free(last);
	slab->free = NULL;
	slab->used = slab->bumped;
	/* No order needed: the exchange below checks it. */
	uint64_t head = atomic_load_explicit(&slab->remote, memory_order_relaxed);
	do {
		/* No order needed: the exchange below publishes it. */
		atomic_store_explicit(&last->local, (uintptr_t)remote_first(slab, head), memory_order_relaxed);
		/* REMOTE.w, as in give_remote(). Pairs: REMOTE.r in collect_remote() and all_cells_remote(). */
	} while (!atomic_compare_exchange_weak_explicit(&slab->remote, &head,
	                                                remote_word(slab, first, (head >> 32) + count),
	                                                memory_order_acq_rel, memory_order_relaxed));
	if (head == 0)
		return_slab(self, slab);
}

/* The owner ends: it allocates from no slab any more, and all free cells are where the background thread sees them. */
void cgc__slab_leave(struct cgc__context *self)
{
	for (unsigned i = 0; i < CGC__CLASS_COUNT; i++) {
		set_current(self, i, NULL);
		while (self->partial[i] != NULL)
			remove_partial(self, self->partial[i]);
	}
	while (self->collected != NULL) {
		struct cgc__slab *slab = self->collected;
		self->collected = slab->returned_next;
		return_slab(self, slab);
	}
	size_t position = SIZE_MAX;
	struct cgc__slab *slab = NULL;
	while ((slab = cgc__slab_walk(self, &position, slab)) != NULL)
		give_free_cells(self, slab);
}
