/* SPDX-License-Identifier: MIT
 *
 * The server's memory over libcgc. See memory.h.
 */
#ifndef SERVER_MEMORY_CGC_H
#define SERVER_MEMORY_CGC_H

#include <cgc.h>

typedef struct cgc_type mem_type;

#define OWN(T) cgc_ref(T)
#define LINK(T) cgc_ref(T)

#define MEM_MARK
#define mem_enter() cgc_read_lock()
#define mem_leave() cgc_read_unlock()
#define mem_get(slot) cgc_borrow(slot)
#define mem_put(object, slot, value) cgc_store_consume(object, slot, value)
#define mem_take(object, slot) cgc_exchange(object, slot, NULL)
#define mem_link(object, slot, value) cgc_store(object, slot, value)
#define mem_chain(object, slot, value) cgc_store_consume(object, slot, value)
#define mem_unchain(object, slot, value, next) cgc_store(object, slot, next)
#define mem_take_first(object, slot, value, next) cgc_exchange(object, slot, cgc_retain(next))
#define mem_end(value) cgc_release(value)
#define mem_end_shared(value, is_kept) cgc_release(value)
#define mem_new(type) cgc_new(type)
#define mem_new_bytes(type, count) cgc_new_n(type, count)
#define mem_new_slots(type, count) cgc_new_n(type, count)

#endif
