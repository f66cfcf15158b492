/* SPDX-License-Identifier: MIT
 *
 * FREE -> PRIVATE: new objects, and looking at an object's header.
 */
#include <stdio.h>
#include <string.h>

#include "count.h"
#include "object.h"
#include "slab.h"

/* An entry that is inlined, if only by a link-time optimizer, would name the caller of its caller. */
#define ENTRY __attribute__((noinline))
#define CALLER __builtin_return_address(0)
/* Elements of a trailing array that the fast path takes. */
#define SHORT_ARRAY 4096

static inline bool is_collection_due(const struct cgc__context *self)
{
	/* No order needed: a setting. */
	unsigned limit = atomic_load_explicit(&cgc__heap.young_limit, memory_order_relaxed);
	return self->young_count[0] >= (long)limit;
}

/* Tracked objects count towards the next local collection; it runs before there is the object that is one too
 * many, so that a new object is always of generation 0. */
static void collect_if_due(struct cgc__context *self)
{
	if (is_collection_due(self))
		cgc__young_collect_due(self);
	self->young_count[0]++;
}

/* Everything that is not zero. */
static inline void *dress(struct cgc__context *self, struct cgc__header *header, uint64_t info)
{
	/* No order needed: private, and published later by PUBLISH.w. */
	atomic_store_explicit(&header->local, 1, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&header->first, CGC__INFO_FIRST(info) | (uint64_t)self->private_bias << 32,
	                      memory_order_relaxed);
	return header + 1;
}

/* From here on a new object is zero. */
static inline char *shared_of(struct cgc__header *header)
{
	return (char *)header + offsetof(struct cgc__header, shared);
}

/* Debug mode may have changed since the thread's last look: cgc_stop() and cgc_start() do not detach others. */
static void choose_path(struct cgc__context *self)
{
	if (cgc__heap.debug)
		cgc__alloc_self = NULL;
	else if (cgc__alloc_self == NULL) {
		cgc__sites_forget(self);
		cgc__alloc_self = self;
	}
}

/* Of a cell: the header, the contents, and the length of the array if the type has one. */
static inline size_t bytes_for(const struct cgc_type *type, size_t trailing)
{
	size_t bytes = type->size;
	if ((type->flags & (CGC_TRAILING | CGC_TRAILING_BYTES)) != 0) {
		size_t each = (type->flags & CGC_TRAILING) != 0 ? sizeof(void *) : 1;
		size_t end = type->trailing.offset + trailing * each;
		bytes = (end > bytes ? end : bytes) + sizeof(uint64_t);
	}
	return cgc__slab_cell_for(sizeof(struct cgc__header) + bytes);
}

/* Any size; NULL if memory is out. */
static void *try_new(struct cgc_type *type, size_t trailing, const char *function, const void *caller)
{
	if (type == NULL)
		cgc__report_misuse(function, NULL, "the type is NULL: there is nothing to allocate");
	struct cgc__context *self = cgc__self;
	if (self == NULL && (self = cgc__thread_try_attach()) == NULL)
		return NULL;
	choose_path(self);
	uint64_t info = cgc__type_info(type, function);
	bool has_array = (type->flags & (CGC_TRAILING | CGC_TRAILING_BYTES)) != 0;
	if (trailing > 0 && !has_array)
		cgc__report_misuse(function, NULL,
		                   "the type has no trailing array: its objects end with the struct");
	if (trailing > UINT32_MAX)
		return NULL;
	size_t bytes = bytes_for(type, trailing);
	if ((CGC__INFO_FLAGS(info) & CGC__UNTRACKED) == 0)
		collect_if_due(self);
	struct cgc__header *header = cgc__slab_take(self, bytes);
	if (header == NULL)
		return NULL;
	if (cgc__heap.debug)
		cgc__sites_record(cgc__slab_of(header), cgc__slab_cell(cgc__slab_of(header), header), caller);
	if ((CGC__INFO_FLAGS(info) & CGC__UNTRACKED) == 0)
		cgc__slab_hold(self, cgc__slab_of(header), CGC__HOLD_TOUCHED);
	memset(shared_of(header), 0, bytes - offsetof(struct cgc__header, shared));
	if (has_array)
		*cgc__slab_trailing(header) = (uint32_t)trailing;
	return dress(self, header, info);
}

static void *new_or_handler(struct cgc_type *type, size_t trailing, const char *function, const void *caller)
{
	cgc__thread_self();
	for (;;) {
		void *object = try_new(type, trailing, function, caller);
		if (__builtin_expect(object != NULL, 1))
			return object;
		if (!cgc__report_out_of_memory(bytes_for(type, trailing)))
			cgc__report_fatal(function, "out of memory", 0);
	}
}

/* The shared word and contents of a cell, 8 to 128 bytes: a few stores, no loop, no call. */
static inline void clear(struct cgc__header *header, size_t payload)
{
	char *begin = shared_of(header), *end = (char *)(header + 1) + payload;
	if (payload <= 24) {
		memset(begin, 0, 16);
		memset(end - 16, 0, 16);
	} else if (payload <= 56) {
		memset(begin, 0, 32);
		memset(end - 32, 0, 32);
	} else if (payload <= 120) {
		memset(begin, 0, 64);
		memset(end - 64, 0, 64);
	} else {
		memset(begin, 0, 80);
		memset(end - 64, 0, 64);
	}
}

/* Apart, or the fast path would save registers for the call. */
static __attribute__((noinline)) void *clear_and_dress(struct cgc__context *self, struct cgc__header *header,
                                                       uint64_t info, size_t payload)
{
	memset(shared_of(header), 0, sizeof(uint64_t) + payload);
	return dress(self, header, info);
}

/* A slab with a free cell, which the next local collection looks at if the object is one for it; NULL if there is
 * none, or if a collection is due. */
static inline struct cgc__slab *ready_slab(struct cgc__context *self, uint32_t size_class, uint64_t info)
{
	struct cgc__slab *slab = self->current[size_class];
	if (__builtin_expect(slab == NULL || slab->free == NULL, 0))
		return NULL;
	if ((CGC__INFO_FLAGS(info) & CGC__UNTRACKED) == 0) {
		if (__builtin_expect(is_collection_due(self) || !cgc__slab_is_held(slab, CGC__HOLD_TOUCHED), 0))
			return NULL;
		self->young_count[0]++;
	}
	return slab;
}

/* The fast path: a known small type, an attached thread, not debug mode, a slab that is ready. Whatever is not so
 * goes to the other path before anything is touched. */
ENTRY void *cgc_new(struct cgc_type *type)
{
	struct cgc__context *self = cgc__alloc_self;
	if (__builtin_expect(self == NULL || type == NULL, 0))
		return new_or_handler(type, 0, "cgc_new", CALLER);
	/* TYPE.r. Pairs: TYPE.w in type.c. */
	uint64_t info = atomic_load_explicit(&type->cgc__info, memory_order_acquire);
	if (__builtin_expect(CGC__INFO_PAYLOAD(info) == 0, 0))
		return new_or_handler(type, 0, "cgc_new", CALLER);
	struct cgc__slab *slab = ready_slab(self, CGC__INFO_CLASS(info), info);
	if (__builtin_expect(slab == NULL, 0))
		return new_or_handler(type, 0, "cgc_new", CALLER);
	struct cgc__header *header = cgc__slab_pop(self, slab);
	if (CGC__INFO_PAYLOAD(info) > 128)
		return clear_and_dress(self, header, info, CGC__INFO_PAYLOAD(info));
	clear(header, CGC__INFO_PAYLOAD(info));
	return dress(self, header, info);
}

/* The same, and the array is short. */
ENTRY void *cgc_new_n(struct cgc_type *type, size_t count)
{
	struct cgc__context *self = cgc__alloc_self;
	if (__builtin_expect(self == NULL || type == NULL, 0))
		return new_or_handler(type, count, "cgc_new_n", CALLER);
	/* TYPE.r. Pairs: TYPE.w in type.c. */
	uint64_t info = atomic_load_explicit(&type->cgc__info, memory_order_acquire);
	unsigned flags = info != 0 ? type->flags & (CGC_TRAILING | CGC_TRAILING_BYTES) : 0;
	if (__builtin_expect(flags == 0 || count > SHORT_ARRAY, 0))
		return new_or_handler(type, count, "cgc_new_n", CALLER);
	size_t cell = bytes_for(type, count);
	if (__builtin_expect(cell > CGC__CELL_LARGEST, 0))
		return new_or_handler(type, count, "cgc_new_n", CALLER);
	struct cgc__slab *slab = ready_slab(self, cgc__slab_class_of(cell), info);
	if (__builtin_expect(slab == NULL, 0))
		return new_or_handler(type, count, "cgc_new_n", CALLER);
	struct cgc__header *header = cgc__slab_pop(self, slab);
	/* The slab's cells may be larger. */
	*(uint32_t *)((char *)header + slab->cell_bytes - sizeof(uint64_t)) = (uint32_t)count;
	size_t payload = cell - sizeof(struct cgc__header) - sizeof(uint64_t);
	if (payload > 128)
		return clear_and_dress(self, header, info, payload);
	clear(header, payload);
	return dress(self, header, info);
}

ENTRY void *cgc_try_new(struct cgc_type *type)
{
	return try_new(type, 0, "cgc_try_new", CALLER);
}

ENTRY void *cgc_try_new_n(struct cgc_type *type, size_t count)
{
	return try_new(type, count, "cgc_try_new_n", CALLER);
}

size_t cgc_trailing_count(const void *object)
{
	const struct cgc_type *type = cgc_type_of(object);
	bool has_array = (type->flags & (CGC_TRAILING | CGC_TRAILING_BYTES)) != 0;
	return has_array ? *cgc__slab_trailing(cgc__header_of(object)) : 0;
}

const struct cgc_type *cgc_type_of(const void *object)
{
	return cgc__type_of_id(cgc__header_of(object)->type);
}

int cgc_generation(const void *object)
{
	const struct cgc__header *header = cgc__header_of(object);
	const struct cgc__slab *slab = cgc__slab_of(header);
	/* No order needed: the caller holds the object. */
	return atomic_load_explicit(&slab->generation[cgc__slab_cell(slab, header)], memory_order_relaxed);
}

bool cgc_is_finalized(const void *object)
{
	/* No order needed: a look. */
	uint8_t flags = atomic_load_explicit(&cgc__header_of(object)->flags, memory_order_relaxed);
	return (flags & CGC__FINALIZED) != 0;
}

long cgc_reference_count(const void *object)
{
	const struct cgc__header *header = cgc__header_of(object);
	/* No order needed: exact only while nobody changes it. */
	long count = (long)cgc__local_count(atomic_load_explicit(&header->local, memory_order_relaxed));
	if (CGC__KIND(cgc__count_bias(header)) == CGC__PRIVATE)
		return count;
	/* No order needed: as above. */
	return count + (long)cgc__shared_count(atomic_load_explicit(&header->shared, memory_order_relaxed));
}

void cgc_visit_references(void *object, void (*visit)(void *referent, void *argument), void *argument)
{
	struct cgc__context *self = cgc__thread_self();
	cgc__grace_enter(self);
	struct cgc__slots slots = cgc__slots_of(object);
	for (_Atomic(void *) *slot; (slot = cgc__slots_next(&slots)) != NULL;) {
		/* PUBLISH.r. Pairs: PUBLISH.w in slot.c. */
		void *value = atomic_load_explicit(slot, memory_order_acquire);
		if (cgc__is_object(value))
			visit(value, argument);
	}
	cgc__grace_leave(self);
}

void *cgc__cast(void *object, struct cgc_type *type)
{
	if (cgc__heap.debug && cgc__is_object(object)) {
		const struct cgc__header *header = cgc__header_of(object);
		if (CGC__KIND(cgc__count_bias(header)) == CGC__FREE)
			cgc__report_misuse("cgc_cast", object,
			                   "use after free: the object is dead and its memory given back");
		if (cgc_type_of(object) != type) {
			char what[256];
			snprintf(what, sizeof(what), "wrong type: wanted %s: its fields are somewhere else",
			         type->name);
			cgc__report_misuse("cgc_cast", object, what);
		}
	}
	return object;
}
