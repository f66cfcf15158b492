/* SPDX-License-Identifier: MIT
 *
 * Garbage rings, private or published; only the collection is timed.
 */
#include "cgc.h"

#define OBJECTS 100000

struct node *ring_of(size_t length)
{
	struct node *first = cgc_new(&node_type), *last = first;
	for (size_t i = 1; i < length; i++) {
		struct node *node = cgc_new(&node_type);
		cgc_store_consume(last, &last->next, node);
		last = node;
	}
	cgc_store(last, &last->next, first);
	return first;
}

/* No collection but those that are measured. Parameters: length, private or published. */
void rings_prepare(struct job *job)
{
	if (strcmp(job_parameter(job, 1), "private") != 0 && strcmp(job_parameter(job, 1), "published") != 0)
		fail("the rings are private or published");
	cgc_disable();
}

uint64_t rings_batch(struct job *job)
{
	size_t length = job_number(job, 0);
	bool publishes = strcmp(job_parameter(job, 1), "published") == 0;
	job_pause(job);
	for (size_t i = 0; i < OBJECTS / length; i++) {
		struct node *ring = ring_of(length);
		if (publishes)
			cgc_publish(ring);
		cgc_release(ring);
	}
	job_resume(job);
	long freed = cgc_collect(publishes ? 2 : 0);
	if (freed != (long)(OBJECTS / length * length))
		fail("rings: not all of them were collected");
	return (uint64_t)freed;
}
