/* SPDX-License-Identifier: MIT
 *
 * What cgc_debug_verify() says of queues: as many entries as they count, each for an object whose memory waits. How
 * many there are of each object is noted for verify_object.c. Nothing is consumed.
 */
#include <inttypes.h>

#include "grace.h"
#include "verify.h"

/* The published object of an entry, or NULL with a complaint. */
static struct cgc__verify_cell *entry_of(struct cgc__verify *verify, struct cgc__context *context,
                                         const void *object, const char *name)
{
	struct cgc__verify_cell *cell = cgc__verify_find(verify, object);
	if (cell != NULL && cgc__verify_is_object(cell, cgc__header_of(object)) &&
	    cgc__verify_kind(cgc__header_of(object)) != CGC__PRIVATE)
		return cell;
	cgc__verify_context_is(verify, context,
	                       "%s has an entry for %p, which is no published object: memory waits for it (I6)",
	                       name, object);
	return NULL;
}

static void see_suspect(struct cgc__verify *verify, struct cgc__context *context,
                        const struct cgc__entry *entry)
{
	struct cgc__verify_cell *cell = entry_of(verify, context, entry->object, "suspects");
	if (cell != NULL)
		cell->suspects = (uint8_t)(cell->suspects > 0 ? 2 : 1);
}

static void see_pending(struct cgc__verify *verify, struct cgc__context *context,
                        const struct cgc__entry *entry)
{
	struct cgc__verify_cell *cell = entry_of(verify, context, entry->object, "pending");
	verify->waiting++;
	if (cell == NULL)
		return;
	cell->pending = (uint8_t)(cell->pending > 0 ? 2 : 1);
	verify->waiting_bytes += cgc__verify_find_slab(verify, entry->object)->cell_bytes;
	uint64_t shared = cgc__verify_word(&cgc__header_of(entry->object)->shared);
	if ((entry->word & (CGC__QUEUED | CGC__DEAD)) == 0 || ((entry->word ^ shared) & CGC__DEAD) != 0 ||
	    (entry->word & ~shared & CGC__MERGED) != 0)
		cgc__verify_object_is(verify, entry->object,
		                      "queued with %#" PRIx64 ", its word is %#" PRIx64
		                      ": an entry is of one that is queued, or dead, and still is",
		                      entry->word, shared);
}

/* Calls `see` for each entry; what is wrong with the chunks themselves. */
static void walk_queue(struct cgc__verify *verify, struct cgc__context *context, const struct cgc__queue *queue,
                       const char *name,
                       void (*see)(struct cgc__verify *verify, struct cgc__context *context,
                                   const struct cgc__entry *entry))
{
	/* No order needed, here and below: the heap is quiet. */
	const struct cgc__chunk *first = atomic_load_explicit(&queue->first, memory_order_relaxed),
				*last = NULL;
	uint64_t entries = 0;
	for (const struct cgc__chunk *chunk = queue->head != NULL ? queue->head : first; chunk != NULL;) {
		/* No order needed: as above. */
		uint32_t filled = atomic_load_explicit(&chunk->filled, memory_order_relaxed);
		/* No order needed: as above. */
		const struct cgc__chunk *next = atomic_load_explicit(&chunk->next, memory_order_relaxed);
		if (chunk->taken > filled || filled > chunk->limit || chunk->limit > CGC__CHUNK_ENTRIES ||
		    (next != NULL && filled < chunk->limit)) {
			cgc__verify_context_is(verify, context,
			                       "%s has a chunk with %u taken of %u entries, %u fit: taken <= "
			                       "filled <= limit, and full if it is not the last",
			                       name, chunk->taken, filled, chunk->limit);
			return;
		}
		for (uint32_t i = chunk->taken; i < filled; i++)
			see(verify, context, &chunk->entries[i]);
		entries += filled - chunk->taken;
		last = chunk;
		chunk = next;
	}
	if (last != queue->tail)
		cgc__verify_context_is(verify, context, "the last chunk of %s is %p, tail is %p", name,
		                       (const void *)last, (void *)queue->tail);
	uint64_t pushed = cgc__verify_word(&queue->pushed), popped = cgc__verify_word(&queue->popped);
	if (pushed - popped != entries)
		cgc__verify_context_is(verify, context,
		                       "%s has %" PRIu64 " entries, its length is %" PRId64
		                       ": pushed - popped is the length",
		                       name, entries, (int64_t)(pushed - popped));
}

void cgc__verify_queues(struct cgc__verify *verify, struct cgc__context *context)
{
	uint64_t pushed = cgc__verify_word(&context->pending.pushed);
	uint64_t popped = cgc__verify_word(&context->pending.popped);
	walk_queue(verify, context, &context->suspects, "suspects", see_suspect);
	walk_queue(verify, context, &context->pending, "pending", see_pending);
	if (context->pending_sealed < popped || context->pending_sealed > pushed)
		cgc__verify_context_is(verify, context,
		                       "pending is sealed up to %" PRIu64 ", %" PRIu64 " pushed, %" PRIu64
		                       " popped: popped <= sealed <= pushed",
		                       context->pending_sealed, pushed, popped);
	if (context->pending_epoch > cgc__verify_word(&cgc__grace_started) + 1)
		cgc__verify_context_is(verify, context,
		                       "pending waits for grace period %" PRIu64
		                       ", which is not the next one: SEAL",
		                       context->pending_epoch);
}

void cgc__verify_overflow(struct cgc__verify *verify)
{
	/* No order needed: the heap is quiet. */
	const struct cgc__header *header = atomic_load_explicit(&cgc__heap.overflow, memory_order_relaxed);
	while (header != NULL) {
		struct cgc__verify_cell *cell = cgc__verify_find(verify, header + 1);
		if (cell == NULL || cell->is_overflow || !cgc__verify_is_object(cell, header) ||
		    (cgc__verify_word(&header->shared) & (CGC__MERGED | CGC__DEAD)) == 0) {
			cgc__verify_heap_is(
				verify,
				"overflow leads to %p: each is there once, and merged or dead, as local "
				"is the link",
				(const void *)(header + 1));
			return;
		}
		cell->is_overflow = true;
		verify->waiting++;
		verify->waiting_bytes += cgc__verify_find_slab(verify, header)->cell_bytes;
		header = (const struct cgc__header *)(uintptr_t)cgc__verify_word(&header->local);
	}
}
