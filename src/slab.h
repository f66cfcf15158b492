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

void cgc__slab_fill_and_push(struct cgc__slab *slab, struct cgc__header *header);
bool cgc__slab_enter(struct cgc__context *self, struct cgc__slab *slab);
void cgc__slab_remove(struct cgc__context *context, struct cgc__slab *slab);
void cgc__slab_unmap(struct cgc__slab *slab);

/* remote.c */
void cgc__remote_give(struct cgc__context *self, struct cgc__slab *slab, struct cgc__header *header);
void cgc__remote_push(struct cgc__slab *slab, struct cgc__header *first, struct cgc__header *last,
                      uint64_t count);
void cgc__remote_collect(struct cgc__slab *slab);
void cgc__remote_return(struct cgc__context *context, struct cgc__slab *slab);
void cgc__remote_retire(struct cgc__context *self, struct cgc__slab *slab);

/* Smallest class that holds (i + 1) * 16 bytes. */
extern uint8_t cgc__slab_classes[CGC__CELL_LARGEST / 16];
extern const uint16_t cgc__slab_class_bytes[CGC__CLASS_COUNT];

static inline uint32_t cgc__slab_class_of(size_t cell_bytes)
{
	return cell_bytes > CGC__CELL_LARGEST ? CGC__CLASS_LARGE : cgc__slab_classes[(cell_bytes - 1) / 16];
}

/* The owner only. */
static inline void cgc__slab_set_holds(struct cgc__slab *slab, uint8_t clear, uint8_t set)
{
	/* No order needed: own value. */
	uint8_t holds = atomic_load_explicit(&slab->holds, memory_order_relaxed);
	/* HOLD.w: once it reads 0, the background thread may take the slab, after all the owner did with it.
	 * Pairs: HOLD.r in cgc__remote_release_retired(). */
	atomic_store_explicit(&slab->holds, (uint8_t)((holds & ~clear) | set), memory_order_release);
}

static inline struct cgc__header *cgc__slab_next_free(const struct cgc__header *header)
{
	/* No order needed: the list is the reader's own by now. */
	return (struct cgc__header *)atomic_load_explicit(&header->local, memory_order_relaxed);
}

/* The first free cell of a slab that the caller allocates from. */
static inline struct cgc__header *cgc__slab_pop(struct cgc__context *self, struct cgc__slab *slab)
{
	struct cgc__header *header = slab->free;
	/* No order needed: owner only. */
	slab->free = (struct cgc__header *)atomic_load_explicit(&header->local, memory_order_relaxed);
	slab->used++;
	cgc__counter_raise(&self->made[slab->size_class], 1);
	CGC__UNPOISON(header, slab->cell_bytes);
	return header;
}

/* The owner's cell goes to the front of the free ones. */
static inline void cgc__slab_push(struct cgc__slab *slab, struct cgc__header *header)
{
	/* No order needed: owner only. */
	atomic_store_explicit(&header->bias, CGC__FREE, memory_order_relaxed);
	/* No order needed: owner only. */
	atomic_store_explicit(&header->local, (uintptr_t)slab->free, memory_order_relaxed);
	slab->free = header;
	slab->used--;
}

/* An object that is private to the caller (so the slab is its own) and of generation 0 has died by its count:
 * cgc__slab_give(), at once if its slab is allocated from or becomes neither partial nor empty by it. */
static inline void cgc__slab_give_young(struct cgc__context *self, struct cgc__header *header)
{
	struct cgc__slab *slab = cgc__slab_of(header);
	if (__builtin_expect(CGC__POISONS || slab->used <= slab->alone, 0)) {
		cgc__counter_add(self, CGC__DIED_BY_COUNT, 1);
		cgc__slab_give(self, header);
		return;
	}
	cgc__counter_raise(&self->died[slab->size_class], 1);
	if (__builtin_expect(cgc__heap.poison, 0))
		cgc__slab_fill_and_push(slab, header);
	else
		cgc__slab_push(slab, header);
}

#endif
