/* SPDX-License-Identifier: MIT
 *
 * Copying words and edges: of the whole old generation, enumerated from the slabs (all words, then all edges),
 * or of what the suspects reach (slot, the target's words, the slot once more). The rules are in window.h.
 * Models: tests/model/window.pml, and window_arm.pml for a memory that reorders.
 */
#include "window.h"

#include <string.h>

#include "count.h"
#include "object.h"

/* Objects copied between two looks at whether others wait for a grace period. */
#define TICK 32768
#define MEMBERS_FIRST 4096
#define MEMBERS_KEPT 65536 /* capacity that is never given back */

static bool grow(void **array, size_t *capacity, size_t element, size_t first)
{
	size_t wanted = *capacity > 0 ? 2 * *capacity : first;
	void *larger = cgc__memory_get(wanted * element, 0);
	if (larger == NULL)
		return false;
	if (*capacity > 0)
		memcpy(larger, *array, *capacity * element);
	cgc__memory_put(*array, *capacity * element);
	*array = larger;
	*capacity = wanted;
	return true;
}

static uint32_t *map_entry(const void *object)
{
	const struct cgc__header *header = cgc__header_of(object);
	struct cgc__slab *slab = cgc__slab_of(header);
	return slab->window_map != NULL ? &slab->window_map[cgc__slab_cell(slab, header)] : NULL;
}

uint32_t cgc__window_find(const void *object)
{
	const uint32_t *entry = map_entry(object);
	return entry != NULL && *entry != 0 ? *entry - 1 : UINT32_MAX;
}

static bool ensure_map(struct cgc__slab *slab)
{
	if (slab->window_map == NULL) {
		slab->window_map = cgc__memory_get(slab->cell_count * sizeof(uint32_t), 0);
		if (slab->window_map != NULL)
			memset(slab->window_map, 0, slab->cell_count * sizeof(uint32_t));
	}
	return slab->window_map != NULL;
}

/* Reads an object's words and enters it; its index, or UINT32_MAX when out of memory. */
static uint32_t enter(struct cgc__window *window, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	if (window->member_count == UINT32_MAX - 1 || !ensure_map(cgc__slab_of(header)) ||
	    (window->member_count == window->member_capacity &&
	     !grow((void **)&window->members, &window->member_capacity, sizeof(*window->members),
	           MEMBERS_FIRST))) {
		window->failed = true;
		return UINT32_MAX;
	}
	struct cgc__member *member = &window->members[window->member_count];
	*member = (struct cgc__member){.object = object};
	/* COUNT.r: acquire, so that slots read later are not older than these. Pairs: COUNT.w in count.h. */
	member->local = atomic_load_explicit(&header->local, memory_order_acquire);
	cgc__pause("window.local_read");
	/* COUNT.r. Pairs: COUNT.w in count.h, pending.c and reclaim.c. */
	member->shared = atomic_load_explicit(&header->shared, memory_order_acquire);
	cgc__pause("window.words_read");
	*map_entry(object) = (uint32_t)++window->member_count;
	return (uint32_t)window->member_count - 1;
}

static void add_edge(struct cgc__window *window, uint32_t target)
{
	if (window->edge_count == window->edge_capacity &&
	    !grow((void **)&window->edges, &window->edge_capacity, sizeof(uint32_t), 16384)) {
		window->failed = true;
		return;
	}
	window->edges[window->edge_count++] = target;
}

bool cgc__window_has_changed(const struct cgc__member *member)
{
	const struct cgc__header *header = cgc__header_of(member->object);
	/* COUNT.r, another look. Pairs: COUNT.w and MOVE.w. */
	uint64_t local = atomic_load_explicit(&header->local, memory_order_acquire);
	/* COUNT.r. Pairs: COUNT.w and MOVE.w. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
	return member->is_changed || local != member->local || (shared & ~CGC__CONDEMNED) != member->shared;
}

/* Notes what has changed so far; too late for that, the window decides nothing. */
static void check_point(struct cgc__window *window)
{
	for (size_t i = 0; i < window->member_count; i++)
		window->members[i].is_changed = cgc__window_has_changed(&window->members[i]);
	uint64_t now = cgc__report_now();
	if (now - window->checked > CGC__WINDOW_LIMIT_NS)
		window->failed = true;
	window->checked = now;
}

/* Others wait for grace periods while a large heap is copied. */
static void tick(struct cgc__window *window, size_t done)
{
	if (done % TICK != TICK - 1)
		return;
	cgc__grace_wait();
	if (cgc__report_now() - window->checked > CGC__WINDOW_CHECK_NS)
		check_point(window);
}

/* A queue that had no memory for an entry: the object still has to be settled. */
static void requeue_lost(struct cgc__context *self, void *object)
{
	struct cgc__header *header = cgc__header_of(object);
	cgc__grace_enter_brief(self);
	/* QUEUED.r. Pairs: QUEUED.w in count.c. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
	cgc__count_queue(self, object, shared);
	cgc__grace_leave_brief(self);
}

static void enter_slab(struct cgc__context *self, struct cgc__window *window, struct cgc__slab *slab,
                       bool had_lost)
{
	for (uint32_t cell = 0; cell < slab->cell_count && !window->failed; cell++) {
		/* GENERATION.r: a published object's header and fields. Pairs: GENERATION.w, publish.c, slab.c. */
		if (atomic_load_explicit(&slab->generation[cell], memory_order_acquire) != 2)
			continue;
		void *object = cgc__object_of(cgc__slab_header(slab, cell));
		if (had_lost)
			requeue_lost(self, object);
		enter(window, object);
		tick(window, window->member_count);
	}
}

static void enter_whole(struct cgc__context *self, struct cgc__window *window)
{
	/* LOST.r: a later request is for the next window. Pairs: LOST.w in pending.c. */
	bool had_lost = atomic_exchange_explicit(&cgc__heap.lost_entry, false, memory_order_acquire);
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL && !window->failed; context = context->next) {
		size_t count;
		while ((count = cgc__slab_snapshot(context, window->slabs, window->slab_capacity)) >
		       window->slab_capacity) {
			if (!grow((void **)&window->slabs, &window->slab_capacity, sizeof(struct cgc__slab *),
			          1024)) {
				window->failed = true;
				return;
			}
		}
		for (size_t i = 0; i < count; i++)
			enter_slab(self, window, window->slabs[i], had_lost);
	}
}

/* The edges of one member; partial windows enter the targets they meet. */
static void copy_edges(struct cgc__window *window, uint32_t index, bool whole)
{
	window->members[index].first_edge = (uint32_t)window->edge_count;
	/* A dead object's slots may be cleared by now; it counts as live, and so does what it still reaches. */
	struct cgc__slots slots = cgc__slots_of(window->members[index].object);
	for (_Atomic(void *) *slot; (slot = cgc__slots_next(&slots)) != NULL;) {
		/* EDGE.r, PUBLISH.r: after the words of the target (W1). Pairs: PUBLISH.w in slot.c. */
		void *target = atomic_load_explicit(slot, memory_order_acquire);
		if (!cgc__is_object(target))
			continue;
		cgc__pause("window.slot_read");
		uint32_t found = cgc__window_find(target);
		if (found == UINT32_MAX) {
			if (whole)
				continue; /* published since: its count stays unexplained */
			found = enter(window, target);
			if (found == UINT32_MAX)
				return;
			/* EDGE.r, once more, now after the words. Pairs: PUBLISH.w in slot.c. */
			if (atomic_load_explicit(slot, memory_order_acquire) != target)
				continue;
		}
		cgc__pause("window.edge_read");
		add_edge(window, found);
	}
}

static void take_suspects(struct cgc__window *window, struct cgc__context *self, struct cgc__context *context)
{
	struct cgc__entry entry;
	uint64_t length = cgc__queue_length(&context->suspects);
	for (; length > 0 && cgc__queue_pop(&context->suspects, &entry); length--) {
		struct cgc__header *header = cgc__header_of(entry.object);
		/* SUSPECT.w, GONE.r: cleared before the grace period that precedes the copy, so a decrement whose
		 * thread still saw the flag is seen by the copy. Pairs: SUSPECT.r in count.h, GONE.w in reclaim.c. */
		uint64_t shared =
			atomic_fetch_and_explicit(&header->shared, ~CGC__SUSPECT, memory_order_acq_rel);
		cgc__pause("window.suspect_taken");
		if ((shared & CGC__GONE) != 0) {
			cgc__slab_give(self, header);
		} else if ((shared & CGC__DEAD) == 0 && !window->failed) {
			/* Its words are read after the grace period; for now only its name. */
			if (window->member_count == window->member_capacity &&
			    !grow((void **)&window->members, &window->member_capacity, sizeof(*window->members),
			          4096)) {
				/* No order needed: a request for a look at the whole generation instead. */
				atomic_store_explicit(&cgc__heap.lost_entry, true, memory_order_relaxed);
				continue;
			}
			window->members[window->member_count++].object = entry.object;
		}
	}
}

uint64_t cgc__window_sweep(struct cgc__context *self)
{
	uint64_t left = 0;
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next) {
		struct cgc__entry entry;
		uint64_t length = cgc__queue_length(&context->suspects);
		for (; length > 0 && cgc__queue_pop(&context->suspects, &entry); length--) {
			struct cgc__header *header = cgc__header_of(entry.object);
			/* GONE.r: nothing but the flag keeps it. Pairs: GONE.w in reclaim.c. */
			uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
			cgc__pause("window.sweep_read");
			if ((shared & CGC__GONE) != 0) {
				/* No order needed: nobody else has it. */
				atomic_fetch_and_explicit(&header->shared, ~CGC__SUSPECT, memory_order_relaxed);
				cgc__slab_give(self, header);
			} else {
				cgc__count_push_suspect(self, entry.object);
				left++;
			}
		}
	}
	return left;
}

void cgc__window_open(struct cgc__context *self, struct cgc__window *window, bool whole)
{
	window->member_count = window->edge_count = window->stack_count = 0;
	window->failed = false;
	/* WINDOW.w: before the grace period; who gives memory back in a section that began later sees it, who began
	 * earlier is done when it ends. Pairs: WINDOW.r in reclaim.c. */
	atomic_store_explicit(&cgc__heap.window_open, true, memory_order_release);
	cgc__pause("window.opened");
	cgc__grace_wait();
	cgc__pause("window.memory_kept");
	/* Memory stays from here on, so a suspect that dies between the two grace periods can still be looked at. */
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next)
		take_suspects(window, self, context);
	cgc__pause("window.suspects_taken");
	cgc__grace_wait();
	cgc__pause("window.copy_due");
	window->checked = cgc__report_now();
	size_t suspects = window->member_count;
	if (whole) {
		window->member_count = 0;
		enter_whole(self, window);
		cgc__pause("window.all_words_read");
		for (size_t i = 0; i < window->member_count && !window->failed; i++) {
			copy_edges(window, (uint32_t)i, true);
			tick(window, i);
		}
		return;
	}
	window->member_count = 0;
	for (size_t i = 0; i < suspects && !window->failed; i++) {
		void *object = window->members[i].object;
		if (cgc__window_find(object) == UINT32_MAX)
			enter(window, object);
		tick(window, i);
	}
	for (size_t i = 0; i < window->member_count && !window->failed; i++) {
		copy_edges(window, (uint32_t)i, false);
		tick(window, i);
	}
}

void cgc__window_close(struct cgc__window *window)
{
	cgc__pause("window.close_due");
	for (size_t i = 0; i < window->member_count; i++)
		*map_entry(window->members[i].object) = 0;
	/* WINDOW.w: what the copy read, before the memory is anybody else's. Pairs: WINDOW.r in reclaim.c. */
	atomic_store_explicit(&cgc__heap.window_open, false, memory_order_release);
	cgc__pause("window.closed");
}

void cgc__window_free(struct cgc__window *window)
{
	cgc__memory_put(window->members, window->member_capacity * sizeof(*window->members));
	cgc__memory_put(window->edges, window->edge_capacity * sizeof(uint32_t));
	cgc__memory_put(window->stack, window->stack_capacity * sizeof(uint32_t));
	cgc__memory_put(window->slabs, window->slab_capacity * sizeof(struct cgc__slab *));
	*window = (struct cgc__window){0};
}

/* After the last look for a while: large arrays are as much as a third of a heap of small objects. */
void cgc__window_trim(struct cgc__window *window)
{
	if (window->member_capacity > MEMBERS_KEPT)
		cgc__window_free(window);
}

/* A member lives; what it reaches will, in cgc__window_spread(). */
void cgc__window_save(struct cgc__window *window, uint32_t index)
{
	if (!window->members[index].is_live) {
		window->members[index].is_live = true;
		window->stack[window->stack_count++] = index;
	}
}

static uint32_t edges_end(const struct cgc__window *window, uint32_t index)
{
	return index + 1 < window->member_count ? window->members[index + 1].first_edge
	                                        : (uint32_t)window->edge_count;
}

void cgc__window_spread(struct cgc__window *window)
{
	while (window->stack_count > 0) {
		uint32_t index = window->stack[--window->stack_count];
		for (uint32_t edge = window->members[index].first_edge, end = edges_end(window, index);
		     edge < end; edge++)
			cgc__window_save(window, window->edges[edge]);
	}
}

/* What keeps a count that no edge explains is held by a handle, a root, a private object or an object that was not
 * copied. What is queued, dead or immortal is not the detector's. */
static bool is_held(const struct cgc__member *member)
{
	uint32_t bias = cgc__count_bias(cgc__header_of(member->object));
	return member->external != 0 || member->is_changed || CGC__KIND(bias) == CGC__IMMORTAL ||
	       (member->shared & (CGC__QUEUED | CGC__DEAD | CGC__GONE)) != 0;
}

void cgc__window_decide(struct cgc__window *window)
{
	while (window->stack_capacity < window->member_count && !window->failed)
		if (!grow((void **)&window->stack, &window->stack_capacity, sizeof(uint32_t), 4096))
			window->failed = true;
	if (window->edge_count > UINT32_MAX - 1)
		window->failed = true;
	if (window->failed)
		return;
	for (size_t i = 0; i < window->member_count; i++) {
		struct cgc__member *member = &window->members[i];
		/* A merged object's local word is zero or a link of the dead. */
		uint32_t local = (member->shared & CGC__MERGED) != 0 ? 0 : cgc__local_count(member->local);
		int64_t total = (int64_t)local + cgc__shared_count(member->shared);
		member->external = total > INT32_MAX ? INT32_MAX : (int32_t)total;
		member->is_live = false;
	}
	for (size_t i = 0; i < window->edge_count; i++)
		window->members[window->edges[i]].external--;
	for (uint32_t i = 0; i < window->member_count; i++)
		if (is_held(&window->members[i]))
			cgc__window_save(window, i);
	cgc__window_spread(window);
}
