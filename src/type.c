/* SPDX-License-Identifier: MIT
 *
 * Type descriptors: checked once, then known by a 16-bit number in every header.
 */
#include <stdio.h>
#include <stdlib.h>

#include "object.h"
#include "pause.h"
#include "slab.h"

#define TYPE_LIMIT 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
_Atomic(struct cgc_type *) cgc__types[TYPE_LIMIT]; /* written once each, under lock; 0 is no type */
uint64_t cgc__type_maps[TYPE_LIMIT];               /* the same */
static unsigned type_count = 1;                    /* [lock] */

_Noreturn static void refuse(const struct cgc_type *type, const char *field, const char *what)
{
	fprintf(stderr, "cgc: cgc_new: type %s%s%s: %s: the collector would read outside of references\n",
	        type->name != NULL ? type->name : "without a name", field != NULL ? ", field " : "",
	        field != NULL ? field : "", what);
	abort();
}

static const char *field_name(const struct cgc_field *field)
{
	return field->name != NULL ? field->name : "without a name";
}

static void check(const struct cgc_type *type)
{
	if (type->name == NULL)
		refuse(type, NULL, "no name");
	if (type->size > (size_t)1 << 40)
		refuse(type, NULL, "size is out of range");
	if (type->field_count > 0 && type->fields == NULL)
		refuse(type, NULL, "fields is NULL");
	for (size_t i = 0; i < type->field_count; i++) {
		const struct cgc_field *field = &type->fields[i];
		if (field->offset > type->size || type->size - field->offset < sizeof(void *))
			refuse(type, field_name(field), "offset is out of range");
		if (field->offset % _Alignof(void *) != 0)
			refuse(type, field_name(field), "misaligned");
		for (size_t j = 0; j < i; j++)
			if (type->fields[j].offset == field->offset)
				refuse(type, field_name(field), "overlaps another field");
		if ((type->flags & CGC_TRAILING) != 0 && field->offset + sizeof(void *) > type->trailing.offset)
			refuse(type, field_name(field), "overlaps the trailing array");
	}
	if ((type->flags & CGC_TRAILING) != 0 && (type->flags & CGC_TRAILING_BYTES) != 0)
		refuse(type, NULL, "two trailing arrays");
	if ((type->flags & CGC_TRAILING_BYTES) != 0 &&
	    (type->trailing.offset > type->size || type->size - type->trailing.offset >= _Alignof(max_align_t)))
		refuse(type, field_name(&type->trailing), "the trailing array is not at the end");
	if ((type->flags & CGC_TRAILING) != 0) {
		const struct cgc_field *field = &type->trailing;
		/* A flexible array may begin inside of the struct's padding. */
		if (field->offset > type->size || type->size - field->offset >= _Alignof(max_align_t))
			refuse(type, field_name(field), "the trailing array is not at the end");
		if (field->offset % _Alignof(void *) != 0)
			refuse(type, field_name(field), "misaligned");
	}
	if ((type->flags & ~(CGC_ACYCLIC | CGC_TRAILING | CGC_TRAILING_BYTES)) != 0)
		refuse(type, NULL, "unknown flags");
}

static uint64_t map_of(const struct cgc_type *type)
{
	uint64_t map = (type->flags & CGC_TRAILING) != 0 ? CGC__MAP_IS_PART : 0;
	for (size_t i = 0; i < type->field_count; i++) {
		size_t word = type->fields[i].offset / sizeof(void *);
		map |= word < CGC__MAP_WORDS ? UINT64_C(1) << word : CGC__MAP_IS_PART;
	}
	return map;
}

/* Fields beyond the map, then the trailing array. */
_Atomic(void *) *cgc__slots_next_of_rest(struct cgc__slots *slots)
{
	const struct cgc_type *type = slots->rest;
	while (slots->next < type->field_count) {
		size_t word = type->fields[slots->next++].offset / sizeof(void *);
		if (word >= CGC__MAP_WORDS)
			return &slots->words[word];
	}
	if ((type->flags & CGC_TRAILING) == 0)
		return NULL;
	size_t i = slots->next++ - type->field_count;
	if (i >= *cgc__slab_trailing(cgc__header_of(slots->words)))
		return NULL;
	return (_Atomic(void *) *)((char *)slots->words + type->trailing.offset) + i;
}

/* What cgc_new needs to know, in one word: see heap.h. */
static uint64_t info_of(const struct cgc_type *type, uint64_t id)
{
	bool has_references = type->field_count > 0 || (type->flags & CGC_TRAILING) != 0;
	bool is_untracked = (type->flags & CGC_ACYCLIC) != 0 || !has_references;
	bool is_plain =
		type->finalize == NULL && type->destroy == NULL && (map_of(type) & CGC__MAP_IS_PART) == 0;
	size_t cell = cgc__slab_cell_for(sizeof(struct cgc__header) + type->size);
	bool is_simple = cell <= CGC__CELL_LARGEST && (type->flags & (CGC_TRAILING | CGC_TRAILING_BYTES)) == 0;
	uint64_t payload = is_simple ? (type->size + 7) / 8 * 8 : 0;
	uint32_t size_class = cgc__slab_class_of(cell);
	uint64_t flags = (is_untracked ? CGC__UNTRACKED : 0) | (is_plain ? CGC__PLAIN : 0);
	return id | flags << 16 | (uint64_t)size_class << 32 | payload << 40;
}

/* The word of a type; checks and enters it at its first use. */
uint64_t cgc__type_info(struct cgc_type *type, const char *function)
{
	/* TYPE.r: a number seen here means a type entered. Pairs: TYPE.w below. */
	uint64_t info = atomic_load_explicit(&type->cgc__info, memory_order_acquire);
	if (__builtin_expect(info != 0, 1))
		return info;
	check(type);
	pthread_mutex_lock(&lock);
	/* No order needed: under the lock. */
	info = atomic_load_explicit(&type->cgc__info, memory_order_relaxed);
	if (info == 0) {
		if (type_count == TYPE_LIMIT)
			cgc__report_fatal(function, "more than 65,535 types", 0);
		info = info_of(type, type_count);
		cgc__type_maps[type_count] = map_of(type);
		/* TYPE.w: the entry before the number. Pairs: TYPE.r in cgc__type_of_id(). */
		atomic_store_explicit(&cgc__types[type_count++], type, memory_order_release);
		cgc__pause("type.entered");
		/* TYPE.w: as above. Pairs: TYPE.r at the top. */
		atomic_store_explicit(&type->cgc__info, info, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return info;
}
