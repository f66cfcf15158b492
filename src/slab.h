/* SPDX-License-Identifier: MIT
 *
 * The fast path of allocation, and what AddressSanitizer is told about cells.
 */
#ifndef CGC_SLAB_H
#define CGC_SLAB_H

#include "heap.h"

#if defined(__SANITIZE_ADDRESS__)
#define CGC__ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CGC__ADDRESS_SANITIZER 1
#endif
#endif

#ifdef CGC__ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#define CGC__POISONS true
#define CGC__POISON(address, bytes) ASAN_POISON_MEMORY_REGION(address, bytes)
#define CGC__UNPOISON(address, bytes) ASAN_UNPOISON_MEMORY_REGION(address, bytes)
#else
#define CGC__POISONS false
#define CGC__POISON(address, bytes) ((void)0)
#define CGC__UNPOISON(address, bytes) ((void)0)
#endif

struct cgc__header *cgc__slab_take_slow(struct cgc__context *self, uint32_t size_class);
uint32_t cgc__slab_class_of(size_t cell_bytes);
extern const uint16_t cgc__slab_class_bytes[CGC__CLASS_COUNT];

/* The owner only. */
static inline void cgc__slab_set_holds(struct cgc__slab *slab, uint8_t clear, uint8_t set)
{
	/* No order needed: own value. */
	uint8_t holds = atomic_load_explicit(&slab->holds, memory_order_relaxed);
	/* HOLD.w: once it reads 0, the background thread may take the slab, after all the owner did with it.
	 * Pairs: HOLD.r in cgc__slab_release_retired(). */
	atomic_store_explicit(&slab->holds, (uint8_t)((holds & ~clear) | set), memory_order_release);
}

static inline bool cgc__slab_is_exhausted(const struct cgc__slab *slab)
{
	return slab->free == NULL && slab->bumped == slab->cell_count;
}

/* A cell of that size, header and contents undefined; NULL if memory is out. */
static inline struct cgc__header *cgc__slab_take_class(struct cgc__context *self, uint32_t size_class)
{
	struct cgc__slab *slab = self->current[size_class];
	if (__builtin_expect(slab == NULL || cgc__slab_is_exhausted(slab), 0))
		return cgc__slab_take_slow(self, size_class);
	struct cgc__header *header = slab->free;
	if (header != NULL)
		/* No order needed: owner only. */
		slab->free = (struct cgc__header *)atomic_load_explicit(&header->local, memory_order_relaxed);
	else
		header = cgc__slab_header(slab, slab->bumped++);
	slab->used++;
	cgc__counter_raise(&self->made[size_class], 1);
	CGC__UNPOISON(header, slab->cell_bytes);
	return header;
}

/* cgc__slab_give() for the common case: the caller's own cell, of generation 0, in a slab it allocates from. */
static inline void cgc__slab_give_young(struct cgc__context *self, struct cgc__header *header)
{
	struct cgc__slab *slab = cgc__slab_of(header);
	if (__builtin_expect(slab->context != self || CGC__POISONS || cgc__heap.poison ||
	                             !cgc__slab_is_held(slab, CGC__HOLD_CURRENT),
	                     0)) {
		cgc__slab_give(self, header);
		return;
	}
	cgc__counter_raise(&self->given[slab->size_class], 1);
	/* No order needed: owner only. */
	atomic_store_explicit(&header->bias, CGC__FREE, memory_order_relaxed);
	/* No order needed: owner only. */
	atomic_store_explicit(&header->local, (uintptr_t)slab->free, memory_order_relaxed);
	slab->free = header;
	slab->used--;
}

#endif
