/* SPDX-License-Identifier: MIT
 *
 * What cgc_debug_verify() says of contexts and slabs: every slab is on the lists that it says it is on, and its cells
 * are free, remote, objects or never used, as many of each as its words say.
 */
#include <inttypes.h>

#include "slab.h"
#include "verify.h"

/* ---- the lists of a context --------------------------------------------------------------------------- */

/* On a list of its context: known, its own, and there for the first time. */
static bool put_in(struct cgc__verify *verify, struct cgc__context *context, struct cgc__slab *slab,
                   enum cgc__verify_list list, const char *name)
{
	struct cgc__verify_slab *entry = cgc__verify_find_slab(verify, slab);
	if (entry == NULL || entry->slab != slab || slab->context != context) {
		cgc__verify_context_is(
			verify, context,
			"%s leads to %p, which is no slab of it: a slab is of one context for ever", name,
			(void *)slab);
		return false;
	}
	if (entry->is_in[list]) {
		cgc__verify_slab_is(verify, slab, "twice in %s: a list has each slab once", name);
		return false;
	}
	entry->is_in[list] = true;
	return true;
}

static void check_classes(struct cgc__verify *verify, struct cgc__context *context)
{
	for (uint32_t i = 0; i < CGC__CLASS_COUNT; i++) {
		struct cgc__slab *current = context->current[i], *previous = NULL;
		if (current != NULL && put_in(verify, context, current, CGC__IN_CURRENT, "current") &&
		    current->size_class != i)
			cgc__verify_slab_is(verify, current, "current of size class %u, its own is %u", i,
			                    current->size_class);
		for (struct cgc__slab *slab = context->partial[i]; slab != NULL; slab = slab->next) {
			if (!put_in(verify, context, slab, CGC__IN_PARTIAL, "partial"))
				break;
			if (slab->previous != previous)
				cgc__verify_slab_is(verify, slab,
				                    "previous is %p, but %p is: partial is linked both ways",
				                    (void *)slab->previous, (void *)previous);
			if (slab->size_class != i)
				cgc__verify_slab_is(verify, slab, "partial of size class %u, its own is %u", i,
				                    slab->size_class);
			if (slab->free == NULL)
				cgc__verify_slab_is(verify, slab,
				                    "partial without a free cell: refill() takes it");
			previous = slab;
		}
	}
}

static void check_lists(struct cgc__verify *verify, struct cgc__context *context)
{
	struct cgc__slab *slab;
	for (slab = context->touched; slab != NULL; slab = slab->touched_next)
		if (!put_in(verify, context, slab, CGC__IN_TOUCHED, "touched"))
			break;
	for (slab = context->elder; slab != NULL; slab = slab->elder_next)
		if (!put_in(verify, context, slab, CGC__IN_ELDER, "elder"))
			break;
	for (slab = context->collected; slab != NULL; slab = slab->returned_next)
		if (!put_in(verify, context, slab, CGC__IN_RETURNED, "collected"))
			break;
	/* No order needed: the heap is quiet. */
	for (slab = atomic_load_explicit(&context->returned, memory_order_relaxed); slab != NULL;
	     slab = slab->returned_next)
		if (!put_in(verify, context, slab, CGC__IN_RETURNED, "returned"))
			break;
}

static void check_slab_array(struct cgc__verify *verify, struct cgc__context *context)
{
	if (context->slab_count > context->slab_capacity || context->slab_shared_count > context->slab_count)
		cgc__verify_context_is(verify, context,
		                       "%zu shared of %zu slabs in an array of %zu: shared <= all <= capacity",
		                       context->slab_shared_count, context->slab_count, context->slab_capacity);
	for (size_t i = 0; i < context->slab_count; i++) {
		const struct cgc__slab *slab = context->slabs[i];
		if (slab->context != context)
			cgc__verify_slab_is(verify, slab,
			                    "of context %p, found in %p: a slab is of one context for ever",
			                    (void *)slab->context, (void *)context);
		if (slab->index != i)
			cgc__verify_slab_is(verify, slab, "its index is %u, its place is %zu: slabs[index]",
			                    slab->index, i);
		if (slab->is_shared != (i < context->slab_shared_count))
			cgc__verify_slab_is(verify, slab,
			                    "%sshared at place %zu, %zu are: the shared come first",
			                    slab->is_shared ? "" : "not ", i, context->slab_shared_count);
	}
}

static void check_idle(struct cgc__verify *verify, const struct cgc__context *context)
{
	if (context->private_bias != CGC__BIAS(context->id, CGC__PRIVATE) ||
	    context->biased_bias != CGC__BIAS(context->id, CGC__BIASED))
		cgc__verify_context_is(verify, context, "biases %#x and %#x are not of its id %u (I2)",
		                       context->private_bias, context->biased_bias, context->id);
	if (context->draining || context->collecting || context->polling || context->in_callback > 0)
		cgc__verify_context_is(
			verify, context,
			"draining, collecting, polling or in a callback: its thread is not quiet");
	if (context->dying != NULL)
		cgc__verify_context_is(verify, context,
		                       "dead objects on its list: each call destroys all that it listed");
	/* No order needed: the heap is quiet. */
	if (atomic_load_explicit(&context->consuming, memory_order_relaxed))
		cgc__verify_context_is(verify, context, "its queue is being consumed: nobody has the try-lock");
}

/* In the pool: no thread allocates from it. */
static void check_left(struct cgc__verify *verify, const struct cgc__context *context)
{
	bool has_slab = context->collected != NULL || context->outgoing != NULL;
	for (unsigned i = 0; i < CGC__CLASS_COUNT; i++)
		has_slab |= context->current[i] != NULL || context->partial[i] != NULL;
	if (has_slab)
		cgc__verify_context_is(verify, context,
		                       "without a thread, and holds a slab: cgc__slab_leave() lets go");
	/* No order needed: the heap is quiet. */
	if (atomic_load_explicit(&context->is_attached, memory_order_relaxed))
		cgc__verify_context_is(verify, context, "attached, and in the pool of those without a thread");
}

void cgc__verify_context(struct cgc__verify *verify, struct cgc__context *context)
{
	check_idle(verify, context);
	check_slab_array(verify, context);
	check_classes(verify, context);
	check_lists(verify, context);
	if (context->id < verify->context_count && verify->is_pooled[context->id])
		check_left(verify, context);
}

/* ---- one slab ------------------------------------------------------------------------------------------ */

static void check_geometry(struct cgc__verify *verify, const struct cgc__verify_slab *entry)
{
	const struct cgc__slab *slab = entry->slab;
	bool is_large = entry->size_class == CGC__CLASS_LARGE;
	uint32_t cell_bytes = is_large ? 0 : (uint32_t)entry->cell_bytes;
	uint32_t reciprocal = is_large ? 0 : (uint32_t)((UINT64_C(1) << 32) / cell_bytes + 1);
	if (slab->size_class != entry->size_class || slab->cell_bytes != cell_bytes ||
	    slab->bytes != entry->bytes || slab->cell_count != entry->cell_count ||
	    slab->cells_offset != entry->cells_offset || slab->reciprocal != reciprocal)
		cgc__verify_slab_is(
			verify, slab,
			"size class %u, %u cells of %u bytes at %u, reciprocal %u, %zu bytes in all: "
			"not what new_slab() makes",
			slab->size_class, slab->cell_count, slab->cell_bytes, slab->cells_offset,
			slab->reciprocal, slab->bytes);
	if (slab->bumped > entry->cell_count || slab->used > entry->bumped)
		cgc__verify_slab_is(verify, slab,
		                    "%u used of %u begun of %u cells: used <= bumped <= cell_count", slab->used,
		                    slab->bumped, entry->cell_count);
	/* all_cells_remote() reads bumped of such slabs in another thread. No order needed: all are quiet. */
	if (!is_large && slab->bumped < entry->cell_count &&
	    (atomic_load_explicit(&slab->holds, memory_order_relaxed) & CGC__HOLD_CURRENT) == 0)
		cgc__verify_slab_is(verify, slab,
		                    "%u of %u cells were never used, but nobody allocates from it",
		                    entry->cell_count - slab->bumped, entry->cell_count);
}

/* Free cells from `header` on; how many. */
static uint32_t walk_free(struct cgc__verify *verify, struct cgc__verify_slab *entry,
                          const struct cgc__header *header, const char *name)
{
	uint32_t count = 0;
	while (header != NULL) {
		struct cgc__verify_cell *cell = cgc__verify_find(verify, header + 1);
		if (cell == NULL || cgc__slab_of(header) != entry->slab) {
			cgc__verify_slab_is(verify, entry->slab,
			                    "%s leads to %p, which is no cell of it that was ever used", name,
			                    (const void *)header);
			return count;
		}
		if (cell->is_free) {
			cgc__verify_slab_is(verify, entry->slab, "cell %p is free twice: free or remote, once",
			                    (const void *)header);
			return count;
		}
		cell->is_free = true;
		count++;
		header = (const struct cgc__header *)(uintptr_t)cgc__verify_word(&header->local);
	}
	return count;
}

/* What the thread has freed of another's slab and not yet pushed. */
void cgc__verify_outgoing(struct cgc__verify *verify, struct cgc__context *context)
{
	if (context->outgoing == NULL)
		return;
	struct cgc__verify_slab *entry = cgc__verify_find_slab(verify, context->outgoing);
	if (entry == NULL || entry->slab->context == context) {
		cgc__verify_context_is(verify, context, "outgoing is %p, which is no slab of another context",
		                       (const void *)context->outgoing);
		return;
	}
	uint32_t count = walk_free(verify, entry, context->outgoing_first, "outgoing");
	entry->outgoing += count;
	if (count != context->outgoing_count)
		cgc__verify_context_is(verify, context, "%u cells in outgoing, outgoing_count says %u", count,
		                       context->outgoing_count);
}

static void compare_list(struct cgc__verify *verify, const struct cgc__slab *slab, bool says, bool is_in,
                         const char *what)
{
	if (says != is_in)
		cgc__verify_slab_is(verify, slab, "%s it says, but it is%s on the list: they go together", what,
		                    is_in ? "" : " not");
}

static void check_lists_of(struct cgc__verify *verify, const struct cgc__verify_slab *entry)
{
	const struct cgc__slab *slab = entry->slab;
	/* No order needed: the heap is quiet. */
	uint8_t holds = atomic_load_explicit(&slab->holds, memory_order_relaxed);
	const struct {
		bool says, is_in;
		const char *yes, *no;
	} lists[] = {
		{holds & CGC__HOLD_CURRENT, entry->is_in[CGC__IN_CURRENT], "current", "not current"},
		{slab->is_partial, entry->is_in[CGC__IN_PARTIAL], "partial", "not partial"},
		{holds & CGC__HOLD_TOUCHED, entry->is_in[CGC__IN_TOUCHED], "touched", "not touched"},
		{holds & CGC__HOLD_ELDER, entry->is_in[CGC__IN_ELDER], "elder", "not elder"},
		{cgc__verify_word(&slab->remote) != 0, entry->is_in[CGC__IN_RETURNED], "remote cells",
	         "no remote cells"},
	};
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		compare_list(verify, slab, lists[i].says, lists[i].is_in,
		             lists[i].says ? lists[i].yes : lists[i].no);
	if ((holds & ~(CGC__HOLD_CURRENT | CGC__HOLD_TOUCHED | CGC__HOLD_ELDER)) != 0)
		cgc__verify_slab_is(verify, slab, "holds is %#x: nobody walks to it now", holds);
	uint32_t alone = (holds & CGC__HOLD_CURRENT) != 0 ? CGC__ALONE_CURRENT
	                 : slab->is_partial               ? CGC__ALONE_PARTIAL
	                                                  : CGC__ALONE_NEVER;
	if (slab->alone != alone)
		cgc__verify_slab_is(
			verify, slab,
			"alone is %#x, by its lists it is %#x: it would be lost, or given back while in use",
			slab->alone, alone);
	if (entry->is_in[CGC__IN_CURRENT] && entry->is_in[CGC__IN_PARTIAL])
		cgc__verify_slab_is(verify, slab, "current and partial: refill() would take it twice");
}

static void check_unused(struct cgc__verify *verify, const struct cgc__verify_slab *entry)
{
	const struct cgc__slab *slab = entry->slab;
	for (uint32_t i = entry->bumped; i < entry->cell_count; i++)
		/* No order needed: the heap is quiet. */
		if (atomic_load_explicit(&slab->generation[i], memory_order_relaxed) != 0) {
			cgc__verify_slab_is(verify, slab, "cell %u was never used and is not of generation 0",
			                    i);
			return;
		}
	for (uint32_t i = 0; slab->window_map != NULL && i < entry->cell_count; i++)
		if (slab->window_map[i] != 0) {
			cgc__verify_slab_is(verify, slab,
			                    "cell %u is still in a window: window_map is all zero", i);
			return;
		}
}

static const struct cgc__header *last_of(const struct cgc__header *first)
{
	const struct cgc__header *last = NULL;
	for (; first != NULL; first = cgc__slab_next_free(first))
		last = first;
	return last;
}

/* Its word: how many, the last's offset, the first's; how many there are. */
static uint32_t check_remote(struct cgc__verify *verify, struct cgc__verify_slab *entry)
{
	const struct cgc__slab *slab = entry->slab;
	uint64_t word = cgc__verify_word(&slab->remote);
	const void *first = word != 0 ? (const char *)slab + (word & 0xffff) : NULL;
	const void *last = word != 0 ? (const char *)slab + (word >> 16 & 0xffff) : NULL;
	uint32_t remote = walk_free(verify, entry, first, "remote");
	if (remote != word >> 32)
		cgc__verify_slab_is(verify, slab, "%u cells in remote, its word says %" PRIu64, remote,
		                    word >> 32);
	else if (remote != entry->bumped && last_of(first) != last)
		cgc__verify_slab_is(verify, slab, "the last cell in remote is not %p, as its word says", last);
	return remote;
}

void cgc__verify_slab(struct cgc__verify *verify, struct cgc__verify_slab *entry)
{
	struct cgc__slab *slab = entry->slab;
	check_geometry(verify, entry);
	check_lists_of(verify, entry);
	check_unused(verify, entry);
	uint32_t free = walk_free(verify, entry, slab->free, "free");
	if (slab->used <= entry->bumped && free != entry->bumped - slab->used)
		cgc__verify_slab_is(verify, slab, "%u cells in free, but %u of %u are used: used says how many",
		                    free, slab->used, entry->bumped);
	uint32_t remote = check_remote(verify, entry);
	uint32_t objects = entry->bumped - free - remote - entry->outgoing;
	verify->objects[entry->size_class] += objects;
	if (entry->size_class == CGC__CLASS_LARGE)
		verify->large_bytes += objects * entry->cell_bytes;
}
