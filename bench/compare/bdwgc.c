/* SPDX-License-Identifier: MIT
 *
 * `make compare`: Boehm's collector, as its package configures it. What has no pointers is allocated as such.
 */
#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include <gc.h>

#include "harness.h"

static inline void *take(size_t bytes)
{
	void *object = GC_MALLOC(bytes);
	if (object == NULL)
		fail("no memory");
	return object;
}

static inline void *take_plain(size_t bytes)
{
	void *object = GC_MALLOC_ATOMIC(bytes);
	if (object == NULL)
		fail("no memory");
	return object;
}

static void begin(void)
{
	GC_INIT();
	GC_allow_register_threads();
}

static void thread_begin(void)
{
	struct GC_stack_base base;
	if (GC_get_stack_base(&base) != GC_SUCCESS || GC_register_my_thread(&base) != GC_SUCCESS)
		fail("cannot register a thread");
}

static void thread_end(void)
{
	GC_unregister_my_thread();
}

/* ---- alloc.h ---- */

typedef size_t kind;

static kind kind_of(struct job *job)
{
	return job_number(job, 1);
}

static inline void *make(kind bytes)
{
	return take_plain(bytes);
}

static inline void drop(void *object)
{
	KEEP(object);
}

static inline void hand_over(void *object)
{
	(void)object;
}

#include "alloc.h"

/* What a job holds is in memory that the collector does not see. */
static void traced_alloc_prepare(struct job *job)
{
	alloc_prepare(job);
	GC_add_roots(job->state, (char *)job->state + sizeof(struct allocation));
}

/* ---- gcbench.h ---- */

struct tree {
	struct tree *left, *right;
	int i, j;
};

static struct tree *tree_new(void)
{
	return take(sizeof(struct tree));
}

static void tree_link(struct tree *parent, struct tree *left, struct tree *right)
{
	parent->left = left;
	parent->right = right;
}

static void tree_drop(struct tree *tree)
{
	KEEP(tree);
}

static size_t tree_count(struct tree *tree)
{
	return tree == NULL ? 0 : 1 + tree_count(tree->left) + tree_count(tree->right);
}

static void hole(size_t bytes)
{
	uint64_t *object = take_plain(bytes);
	*object = bytes - sizeof(*object);
	ESCAPE(object);
}

static double *doubles_new(size_t count)
{
	return take_plain(count * sizeof(double));
}

static void doubles_drop(double *array)
{
	KEEP(array);
}

#include "gcbench.h"

/* ---- request.h ---- */

struct item {
	struct item *parent, *first, *next, *previous;
	uint64_t payload[2];
};

static struct item *item_new(void)
{
	return take(sizeof(struct item));
}

static void items_drop(struct item *items)
{
	KEEP(items);
}

#define ITEM_OWNS(item, member, value) ((item)->member = (value))
#define ITEM_KNOWS(item, member, value) ((item)->member = (value))

#include "request.h"

static const struct workload workloads[] = {
	{.name = "alloc", .prepare = traced_alloc_prepare, .batch = alloc_batch},
	{.name = "handover", .prepare = hand_over_prepare, .batch = hand_over_batch},
	{.name = "gcbench", .is_once = true, .prepare = gcbench_prepare, .batch = gcbench_batch},
	{.name = "request", .batch = request_batch},
	{0},
};

const struct peer peer = {
	.name = "bdwgc",
	.begin = begin,
	.thread_begin = thread_begin,
	.thread_end = thread_end,
	.workloads = workloads,
};
