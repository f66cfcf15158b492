/* SPDX-License-Identifier: MIT
 *
 * PRIVATE -> PUBLISHED, for an object and all private objects that it reaches, before the one release store
 * that lets others see any of them. Run by the owner.
 *
 * The graph is listed through the shared words, which are scratch while an object is private, so this needs no
 * memory and no recursion. While it is listed, the upper half of local counts the references from within the
 * list: those are in slots that others will overwrite, so they are counted in shared from now on, and local
 * keeps what the owner's handles and private objects hold.
 * Model: tests/model/publish.pml.
 */
#include "count.h"
#include "object.h"

#define LISTED UINT64_C(1) /* lowest bit of shared: listed; the rest is the next object's header */

struct graph {
	struct cgc__header *first, *last;
	size_t count;
	bool meets_published;
};

static void add(struct graph *graph, struct cgc__header *header)
{
	/* No order needed, here and below: private. */
	atomic_store_explicit(&header->shared, LISTED, memory_order_relaxed);
	/* No order needed: private. */
	uint32_t count = cgc__local_count(atomic_load_explicit(&header->local, memory_order_relaxed));
	/* No order needed: private. */
	atomic_store_explicit(&header->local, count, memory_order_relaxed);
	if (graph->last != NULL)
		/* No order needed: private. */
		atomic_store_explicit(&graph->last->shared, (uintptr_t)header | LISTED, memory_order_relaxed);
	else
		graph->first = header;
	graph->last = header;
	graph->count++;
}

/* A reference from the graph to an object that is published already moves from local to shared. It stays where it is,
 * and nothing that is published refers to the graph, so it closes no ring and leaves no suspect. */
static void move_to_shared(struct cgc__context *self, struct cgc__header *header)
{
	cgc__count_expose(header);
	cgc__grace_enter_brief(self);
	if (cgc__count_bias(header) == self->biased_bias) {
		cgc__count_shared_up(header);
		/* No order needed: only this thread writes it while the bias is its own. */
		uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
		if (cgc__local_count(local) == 1)
			cgc__count_merge(self, header, local);
		else
			/* COUNT.w: after the raise. Pairs: COUNT.r in window.c. */
			atomic_store_explicit(&header->local, local + CGC__LOCAL_RELEASE, memory_order_release);
	}
	cgc__grace_leave_brief(self);
}

static void visit(struct cgc__context *self, struct graph *graph, void *value)
{
	if (!cgc__is_object(value))
		return;
	struct cgc__header *header = cgc__header_of(value);
	if (cgc__count_bias(header) != self->private_bias) {
		graph->meets_published = true;
		move_to_shared(self, header);
		return;
	}
	/* No order needed: private. */
	if (atomic_load_explicit(&header->shared, memory_order_relaxed) == 0)
		add(graph, header);
	/* No order needed: private. */
	uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
	/* No order needed: private. */
	atomic_store_explicit(&header->local, local + (UINT64_C(1) << 32), memory_order_relaxed);
}

static void publish(struct cgc__context *self, struct cgc__header *header, uint64_t to_shared,
                    uint32_t from_local)
{
	struct cgc__slab *slab = cgc__slab_of(header);
	/* No order needed: private until the last line. */
	uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
	uint64_t internal = local >> 32;
	uint64_t handles = cgc__local_count(local) - internal - from_local;
	/* No order needed: private. */
	atomic_store_explicit(&header->local, handles, memory_order_relaxed);
	/* No order needed: private. */
	atomic_store_explicit(&header->shared,
	                      (internal * CGC__SHARED_ONE + to_shared) | (handles == 0 ? CGC__MERGED : 0),
	                      memory_order_relaxed);
	/* Nobody has unlinked it yet, so its stamp is an old one. No order needed: private. */
	uint8_t started = (uint8_t)atomic_load_explicit(&cgc__grace_started, memory_order_relaxed);
	/* No order needed: private. */
	atomic_store_explicit(&header->unlinked, (uint8_t)(started - 8), memory_order_relaxed);
	/* No order needed: private. */
	atomic_store_explicit(&header->bias, handles == 0 ? CGC__UNBIASED : self->biased_bias,
	                      memory_order_relaxed);
	if (internal >= CGC__SHARED_LIMIT)
		cgc__count_saturate(header);
	if (__builtin_expect(!slab->is_shared, 0))
		cgc__slab_share(slab);
	cgc__pause("publish.words_written");
	/* GENERATION.w: header and fields before a window can find it. Pairs: GENERATION.r in window.c. */
	atomic_store_explicit(&slab->generation[cgc__slab_cell(slab, header)], 2, memory_order_release);
}

/* Apart, or publishing a leaf would save registers for it. */
static __attribute__((noinline)) bool publish_reachable(struct cgc__context *self, void *object,
                                                        uint64_t to_shared, uint32_t from_local)
{
	struct graph graph = {0};
	uint64_t began = 0;
	add(&graph, cgc__header_of(object));
	for (struct cgc__header *header = graph.first; header != NULL;) {
		struct cgc__slots slots = cgc__slots_of(cgc__object_of(header));
		for (_Atomic(void *) *slot; (slot = cgc__slots_next(&slots)) != NULL;)
			/* No order needed: private. */
			visit(self, &graph, atomic_load_explicit(slot, memory_order_relaxed));
		if (graph.count > 64 && began == 0)
			began = cgc__report_now();
		/* No order needed: private. */
		header = (struct cgc__header *)(atomic_load_explicit(&header->shared, memory_order_relaxed) &
		                                ~LISTED);
	}
	cgc__pause("publish.listed");
	for (struct cgc__header *header = graph.first, *next; header != NULL; header = next) {
		/* No order needed: private. */
		next = (struct cgc__header *)(atomic_load_explicit(&header->shared, memory_order_relaxed) &
		                              ~LISTED);
		bool is_root = header == cgc__header_of(object);
		publish(self, header, is_root ? to_shared : 0, is_root ? from_local : 0);
	}
	cgc__pause("publish.done");
	cgc__counter_add(self, CGC__PUBLISHED, graph.count);
	if (began != 0)
		cgc__report_stall(self, began, self->callback_ns);
	return graph.meets_published;
}

/* Publishes the graph of a private object. To the shared word of the object itself, `to_shared` is added (references,
 * HANDED), and `from_local` of the caller's references are taken away. True if the graph refers to objects that were
 * published before, so that storing it may close a ring. */
bool cgc__publish_graph(struct cgc__context *self, void *object, uint64_t to_shared, uint32_t from_local)
{
	if (!cgc__slots_are_empty(object))
		return publish_reachable(self, object, to_shared, from_local);
	struct cgc__header *header = cgc__header_of(object);
	/* No order needed: private. */
	uint32_t count = cgc__local_count(atomic_load_explicit(&header->local, memory_order_relaxed));
	/* No order needed: private. */
	atomic_store_explicit(&header->local, count, memory_order_relaxed);
	cgc__pause("publish.listed");
	publish(self, header, to_shared, from_local);
	cgc__pause("publish.done");
	cgc__counter_add(self, CGC__PUBLISHED, 1);
	return false;
}
