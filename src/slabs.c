/* SPDX-License-Identifier: MIT
 *
 * Going over all slabs of a context: by its owner, by the background thread for a window, for statistics.
 */
#include <string.h>

#include "slab.h"

/* Background thread: the slabs of a context that have held a published object, if they are at most `capacity`;
 * returns how many there are. The lock is held for one copy of pointers. */
size_t cgc__slab_snapshot(struct cgc__context *context, struct cgc__slab **out, size_t capacity)
{
	pthread_mutex_lock(&context->slabs_lock);
	size_t count = context->slab_shared_count;
	if (count <= capacity && count > 0)
		memcpy(out, context->slabs, count * sizeof(struct cgc__slab *));
	pthread_mutex_unlock(&context->slabs_lock);
	return count;
}

/* The owner: its slabs, from the last to the first, each held until the next call. `position` begins as SIZE_MAX,
 * `previous` as NULL; the end is NULL. A slab that leaves the array, or moves forward by being shared, leaves
 * another one in its place, which is visited then. */
struct cgc__slab *cgc__slab_walk(struct cgc__context *self, size_t *position, struct cgc__slab *previous)
{
	struct cgc__slab *slab = NULL;
	pthread_mutex_lock(&self->slabs_lock);
	if (previous != NULL) {
		cgc__slab_set_holds(previous, CGC__HOLD_WALK, 0);
		if (previous->index == *position - 1)
			--*position;
	}
	if (*position > self->slab_count)
		*position = self->slab_count;
	if (*position > 0) {
		slab = self->slabs[*position - 1];
		cgc__slab_set_holds(slab, 0, CGC__HOLD_WALK);
	}
	pthread_mutex_unlock(&self->slabs_lock);
	return slab;
}

/* Adds a context's numbers: cells taken, and taken but not given back. What one thread has taken another may give
 * back, so only the sum over all contexts means something. */
void cgc__slab_sum(struct cgc__context *context, uint64_t *made, uint64_t *live, uint64_t *live_bytes)
{
	for (unsigned i = 0; i <= CGC__CLASS_COUNT; i++) {
		/* No order needed: statistics. */
		uint64_t taken = atomic_load_explicit(&context->made[i], memory_order_relaxed);
		/* No order needed: statistics. */
		uint64_t given = atomic_load_explicit(&context->given[i], memory_order_relaxed);
		*made += taken;
		*live += taken - given;
		*live_bytes += i < CGC__CLASS_COUNT ? (taken - given) * cgc__slab_class_bytes[i] : 0;
	}
	/* No order needed: statistics. */
	*live_bytes += atomic_load_explicit(&context->counter[CGC__MADE_LARGE_BYTES], memory_order_relaxed) -
	               /* No order needed: statistics. */
	               atomic_load_explicit(&context->counter[CGC__GIVEN_LARGE_BYTES], memory_order_relaxed);
}
