/* SPDX-License-Identifier: MIT
 *
 * The references of an object, one after the other, as its descriptor names them.
 */
#ifndef CGC_OBJECT_H
#define CGC_OBJECT_H

#include "type.h"

struct cgc__slots {
	_Atomic(void *) *words;      /* the object */
	uint64_t map;                /* of its first 64 words, those still to come */
	const struct cgc_type *rest; /* NULL: there are no others */
	size_t next;
};

static inline struct cgc__slots cgc__slots_of(void *object)
{
	const struct cgc__header *header = cgc__header_of(object);
	uint64_t map = cgc__type_maps[header->type];
	return (struct cgc__slots){
		.words = object,
		.map = map & ~CGC__MAP_IS_PART,
		.rest = __builtin_expect((map & CGC__MAP_IS_PART) != 0, 0) ? cgc__type_of_id(header->type)
	                                                                   : NULL,
	};
}

_Atomic(void *) *cgc__slots_next_of_rest(struct cgc__slots *slots);

static inline _Atomic(void *) *cgc__slots_next(struct cgc__slots *slots)
{
	if (slots->map != 0) {
		_Atomic(void *) *slot = &slots->words[__builtin_ctzll(slots->map)];
		slots->map &= slots->map - 1;
		return slot;
	}
	return __builtin_expect(slots->rest != NULL, 0) ? cgc__slots_next_of_rest(slots) : NULL;
}

/* Of a private object; false if it would take a while to find out. */
static inline bool cgc__slots_are_empty(void *object)
{
	const _Atomic(void *) *words = object;
	uint64_t map = cgc__type_maps[cgc__header_of(object)->type];
	if (map == 0)
		return true;
	if ((map & CGC__MAP_IS_PART) != 0)
		return false;
	for (; map != 0; map &= map - 1)
		/* No order needed: private. */
		if (atomic_load_explicit(&words[__builtin_ctzll(map)], memory_order_relaxed) != NULL)
			return false;
	return true;
}

#endif
