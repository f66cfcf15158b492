/* SPDX-License-Identifier: MIT
 *
 * The references of an object, one after the other, as its descriptor names them.
 */
#ifndef CGC_OBJECT_H
#define CGC_OBJECT_H

#include "heap.h"

struct cgc__slots {
	char *object;
	const struct cgc_field *fields;
	size_t field_count;
	_Atomic(void *) *trailing;
	size_t trailing_count;
	size_t next;
};

static inline struct cgc__slots cgc__slots_of(void *object)
{
	const struct cgc__header *header = cgc__header_of(object);
	const struct cgc_type *type = cgc__type_of_id(header->type);
	return (struct cgc__slots){
		.object = object,
		.fields = type->fields,
		.field_count = type->field_count,
		.trailing = (_Atomic(void *) *)((char *)object + type->trailing.offset),
		.trailing_count = (type->flags & CGC_TRAILING) != 0 ? header->trailing : 0,
	};
}

static inline _Atomic(void *) *cgc__slots_next(struct cgc__slots *slots)
{
	size_t i = slots->next++;
	if (i < slots->field_count)
		return (_Atomic(void *) *)(slots->object + slots->fields[i].offset);
	i -= slots->field_count;
	return i < slots->trailing_count ? &slots->trailing[i] : NULL;
}

#endif
