/* SPDX-License-Identifier: MIT
 *
 * The server's memory by hand: jemalloc, and liburcu for what others may still be reading. See memory.h.
 */
#ifndef SERVER_MEMORY_MANUAL_H
#define SERVER_MEMORY_MANUAL_H

#include <stdatomic.h>

#define _LGPL_SOURCE
#include <urcu/urcu-memb.h>

/* `end` ends what an object owns and frees nothing else; each type has its own, in types_manual.c. */
typedef struct manual_type {
	size_t size; /* of the struct */
	void (*end)(void *object);
	bool is_shared; /* has no owner for all of its life: graph_manual.c */
} mem_type;

#define OWN(T)                        \
	union {                       \
		_Atomic(void *) word; \
		T *const type;        \
	}
#define LINK(T) OWN(T)

/* PUBLISH: an object's contents before its address. */
static inline void *manual_get(_Atomic(void *) *slot)
{
	/* PUBLISH.r. Pairs: PUBLISH.w in manual_set() and manual_put(). */
	return atomic_load_explicit(slot, memory_order_acquire);
}

static inline void manual_set(_Atomic(void *) *slot, void *value)
{
	/* PUBLISH.w. Pairs: PUBLISH.r in manual_get(). */
	atomic_store_explicit(slot, value, memory_order_release);
}

void *manual_new(const mem_type *type, size_t more);
/* After a grace period: by liburcu's thread. */
void manual_retire(void *object);
/* Of a shared object: its owner ends, or nothing reaches it any more. */
void manual_retire_shared(void *object);
bool manual_is_owned(void *object);
void graph_manual_add(void *node);
void graph_manual_ended(void);
int graph_manual_start(void);
void graph_manual_stop(void);
/* Nobody reads it any more: now, with all it owns. */
void manual_end(void *object);

static inline void manual_put(_Atomic(void *) *slot, void *value)
{
	/* PUBLISH.w. Only the holder of a lock writes the slot. Pairs: PUBLISH.r in manual_get(). */
	void *old = atomic_exchange_explicit(slot, value, memory_order_acq_rel);
	if (old != NULL)
		manual_retire(old);
}

static inline void *manual_unchain(_Atomic(void *) *slot, void *value, void *next)
{
	manual_set(slot, next);
	return value;
}

#define MEM_MARK bool is_marked;
#define mem_enter() urcu_memb_read_lock()
#define mem_leave() urcu_memb_read_unlock()
#define mem_get(slot) ((__typeof__((slot)->type))manual_get(&(slot)->word))
#define mem_put(object, slot, value) manual_put(&(slot)->word, value)
#define mem_link(object, slot, value) manual_set(&(slot)->word, value)
#define mem_chain(object, slot, value) manual_set(&(slot)->word, value)
#define mem_unchain(object, slot, value, next) manual_retire(manual_unchain(&(slot)->word, value, next))
#define mem_take_first(object, slot, value, next) manual_unchain(&(slot)->word, value, next)
#define mem_end(value) manual_retire(value)
#define mem_end_shared(value, is_kept) ((void)(is_kept), manual_retire(value))
#define mem_new(type) manual_new(type, 0)
#define mem_new_bytes(type, count) manual_new(type, count)
#define mem_new_slots(type, count) manual_new(type, (count) * sizeof(void *))

#endif
