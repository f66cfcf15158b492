/* SPDX-License-Identifier: MIT
 *
 * Cyclic work that ends with the request: private, so that the young generations take it, or all of it published, so
 * that the detector must. What is garbage in the end is collected before the clock stops.
 */
#include "cgc.h"

struct item {
	cgc_ref(struct item) parent;
	cgc_ref(struct item) first;
	cgc_ref(struct item) next;
	cgc_ref(struct item) previous;
	uint64_t payload[2];
};
static struct cgc_type item_type = {
	.name = "item",
	.size = sizeof(struct item),
	CGC_FIELDS(CGC_FIELD(struct item, parent), CGC_FIELD(struct item, first), CGC_FIELD(struct item, next),
                   CGC_FIELD(struct item, previous)),
};

/* The same for all threads. */
static bool publishes;

static struct item *item_new(void)
{
	struct item *item = cgc_new(&item_type);
	if (publishes)
		cgc_publish(item);
	return item;
}

static void items_drop(struct item *items)
{
	cgc_release(items);
}

#define ITEM_OWNS(item, member, value) cgc_store_consume((item), &(item)->member, (value))
#define ITEM_KNOWS(item, member, value) cgc_store((item), &(item)->member, (value))

#include "request.h"

/* Parameter: private or published. */
void request_prepare(struct job *job)
{
	if (job->thread == 0)
		publishes = strcmp(job_parameter(job, 0), "published") == 0;
}

uint64_t requests_batch(struct job *job)
{
	return request_batch(job);
}

void request_finish(struct job *job)
{
	(void)job;
	cgc_collect(publishes ? 2 : 1);
}
