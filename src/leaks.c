/* SPDX-License-Identifier: MIT
 *
 * The objects that are still alive when the library stops, by type: what a forgotten release looks like.
 */
#include <stdio.h>

#include "count.h"

#define NAMED 64 /* types listed one by one */

struct tally {
	uint16_t type;
	size_t objects, bytes;
};

static void add(struct tally *tallies, const struct cgc__header *header)
{
	size_t i = 0;
	while (i < NAMED - 1 && tallies[i].objects > 0 && tallies[i].type != header->type)
		i++;
	tallies[i].type = header->type;
	tallies[i].objects++;
	tallies[i].bytes += cgc__reclaim_bytes(header + 1);
}

/* After all threads have detached. */
void cgc__leaks_print(void)
{
	struct tally tallies[NAMED] = {0};
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next)
		for (size_t i = 0; i < context->slab_count; i++)
			for (uint32_t cell = 0; cell < context->slabs[i]->bumped; cell++) {
				const struct cgc__header *header = cgc__slab_header(context->slabs[i], cell);
				if (CGC__KIND(cgc__count_bias(header)) != CGC__FREE)
					add(tallies, header);
			}
	for (size_t i = 0; i < NAMED && tallies[i].objects > 0; i++)
		fprintf(stderr, "cgc: cgc_stop: %zu objects of type %s (%zu bytes) are still alive\n",
		        tallies[i].objects,
		        i == NAMED - 1 ? "(others)" : cgc__type_of_id(tallies[i].type)->name, tallies[i].bytes);
}
