/* SPDX-License-Identifier: MIT
 *
 * What the server asks of its memory manager. It is built three times, over libcgc, over malloc and free by hand, and
 * over bdwgc, from the same sources; this is all they see of the difference (-DMEMORY_CGC, _MANUAL, _BDWGC).
 *
 * The rules are those of the strictest of the three, manual memory:
 *   - Every object has one owner: a variable, or an OWN field of another object or root. Giving an OWN field another
 *     value ends the old one, with all that it owns. A LINK field refers to an object that somebody else owns, and is
 *     cleared before that ends.
 *   - Other threads may still be reading what ends, in sections (mem_enter, mem_leave); it stays intact until they
 *     leave. Nothing that a section got is used after it.
 * Over libcgc both kinds of field are counted references, and ending an object only lets go of it.
 *
 *   OWN(T), LINK(T)              fields of objects, and roots
 *   mem_get(&slot)               what a field refers to: valid in this section, or as long as the lock that guards it
 *   mem_put(object, &slot, v)    gives an owned value, or NULL, to an OWN field; NULL as object for a root
 *   mem_take(object, &slot)      takes the value out of an OWN field, which is NULL then
 *   mem_link(object, &slot, v)   sets a LINK field
 *   mem_chain(object, &slot, v)  puts an owned value into a field of a chain: nothing ends, the chain's owner owns it
 *   mem_unchain(object, &slot, v, next)  takes v out of a chain: the field that refers to it refers to next, v ends,
 *                                and who is reading v still finds its way on
 *   mem_take_first(object, &slot, v, next)  the same, but v does not end: returns it, owned, for another chain
 *   mem_end_shared(v, is_kept)   an owned value that others refer to by LINK fields and keep so, or not
 *   mem_end(v)                   an owned value that is in no field, or NULL
 *   mem_new(type)                a new object, owned, cleared; mem_new_bytes(type, n) with n bytes at its end,
 *   mem_new_slots(type, n)       with n OWN fields at its end
 */
#ifndef SERVER_MEMORY_H
#define SERVER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(MEMORY_MANUAL)
#include "memory_manual.h"
#elif defined(MEMORY_BDWGC)
#include "memory_bdwgc.h"
#else
#include "memory_cgc.h"
#endif

struct memory_numbers {
	const char *policy;
	uint64_t objects_live, bytes_live, bytes_reserved;
};

/* Before any other thread; `options` is the manager's own, or NULL. False, and a message, if it cannot start. */
bool mem_start(const char *options);
/* By the last thread; returns how many objects are left, where the manager knows. */
size_t mem_stop(void);
/* Each thread that uses objects, at its begin and end. */
void mem_thread_begin(void);
void mem_thread_end(void);
struct memory_numbers mem_numbers(void);
/* Appends the manager's own lines for INFO: calls line(argument, name, value) for each. */
void mem_describe(void (*line)(void *argument, const char *name, uint64_t value), void *argument);
/* What mem_describe() says of the longest begins anew. */
void mem_reset_longest(void);

#endif
