/* SPDX-License-Identifier: MIT
 *
 * The server's memory by hand. See memory.h.
 */
#ifndef MEMORY_MANUAL
#define MEMORY_MANUAL /* for tools that look at this file alone */
#endif
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* In front of each object: what liburcu needs to free it later. */
struct header {
	struct rcu_head later;
	const mem_type *type;
	_Atomic(uint64_t) owners; /* of a shared object: 1 or 0 */
};

void *manual_new(const mem_type *type, size_t more)
{
	struct header *header = mallocx(sizeof(*header) + type->size + more, MALLOCX_ZERO);
	if (header == NULL) {
		fprintf(stderr, "cgc-server: out of memory for an object of %zu bytes\n", type->size + more);
		abort();
	}
	header->type = type;
	if (type->is_shared) {
		/* No order needed: nobody else has it. */
		atomic_store_explicit(&header->owners, 1, memory_order_relaxed);
		graph_manual_add(header + 1);
	}
	return header + 1;
}

void manual_end(void *object)
{
	if (object == NULL)
		return;
	struct header *header = (struct header *)object - 1;
	if (header->type->is_shared) {
		/* OWNER.w: what the owner did, before the sweeper may end it. Pairs: OWNER.r in manual_is_owned(). */
		if (atomic_exchange_explicit(&header->owners, 0, memory_order_acq_rel) != 0) {
			graph_manual_ended();
			return;
		}
	}
	if (header->type->end != NULL)
		header->type->end(object);
	dallocx(header, 0);
}

bool manual_is_owned(void *object)
{
	/* OWNER.r. Pairs: OWNER.w in manual_end(). */
	return atomic_load_explicit(&((struct header *)object - 1)->owners, memory_order_acquire) != 0;
}

static void end_later(struct rcu_head *later)
{
	manual_end((struct header *)later + 1);
}

void manual_retire(void *object)
{
	if (object != NULL)
		urcu_memb_call_rcu(&((struct header *)object - 1)->later, end_later);
}

void manual_retire_shared(void *object)
{
	urcu_memb_call_rcu(&((struct header *)object - 1)->later, end_later);
}

bool mem_start(const char *options)
{
	if (options == NULL)
		return graph_manual_start() == 0;
	fprintf(stderr, "cgc-server: --memory %s: memory by hand has no options\n", options);
	return false;
}

size_t mem_stop(void)
{
	graph_manual_stop();
	return 0;
}

void mem_thread_begin(void)
{
	urcu_memb_register_thread();
}

void mem_thread_end(void)
{
	urcu_memb_unregister_thread();
}

static uint64_t statistic(const char *name)
{
	uint64_t epoch = 1;
	size_t value = 0, length = sizeof(value);
	mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
	if (mallctl(name, &value, &length, NULL, 0) != 0)
		return 0;
	return value;
}

struct memory_numbers mem_numbers(void)
{
	return (struct memory_numbers){"hand", 0, statistic("stats.allocated"), statistic("stats.resident")};
}

void mem_describe(void (*line)(void *argument, const char *name, uint64_t value), void *argument)
{
	line(argument, "bytes_live", statistic("stats.allocated"));
	line(argument, "bytes_reserved", statistic("stats.resident"));
}

void mem_reset_longest(void)
{
}
