/* SPDX-License-Identifier: MIT
 *
 * cgc_debug_verify(): every invariant of heap.h that a state can show. Three passes: lists and queues, which say what
 * each cell is; references, counted by target; headers, compared with both. I2 and I5 are about steps: of I2 a state
 * shows that nobody but the slab's context is named as the one who counts in local, of I5 nothing.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "grace.h"
#include "slab.h"
#include "type.h"

static void complain(struct cgc__verify *verify, const char *where, const char *format, va_list arguments)
{
	char what[320];
	vsnprintf(what, sizeof(what), format, arguments);
	fprintf(stderr, "cgc: cgc_debug_verify: %s: %s\n", where, what);
	verify->violations++;
}

void cgc__verify_object_is(struct cgc__verify *verify, const void *object, const char *format, ...)
{
	const struct cgc_type *type = cgc__type_of_id(cgc__header_of(object)->type);
	char where[160];
	snprintf(where, sizeof(where), "object %p of type %s", object, type != NULL ? type->name : "unknown");
	va_list arguments;
	va_start(arguments, format);
	complain(verify, where, format, arguments);
	va_end(arguments);
}

void cgc__verify_slab_is(struct cgc__verify *verify, const struct cgc__slab *slab, const char *format, ...)
{
	char where[80];
	snprintf(where, sizeof(where), "slab %p", (const void *)slab);
	va_list arguments;
	va_start(arguments, format);
	complain(verify, where, format, arguments);
	va_end(arguments);
}

void cgc__verify_context_is(struct cgc__verify *verify, const struct cgc__context *context, const char *format,
                            ...)
{
	char where[80];
	snprintf(where, sizeof(where), "context %p", (const void *)context);
	va_list arguments;
	va_start(arguments, format);
	complain(verify, where, format, arguments);
	va_end(arguments);
}

void cgc__verify_heap_is(struct cgc__verify *verify, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	complain(verify, "heap", format, arguments);
	va_end(arguments);
}

static struct cgc__context *all_contexts(void)
{
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	return atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
}

/* ---- the tables --------------------------------------------------------------------------------------- */

/* The entry of a slab, or the empty one where it belongs. */
static struct cgc__verify_slab *place_of(const struct cgc__verify *verify, const struct cgc__slab *slab)
{
	size_t mask = verify->slab_capacity - 1;
	size_t i = ((uintptr_t)slab / CGC__SLAB_BYTES * UINT64_C(0x9E3779B97F4A7C15) >> 20) & mask;
	while (verify->slabs[i].slab != NULL && verify->slabs[i].slab != slab)
		i = (i + 1) & mask;
	return &verify->slabs[i];
}

struct cgc__verify_slab *cgc__verify_find_slab(const struct cgc__verify *verify, const void *address)
{
	struct cgc__verify_slab *entry = place_of(verify, cgc__slab_of(address));
	return entry->slab != NULL ? entry : NULL;
}

/* The cell of an object, or NULL if there is no used cell at that address. */
struct cgc__verify_cell *cgc__verify_find(const struct cgc__verify *verify, const void *object)
{
	const struct cgc__header *header = cgc__header_of(object);
	struct cgc__verify_slab *entry = cgc__verify_find_slab(verify, header);
	if (entry == NULL)
		return NULL;
	size_t offset = (uintptr_t)header - (uintptr_t)entry->slab;
	if (offset < entry->cells_offset || (offset - entry->cells_offset) % entry->cell_bytes != 0)
		return NULL;
	size_t cell = (offset - entry->cells_offset) / entry->cell_bytes;
	return cell < entry->bumped ? &entry->cells[cell] : NULL;
}

/* Two words of the slab say it; a wrong one is complained of later, and must not lead astray here. */
static uint32_t class_of(const struct cgc__slab *slab)
{
	if (slab->cell_bytes == 0)
		return CGC__CLASS_LARGE;
	uint32_t size_class =
		slab->cell_bytes <= CGC__CELL_LARGEST ? cgc__slab_class_of(slab->cell_bytes) : CGC__CLASS_LARGE;
	if (size_class < CGC__CLASS_COUNT && cgc__slab_class_bytes[size_class] == slab->cell_bytes)
		return size_class;
	return slab->size_class < CGC__CLASS_COUNT ? slab->size_class : CGC__CLASS_LARGE;
}

static size_t cells_of(uint32_t size_class)
{
	return size_class == CGC__CLASS_LARGE ? 1
	                                      : (CGC__SLAB_BYTES - sizeof(struct cgc__slab) - 16) /
	                                                ((size_t)cgc__slab_class_bytes[size_class] + 1);
}

static void enter_slab(struct cgc__verify *verify, struct cgc__slab *slab)
{
	struct cgc__verify_slab *entry = place_of(verify, slab);
	if (entry->slab != NULL)
		return; /* twice in the array: its index says so */
	uint32_t size_class = class_of(slab);
	bool is_large = size_class == CGC__CLASS_LARGE;
	entry->slab = slab;
	entry->size_class = size_class;
	entry->cell_count = (uint32_t)cells_of(size_class);
	entry->cells_offset = (uint32_t)cgc__slab_cells_offset(entry->cell_count);
	entry->bytes = is_large ? slab->bytes : CGC__SLAB_BYTES;
	entry->cell_bytes = is_large ? slab->bytes - entry->cells_offset : cgc__slab_class_bytes[size_class];
	entry->bumped = slab->bumped <= entry->cell_count ? slab->bumped : entry->cell_count;
	entry->cells = verify->cells + verify->cell_count;
	entry->is_owned = slab->context->id >= verify->context_count || !verify->is_pooled[slab->context->id];
	verify->cell_count += entry->cell_count;
}

static void *get_zeroed(size_t bytes)
{
	void *memory = cgc__memory_get(bytes, 0);
	if (memory != NULL)
		memset(memory, 0, bytes);
	return memory;
}

struct sizes {
	size_t slabs, cells, contexts;
};

static struct sizes measure(void)
{
	struct sizes sizes = {.slabs = 16, .cells = 1, .contexts = 1};
	size_t slab_count = 0;
	for (struct cgc__context *context = all_contexts(); context != NULL; context = context->next) {
		slab_count += context->slab_count;
		for (size_t i = 0; i < context->slab_count; i++)
			sizes.cells += cells_of(class_of(context->slabs[i]));
		sizes.contexts++;
	}
	while (sizes.slabs < 2 * slab_count)
		sizes.slabs *= 2;
	return sizes;
}

static void put_tables(struct cgc__verify *verify, struct sizes sizes)
{
	cgc__memory_put(verify->slabs, sizes.slabs * sizeof(*verify->slabs));
	cgc__memory_put(verify->cells, sizes.cells * sizeof(*verify->cells));
	cgc__memory_put(verify->is_pooled, sizes.contexts * sizeof(*verify->is_pooled));
}

static bool get_tables(struct cgc__verify *verify, struct sizes sizes)
{
	verify->slab_capacity = sizes.slabs;
	verify->context_count = sizes.contexts;
	verify->slabs = get_zeroed(sizes.slabs * sizeof(*verify->slabs));
	verify->cells = get_zeroed(sizes.cells * sizeof(*verify->cells));
	verify->is_pooled = get_zeroed(sizes.contexts * sizeof(*verify->is_pooled));
	if (verify->slabs != NULL && verify->cells != NULL && verify->is_pooled != NULL)
		return true;
	put_tables(verify, sizes);
	return false;
}

/* ---- the heap's own ------------------------------------------------------------------------------------ */

/* Ids count up from 1, newest first; the contexts of the pool are some of them. */
static void check_contexts(struct cgc__verify *verify)
{
	pthread_mutex_lock(&cgc__heap.threads);
	size_t expected = cgc__heap.context_count, pooled = 0;
	for (struct cgc__context *context = all_contexts(); context != NULL; context = context->next) {
		if (context->id != expected)
			cgc__verify_context_is(verify, context,
			                       "its id is %u, not %zu: an id has one writer at a time (I2)",
			                       context->id, expected);
		expected -= expected > 0;
	}
	if (expected != 0)
		cgc__verify_heap_is(verify,
		                    "%zu contexts are missing in the list: heap.contexts only ever grows",
		                    expected);
	for (struct cgc__context *context = cgc__heap.pool; context != NULL; context = context->pool_next) {
		if (context->id >= verify->context_count || verify->is_pooled[context->id]) {
			cgc__verify_heap_is(verify, "context %u is in the pool twice: a context has one owner",
			                    context->id);
			break;
		}
		verify->is_pooled[context->id] = true;
		pooled++;
	}
	if (pooled >= verify->context_count - 1)
		cgc__verify_heap_is(verify, "the pool has the background thread's context: it is in use");
	pthread_mutex_unlock(&cgc__heap.threads);
}

static void check_state(struct cgc__verify *verify)
{
	/* No order needed: this thread opens and closes windows. */
	if (atomic_load_explicit(&cgc__heap.window_open, memory_order_relaxed))
		cgc__verify_heap_is(verify, "a window is open: none is between two looks (W4)");
	uint64_t started = cgc__verify_word(&cgc__grace_started), done = cgc__verify_word(&cgc__grace_done);
	if (done > started)
		cgc__verify_heap_is(verify,
		                    "grace period %" PRIu64 " is over but only %" PRIu64 " have begun: GRACE",
		                    done, started);
}

/* ---- weak references ----------------------------------------------------------------------------------- */

struct stripe {
	struct cgc__verify *verify;
	size_t cells;
};

static void check_weak(void *argument, const void *target, bool is_in_place)
{
	struct stripe *stripe = argument;
	struct cgc__verify *verify = stripe->verify;
	stripe->cells++;
	const struct cgc__verify_cell *cell = target != NULL ? cgc__verify_find(verify, target) : NULL;
	if (cell == NULL || !cgc__verify_is_object(cell, cgc__header_of(target))) {
		cgc__verify_heap_is(verify,
		                    "a weak reference to %p, which is no object: cleared before memory (WEAK)",
		                    target);
		return;
	}
	const struct cgc__header *header = cgc__header_of(target);
	enum cgc__kind kind = cgc__verify_kind(header);
	if (!is_in_place)
		cgc__verify_object_is(verify, target,
		                      "its weak reference is in another bucket: it dies and that answers");
	if (kind == CGC__PRIVATE || kind == CGC__DYING)
		cgc__verify_object_is(verify, target,
		                      "private, with a weak reference: any thread may upgrade one (I1)");
	else if ((cgc__verify_word(&header->shared) & CGC__HAS_WEAK) == 0)
		cgc__verify_object_is(verify, target,
		                      "a weak reference, but not HAS_WEAK: nobody would clear it (HAS_WEAK)");
	if ((cgc__verify_flags(header) & CGC__DESTROYED) != 0)
		cgc__verify_object_is(verify, target,
		                      "destroyed, with a weak reference: cleared before that (WEAK)");
}

static void check_weak_references(struct cgc__verify *verify)
{
	size_t count;
	struct stripe stripe = {.verify = verify};
	for (unsigned i = 0; cgc__weak_walk(i, check_weak, &stripe, &count); i++, stripe.cells = 0)
		if (stripe.cells != count)
			cgc__verify_heap_is(verify,
			                    "stripe %u of the weak references counts %zu cells and has %zu: "
			                    "cell_count is how many there are",
			                    i, count, stripe.cells);
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

static void compare(struct cgc__verify *verify, uint64_t counted, uint64_t seen, const char *what)
{
	if (counted != seen)
		cgc__verify_heap_is(verify,
		                    "the counters say %" PRId64 " %s, there are %" PRIu64
		                    ": counters are exact while threads are quiet",
		                    (int64_t)counted, what, seen);
}

static void check_counters(struct cgc__verify *verify)
{
	uint64_t sum[CGC__COUNTERS] = {0}, live[CGC__CLASS_COUNT + 1] = {0};
	for (struct cgc__context *context = all_contexts(); context != NULL; context = context->next) {
		for (unsigned i = 0; i < CGC__COUNTERS; i++)
			sum[i] += cgc__verify_word(&context->counter[i]);
		for (unsigned i = 0; i <= CGC__CLASS_COUNT; i++)
			live[i] += cgc__verify_word(&context->made[i]) - cgc__verify_word(&context->given[i]);
		for (unsigned i = 0; i < CGC__CLASS_COUNT; i++)
			live[i] -= cgc__verify_word(&context->died[i]);
	}
	for (unsigned i = 0; i <= CGC__CLASS_COUNT; i++)
		compare(verify, live[i], verify->objects[i],
		        i < CGC__CLASS_COUNT ? "cells of one size in use" : "large objects");
	compare(verify, sum[CGC__MADE_LARGE_BYTES] - sum[CGC__GIVEN_LARGE_BYTES], verify->large_bytes,
	        "bytes in large objects");
	compare(verify, sum[CGC__WAIT_BEGUN] - sum[CGC__WAIT_ENDED], verify->waiting, "objects waiting");
	compare(verify, sum[CGC__WAIT_BEGUN_BYTES] - sum[CGC__WAIT_ENDED_BYTES], verify->waiting_bytes,
	        "bytes waiting");
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static void each_slab(struct cgc__verify *verify,
                      void (*check)(struct cgc__verify *verify, struct cgc__verify_slab *entry))
{
	for (size_t i = 0; i < verify->slab_capacity; i++)
		if (verify->slabs[i].slab != NULL)
			check(verify, &verify->slabs[i]);
}

static void each_context(struct cgc__verify *verify,
                         void (*check)(struct cgc__verify *verify, struct cgc__context *context))
{
	for (struct cgc__context *context = all_contexts(); context != NULL; context = context->next)
		check(verify, context);
}

static void enter_slabs(struct cgc__verify *verify, struct cgc__context *context)
{
	for (size_t i = 0; i < context->slab_count; i++)
		enter_slab(verify, context->slabs[i]);
}

/* The background thread, between two looks. How many complaints there were; SIZE_MAX without memory for the tables. */
size_t cgc__verify_all(void)
{
	struct cgc__verify verify = {0};
	struct sizes sizes = measure();
	if (!get_tables(&verify, sizes)) {
		fprintf(stderr, "cgc: cgc_debug_verify: no memory for its tables: nothing was checked\n");
		return SIZE_MAX;
	}
	check_contexts(&verify);
	check_state(&verify);
	each_context(&verify, enter_slabs);
	each_context(&verify, cgc__verify_context);
	each_context(&verify, cgc__verify_outgoing);
	each_slab(&verify, cgc__verify_slab);
	each_context(&verify, cgc__verify_queues);
	cgc__verify_overflow(&verify);
	check_weak_references(&verify);
	check_counters(&verify);
	each_slab(&verify, cgc__verify_references);
	each_slab(&verify, cgc__verify_headers);
	put_tables(&verify, sizes);
	return verify.violations;
}

size_t cgc_debug_verify(void)
{
	struct cgc__context *self = cgc__thread_self();
	if (cgc__grace_in_section() || cgc__collector_is_self() || self->in_callback > 0)
		cgc__report_misuse("cgc_debug_verify", NULL,
		                   "inside a read section or a callback: the heap is not quiet then");
	return cgc__collector_verify();
}
