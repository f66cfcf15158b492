/* SPDX-License-Identifier: MIT
 *
 * What the files of cgc_debug_verify() share: a table of all slabs and, for each cell, what the rest of the heap
 * says about it. Background thread, no window open, every other thread outside of the library; so all is read
 * plainly, and nothing is written but the tables.
 *
 *   verify.c         the tables, the heap's own lists and numbers, the complaints
 *   verify_lists.c   contexts, slabs, free cells: first, as it says which cells hold objects
 *   verify_queue.c   entries
 *   verify_object.c  references, then headers
 */
#ifndef CGC_VERIFY_H
#define CGC_VERIFY_H

#include "heap.h"

struct cgc__verify_cell {
	uint32_t references; /* slots that refer to the object */
	uint8_t pending;     /* entries; 2 stands for more */
	uint8_t suspects;    /* the same */
	bool is_free;        /* in slab.free, slab.remote or a context's outgoing */
	bool is_overflow;    /* in heap.overflow: local is a link */
};

/* Lists of a context on which a slab may be. */
enum cgc__verify_list {
	CGC__IN_CURRENT,
	CGC__IN_PARTIAL,
	CGC__IN_TOUCHED,
	CGC__IN_ELDER,
	CGC__IN_RETURNED, /* or in collected */
	CGC__VERIFY_LISTS,
};

/* Where cells are, from the size class alone: one wrong word in the slab is one complaint. */
struct cgc__verify_slab {
	struct cgc__slab *slab; /* NULL: no entry */
	struct cgc__verify_cell *cells;
	size_t bytes, cell_bytes; /* cell_bytes of a large object too */
	uint32_t size_class, cell_count, cells_offset;
	uint32_t bumped;   /* at most cell_count */
	uint32_t outgoing; /* cells of it in a context's outgoing */
	bool is_in[CGC__VERIFY_LISTS];
	bool is_owned; /* its context has a thread, or is the background thread's */
};

struct cgc__verify {
	size_t violations;
	struct cgc__verify_slab *slabs; /* hashed by address; the entries that are not NULL are all slabs */
	size_t slab_capacity;           /* a power of two */
	struct cgc__verify_cell *cells;
	size_t cell_count;
	bool *is_pooled; /* by id: the context has no thread */
	size_t context_count;
	uint64_t objects[CGC__CLASS_COUNT + 1]; /* by size, counted cell by cell */
	uint64_t large_bytes;
	uint64_t waiting, waiting_bytes; /* pending entries and heap.overflow */
};

/* verify.c. Each complaint is one line and one violation. */
__attribute__((format(printf, 3, 4))) void cgc__verify_object_is(struct cgc__verify *verify, const void *object,
                                                                 const char *format, ...);
__attribute__((format(printf, 3, 4))) void
cgc__verify_slab_is(struct cgc__verify *verify, const struct cgc__slab *slab, const char *format, ...);
__attribute__((format(printf, 3, 4))) void
cgc__verify_context_is(struct cgc__verify *verify, const struct cgc__context *context, const char *format, ...);
__attribute__((format(printf, 2, 3))) void cgc__verify_heap_is(struct cgc__verify *verify, const char *format,
                                                               ...);
struct cgc__verify_slab *cgc__verify_find_slab(const struct cgc__verify *verify, const void *address);
struct cgc__verify_cell *cgc__verify_find(const struct cgc__verify *verify, const void *object);

/* verify_lists.c */
void cgc__verify_context(struct cgc__verify *verify, struct cgc__context *context);
void cgc__verify_outgoing(struct cgc__verify *verify, struct cgc__context *context);
void cgc__verify_slab(struct cgc__verify *verify, struct cgc__verify_slab *entry);

/* verify_queue.c */
void cgc__verify_queues(struct cgc__verify *verify, struct cgc__context *context);
void cgc__verify_overflow(struct cgc__verify *verify);

/* verify_object.c: for each slab, all references before the first header. */
void cgc__verify_references(struct cgc__verify *verify, struct cgc__verify_slab *entry);
void cgc__verify_headers(struct cgc__verify *verify, struct cgc__verify_slab *entry);

static inline uint64_t cgc__verify_word(const _Atomic(uint64_t) *word)
{
	/* No order needed, here and below: the heap is quiet. */
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline enum cgc__kind cgc__verify_kind(const struct cgc__header *header)
{
	/* No order needed. */
	return CGC__KIND(atomic_load_explicit(&header->bias, memory_order_relaxed));
}

static inline uint8_t cgc__verify_flags(const struct cgc__header *header)
{
	/* No order needed. */
	return atomic_load_explicit(&header->flags, memory_order_relaxed);
}

static inline struct cgc__header *cgc__verify_header(const struct cgc__verify_slab *entry, uint32_t cell)
{
	return (struct cgc__header *)((uintptr_t)entry->slab + entry->cells_offset + cell * entry->cell_bytes);
}

/* Neither given back nor never made. */
static inline bool cgc__verify_is_object(const struct cgc__verify_cell *cell, const struct cgc__header *header)
{
	return !cell->is_free && cgc__verify_kind(header) != CGC__FREE;
}

#endif
