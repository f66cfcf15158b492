/* SPDX-License-Identifier: MIT
 *
 * Cells that others free than the slab's owner, and slabs that go back by them.
 *
 * Who frees another's cell keeps it back until there are a few of that slab, and pushes them on the slab's remote
 * stack. The push that finds the stack empty also puts the slab on its context's `returned` stack, once, where the
 * owner picks it up when it runs out. A slab whose cells are all on its remote stack is taken from `returned` by the
 * background thread, so that an owner that sleeps for ever keeps no memory.
 * Model: tests/model/slab.pml.
 */
#include "pause.h"
#include "slab.h"

/* So many bytes of another thread's cells a thread keeps back at the most. */
#define OUTGOING_BYTES 4096

/* slab.remote: how many cells[63:32] offsets of the last[31:16] and the first[15:0]; 0 is none. */
static uint64_t offset_of(const struct cgc__slab *slab, const struct cgc__header *header)
{
	return (uint64_t)((uintptr_t)header - (uintptr_t)slab);
}

static uint64_t remote_word(uint64_t first, uint64_t last, uint64_t count)
{
	return count << 32 | last << 16 | first;
}

static uint64_t count_in(uint64_t word)
{
	return word >> 32;
}

static uint64_t last_in(uint64_t word)
{
	return word >> 16 & 0xffff;
}

static struct cgc__header *cell_at(const struct cgc__slab *slab, uint64_t offset)
{
	return offset != 0 ? (struct cgc__header *)((uintptr_t)slab + offset) : NULL;
}

static struct cgc__header *first_in(const struct cgc__slab *slab, uint64_t word)
{
	return cell_at(slab, word & 0xffff);
}

/* Owner: takes what others freed, all at once. */
void cgc__remote_collect(struct cgc__slab *slab)
{
	/* REMOTE.r: what the freeing threads wrote to the cells. Release: our look at returned_next, before another
	 * thread that finds the stack empty returns the slab again. Pairs: REMOTE.w in cgc__remote_push(). */
	uint64_t word = atomic_exchange_explicit(&slab->remote, 0, memory_order_acq_rel);
	cgc__pause("remote.collected");
	if (word == 0)
		return;
	slab->used -= (uint32_t)count_in(word);
	if (slab->free != NULL)
		/* No order needed: owner only. */
		atomic_store_explicit(&cell_at(slab, last_in(word))->local, (uintptr_t)slab->free,
		                      memory_order_relaxed);
	slab->free = first_in(slab, word);
}

void cgc__remote_return(struct cgc__context *context, struct cgc__slab *slab)
{
	/* No order needed: the exchange below checks it. */
	struct cgc__slab *head = atomic_load_explicit(&context->returned, memory_order_relaxed);
	do {
		slab->returned_next = head;
		/* RETURNED.w. Pairs: RETURNED.r in collect_returned() and cgc__remote_release_retired(). */
	} while (!atomic_compare_exchange_weak_explicit(&context->returned, &head, slab, memory_order_release,
	                                                memory_order_relaxed));
}

/* Owner: an empty slab that it holds for nothing and has in no list, as if others had emptied it. The slab has no other
 * cells that could follow their last, so it is not looked for. */
void cgc__remote_retire(struct cgc__context *self, struct cgc__slab *slab)
{
	uint64_t first = offset_of(slab, slab->free), cells = remote_word(first, first, slab->bumped);
	slab->free = NULL;
	slab->used = slab->bumped;
	/* REMOTE.w. Pairs: REMOTE.r in all_cells_remote(). */
	atomic_store_explicit(&slab->remote, cells, memory_order_release);
	cgc__pause("remote.retired");
	cgc__remote_return(self, slab);
}

/* A chain of cells of one slab goes on its remote stack. */
void cgc__remote_push(struct cgc__slab *slab, struct cgc__header *first, struct cgc__header *last,
                      uint64_t count)
{
	struct cgc__context *context = slab->context;
	/* No order needed: the exchange below checks it. */
	uint64_t head = atomic_load_explicit(&slab->remote, memory_order_relaxed);
	uint64_t word;
	do {
		word = remote_word(offset_of(slab, first), head != 0 ? last_in(head) : offset_of(slab, last),
		                   count_in(head) + count);
		/* No order needed: the exchange below publishes it. */
		atomic_store_explicit(&last->local, (uintptr_t)first_in(slab, head), memory_order_relaxed);
		/* REMOTE.w: the links, and that the objects are over, before the cells can be used again. The
		 * acquire half is for the slab that follows an empty stack: taken by the owner, returned again by
		 * us. Pairs: REMOTE.r in cgc__remote_collect() and all_cells_remote(). */
	} while (!atomic_compare_exchange_weak_explicit(&slab->remote, &head, word, memory_order_acq_rel,
	                                                memory_order_relaxed));
	cgc__pause("remote.given");
	/* The slab cannot go away before it is returned: its cells are on the stack, and who empties the stack
	 * found the slab in `returned`. */
	if (head == 0)
		cgc__remote_return(context, slab);
}

/* What the caller has freed of another thread's and kept back. */
void cgc__remote_send(struct cgc__context *self)
{
	struct cgc__slab *slab = self->outgoing;
	if (slab == NULL)
		return;
	self->outgoing = NULL;
	cgc__remote_push(slab, self->outgoing_first, self->outgoing_last, self->outgoing_count);
}

/* Cells of one slab are kept back until there are enough of them: one exchange for all, and the slab's line moves
 * between the processors once. */
void cgc__remote_give(struct cgc__context *self, struct cgc__slab *slab, struct cgc__header *header)
{
	if (self->outgoing != slab) {
		cgc__remote_send(self);
		self->outgoing = slab;
		self->outgoing_first = NULL;
		self->outgoing_last = header;
		self->outgoing_count = 0;
	}
	/* No order needed: cgc__remote_push() publishes it. */
	atomic_store_explicit(&header->local, (uintptr_t)self->outgoing_first, memory_order_relaxed);
	self->outgoing_first = header;
	if (++self->outgoing_count * slab->cell_bytes >= OUTGOING_BYTES || slab->size_class == CGC__CLASS_LARGE)
		cgc__remote_send(self);
}

static bool all_cells_remote(struct cgc__slab *slab)
{
	/* REMOTE.r: all that was done to the cells. Pairs: REMOTE.w in cgc__remote_push() and cgc__remote_retire(). */
	return count_in(atomic_load_explicit(&slab->remote, memory_order_acquire)) == slab->bumped;
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
	cgc__pause("remote.release_decided");
	if (is_over)
		cgc__slab_unmap(slab);
	return is_over;
}

/* Background thread, no window open: gives back the slabs that others have emptied. A slab off the returned
 * stack whose cells are all remote is in no list of its owner's, unless it is held. */
void cgc__remote_release_retired(struct cgc__context *self)
{
	cgc__remote_send(self);
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next) {
		/* RETURNED.r. Pairs: RETURNED.w in cgc__remote_return(). */
		struct cgc__slab *slab =
			atomic_exchange_explicit(&context->returned, NULL, memory_order_acquire);
		cgc__pause("remote.returned_taken");
		while (slab != NULL) {
			struct cgc__slab *next = slab->returned_next;
			if (!try_release(context, slab))
				cgc__remote_return(context, slab);
			slab = next;
		}
	}
}
