/* SPDX-License-Identifier: MIT
 *
 * Retain and release of objects that the calling thread has made, and of one that all threads share.
 */
#include "cgc.h"

struct cgc_type node_type = {
	.name = "node",
	.size = sizeof(struct node),
	CGC_FIELDS(CGC_FIELD(struct node, next), CGC_FIELD(struct node, other)),
};
struct cgc_type leaf_type = {.name = "leaf", .size = sizeof(struct leaf)};

static struct leaf *hot;

static bool says(const struct job *job, const char *word)
{
	return strcmp(job_parameter(job, 0), word) == 0;
}

/* Parameter: private or published. */
void count_prepare(struct job *job)
{
	struct leaf **objects = memory(ROTATION * sizeof(*objects));
	bool is_private = says(job, "private");
	if (!is_private && !says(job, "published"))
		fail("the objects are private or published");
	for (size_t i = 0; i < ROTATION; i++) {
		objects[i] = cgc_new(&leaf_type);
		touch(objects[i]->payload, i);
		if (!is_private)
			cgc_publish(objects[i]);
	}
	job->state = objects;
}

uint64_t count_batch(struct job *job)
{
	struct leaf **objects = job->state;
	for (size_t i = 0; i < LOOP; i++) {
		struct leaf *held = cgc_retain(objects[i % ROTATION]);
		KEEP(held);
		cgc_release(held);
	}
	return LOOP;
}

/* Parameter: plain or immortal. The first thread makes it. */
void hot_prepare(struct job *job)
{
	if (job->thread != 0)
		return;
	hot = cgc_new(&leaf_type);
	touch(hot->payload, 0);
	if (says(job, "immortal"))
		cgc_immortalize(hot);
	else
		cgc_publish(hot);
}

uint64_t hot_batch(struct job *job)
{
	(void)job;
	for (size_t i = 0; i < LOOP; i++) {
		struct leaf *object = hot;
		KEEP(object);
		struct leaf *held = cgc_retain(object);
		KEEP(held);
		cgc_release(held);
	}
	return LOOP;
}

/* Not a time: what an object costs beside its payload. */
uint64_t header_batch(struct job *job)
{
	(void)job;
	report("header_bytes", (double)sizeof(struct cgc__header));
	return 1;
}
