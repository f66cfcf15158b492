/* SPDX-License-Identifier: MIT
 *
 * All slabs of a context, in an array, those that have held a published object first; and going over them: by the
 * owner, by the background thread for a window, for statistics.
 */
#include <string.h>

#include "slab.h"

/* A new slab; false if memory is out. */
bool cgc__slab_enter(struct cgc__context *self, struct cgc__slab *slab)
{
	bool added = true;
	pthread_mutex_lock(&self->slabs_lock);
	if (self->slab_count == self->slab_capacity) {
		size_t capacity = self->slab_capacity > 0 ? 2 * self->slab_capacity : 16;
		struct cgc__slab **slabs = cgc__memory_get(capacity * sizeof(struct cgc__slab *), 0);
		if (slabs == NULL) {
			added = false;
		} else {
			if (self->slab_count > 0)
				memcpy(slabs, self->slabs, self->slab_count * sizeof(struct cgc__slab *));
			cgc__memory_put(self->slabs, self->slab_capacity * sizeof(struct cgc__slab *));
			self->slabs = slabs;
			self->slab_capacity = capacity;
		}
	}
	if (added) {
		slab->index = (uint32_t)self->slab_count;
		self->slabs[self->slab_count++] = slab;
	}
	pthread_mutex_unlock(&self->slabs_lock);
	return added;
}

/* Puts what is at `from` to `to` and the other way round; slabs_lock is held. */
static void swap_places(struct cgc__context *context, size_t from, size_t to)
{
	struct cgc__slab *moved = context->slabs[from], *other = context->slabs[to];
	context->slabs[to] = moved;
	context->slabs[from] = other;
	moved->index = (uint32_t)to;
	other->index = (uint32_t)from;
}

/* The owner, before the first object in the slab is published. */
void cgc__slab_share(struct cgc__slab *slab)
{
	struct cgc__context *context = slab->context;
	pthread_mutex_lock(&context->slabs_lock);
	slab->is_shared = true;
	swap_places(context, slab->index, context->slab_shared_count++);
	pthread_mutex_unlock(&context->slabs_lock);
}

/* slabs_lock is held: nobody finds the slab any more. */
void cgc__slab_remove(struct cgc__context *context, struct cgc__slab *slab)
{
	if (slab->is_shared)
		swap_places(context, slab->index, --context->slab_shared_count);
	swap_places(context, slab->index, --context->slab_count);
}

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
		if (i < CGC__CLASS_COUNT)
			/* No order needed: statistics. */
			given += atomic_load_explicit(&context->died[i], memory_order_relaxed);
		*made += taken;
		*live += taken - given;
		*live_bytes += i < CGC__CLASS_COUNT ? (taken - given) * cgc__slab_class_bytes[i] : 0;
	}
	/* No order needed: statistics. */
	*live_bytes += atomic_load_explicit(&context->counter[CGC__MADE_LARGE_BYTES], memory_order_relaxed) -
	               /* No order needed: statistics. */
	               atomic_load_explicit(&context->counter[CGC__GIVEN_LARGE_BYTES], memory_order_relaxed);
}
