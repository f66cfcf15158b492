/* SPDX-License-Identifier: MIT
 *
 * The objects that are still alive when the library stops, by type and by where they were allocated: what a forgotten
 * release looks like.
 */
#include <stdio.h>

#include "count.h"
#include "type.h"

#define NAMED 64 /* types listed one by one */

struct tally {
	uint16_t type;
	size_t objects, bytes;
};

/* Calls visit for every object there is. */
static void visit_all(void (*visit)(struct tally *argument, const struct cgc__slab *slab, uint32_t cell),
                      struct tally *argument)
{
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next)
		for (size_t i = 0; i < context->slab_count; i++)
			for (uint32_t cell = 0; cell < context->slabs[i]->bumped; cell++) {
				const struct cgc__header *header = cgc__slab_header(context->slabs[i], cell);
				if (CGC__KIND(cgc__count_bias(header)) != CGC__FREE)
					visit(argument, context->slabs[i], cell);
			}
}

static void add_to_type(struct tally *tallies, const struct cgc__slab *slab, uint32_t cell)
{
	const struct cgc__header *header = cgc__slab_header(slab, cell);
	size_t i = 0;
	while (i < NAMED - 1 && tallies[i].objects > 0 && tallies[i].type != header->type)
		i++;
	tallies[i].type = header->type;
	tallies[i].objects++;
	tallies[i].bytes += cgc__reclaim_bytes(header + 1);
}

static void add_to_site(struct tally *tally, const struct cgc__slab *slab, uint32_t cell)
{
	if (cgc__slab_header(slab, cell)->type == tally->type)
		cgc__sites_count(slab, cell);
}

/* After all threads have detached. Another pass for the sites of each type, so that none of it needs memory. */
void cgc__leaks_print(void)
{
	struct tally tallies[NAMED] = {0};
	visit_all(add_to_type, tallies);
	for (size_t i = 0; i < NAMED && tallies[i].objects > 0; i++) {
		bool is_one_type = i < NAMED - 1;
		fprintf(stderr, "cgc: cgc_stop: %zu objects of type %s (%zu bytes) are still alive\n",
		        tallies[i].objects, is_one_type ? cgc__type_of_id(tallies[i].type)->name : "(others)",
		        tallies[i].bytes);
		if (!is_one_type)
			break;
		cgc__sites_clear();
		visit_all(add_to_site, &tallies[i]);
		cgc__sites_print();
	}
}
