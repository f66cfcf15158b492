/* SPDX-License-Identifier: MIT
 *
 * The server's memory over bdwgc: what nothing refers to is found by tracing; every thread stops for it. See memory.h.
 */
#ifndef SERVER_MEMORY_BDWGC_H
#define SERVER_MEMORY_BDWGC_H

#include <stdatomic.h>

typedef struct bdwgc_type {
	size_t size;
	bool has_references;
} mem_type;

#define OWN(T)                        \
	union {                       \
		_Atomic(void *) word; \
		T *const type;        \
	}
#define LINK(T) OWN(T)

static inline void *bdwgc_get(_Atomic(void *) *slot)
{
	/* PUBLISH.r: an object's contents before its address. Pairs: PUBLISH.w in bdwgc_set(). */
	return atomic_load_explicit(slot, memory_order_acquire);
}

static inline void bdwgc_set(_Atomic(void *) *slot, void *value)
{
	/* PUBLISH.w. Pairs: PUBLISH.r in bdwgc_get(). */
	atomic_store_explicit(slot, value, memory_order_release);
}

static inline void *bdwgc_unchain(_Atomic(void *) *slot, void *value, void *next)
{
	bdwgc_set(slot, next);
	return value;
}

void *bdwgc_new(const mem_type *type, size_t more);

#define MEM_MARK
#define mem_enter() ((void)0)
#define mem_leave() ((void)0)
#define mem_get(slot) ((__typeof__((slot)->type))bdwgc_get(&(slot)->word))
#define mem_put(object, slot, value) bdwgc_set(&(slot)->word, value)
#define mem_link(object, slot, value) bdwgc_set(&(slot)->word, value)
#define mem_chain(object, slot, value) bdwgc_set(&(slot)->word, value)
#define mem_unchain(object, slot, value, next) ((void)bdwgc_unchain(&(slot)->word, value, next))
#define mem_take_first(object, slot, value, next) bdwgc_unchain(&(slot)->word, value, next)
#define mem_end(value) ((void)(value))
#define mem_end_shared(value, is_kept) ((void)(is_kept))
#define mem_new(type) bdwgc_new(type, 0)
#define mem_new_bytes(type, count) bdwgc_new(type, count)
#define mem_new_slots(type, count) bdwgc_new(type, (count) * sizeof(void *))

#endif
