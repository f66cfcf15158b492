/* SPDX-License-Identifier: MIT
 *
 * An unbounded queue in chunks: one producer, one consumer at a time. Who may consume is settled by the
 * caller (context.consuming); the hand-over between consumers orders their plain fields.
 */
#include "pause.h"

static size_t chunk_bytes(uint32_t limit)
{
	return sizeof(struct cgc__chunk) + limit * sizeof(struct cgc__entry);
}

static struct cgc__chunk *new_chunk(void)
{
	uint32_t limit = cgc__heap.chunk_entries;
	struct cgc__chunk *chunk = cgc__memory_get(chunk_bytes(limit), 0);
	if (chunk == NULL)
		return NULL;
	/* No order needed: not reachable yet. */
	atomic_store_explicit(&chunk->next, NULL, memory_order_relaxed);
	/* No order needed: not reachable yet. */
	atomic_store_explicit(&chunk->filled, 0, memory_order_relaxed);
	chunk->taken = 0;
	chunk->limit = limit;
	return chunk;
}

/* False if there is no memory for another chunk: nothing was pushed. */
bool cgc__queue_push(struct cgc__queue *queue, void *object, uint64_t word)
{
	struct cgc__chunk *tail = queue->tail;
	/* No order needed: only the producer writes it. */
	uint32_t filled = tail != NULL ? atomic_load_explicit(&tail->filled, memory_order_relaxed) : 0;
	if (tail == NULL || filled == tail->limit) {
		struct cgc__chunk *chunk = new_chunk();
		if (chunk == NULL)
			return false;
		/* CHUNK.w: the chunk before its address. Pairs: CHUNK.r in pop. */
		atomic_store_explicit(tail != NULL ? &tail->next : &queue->first, chunk, memory_order_release);
		queue->tail = tail = chunk;
		filled = 0;
	}
	tail->entries[filled] = (struct cgc__entry){object, word};
	cgc__pause("queue.entry_written");
	/* ENTRY.w: the entry before its number. Pairs: ENTRY.r in pop. */
	atomic_store_explicit(&tail->filled, filled + 1, memory_order_release);
	/* LENGTH.w: only the producer writes it; release so that a length seen is a length that can be
	 * popped. Pairs: LENGTH.r in cgc__queue_length(). */
	atomic_store_explicit(&queue->pushed, atomic_load_explicit(&queue->pushed, memory_order_relaxed) + 1,
	                      memory_order_release);
	return true;
}

bool cgc__queue_pop(struct cgc__queue *queue, struct cgc__entry *entry)
{
	if (queue->head == NULL)
		/* CHUNK.r. Pairs: CHUNK.w in push. */
		queue->head = atomic_load_explicit(&queue->first, memory_order_acquire);
	struct cgc__chunk *head = queue->head;
	if (head != NULL && head->taken == head->limit) {
		/* CHUNK.r. Pairs: CHUNK.w in push. */
		struct cgc__chunk *next = atomic_load_explicit(&head->next, memory_order_acquire);
		if (next == NULL)
			return false;
		cgc__memory_put(head, chunk_bytes(head->limit));
		queue->head = head = next;
	}
	/* ENTRY.r. Pairs: ENTRY.w in push. */
	if (head == NULL || head->taken == atomic_load_explicit(&head->filled, memory_order_acquire))
		return false;
	*entry = head->entries[head->taken++];
	/* No order needed: only consumers write it, one at a time; readers want a number. */
	uint64_t popped = atomic_load_explicit(&queue->popped, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&queue->popped, popped + 1, memory_order_relaxed);
	return true;
}

uint64_t cgc__queue_length(struct cgc__queue *queue)
{
	/* LENGTH.r, popped first so that the difference is never negative. Pairs: LENGTH.w in push. */
	uint64_t popped = atomic_load_explicit(&queue->popped, memory_order_acquire);
	/* LENGTH.r. Pairs: LENGTH.w in push. */
	return atomic_load_explicit(&queue->pushed, memory_order_acquire) - popped;
}
