/* SPDX-License-Identifier: MIT
 *
 * `make compare`: malloc and free by hand. Linked with jemalloc, mimalloc, or the C library's own: three programs.
 */
#include "harness.h"

/* The compiler knows malloc() and would merge it with what follows; it does not know these. */
static inline void *take(size_t bytes)
{
	void *block = malloc(bytes);
	if (block == NULL)
		fail("no memory");
	return block;
}

/* ---- alloc.h ---- */

typedef size_t kind;

/* A header of 16 bytes, as a counted object has at least. */
static kind kind_of(struct job *job)
{
	return job_number(job, 1) + 16;
}

static inline void *make(kind bytes)
{
	return take(bytes);
}

static inline void drop(void *object)
{
	free(object);
}

static inline void hand_over(void *object)
{
	(void)object;
}

#include "alloc.h"

/* ---- gcbench.h ---- */

struct tree {
	struct tree *left, *right;
	int i, j;
};

static struct tree *tree_new(void)
{
	struct tree *tree = take(sizeof(*tree));
	*tree = (struct tree){0};
	return tree;
}

static void tree_link(struct tree *parent, struct tree *left, struct tree *right)
{
	parent->left = left;
	parent->right = right;
}

static void tree_drop(struct tree *tree)
{
	if (tree == NULL)
		return;
	tree_drop(tree->left);
	tree_drop(tree->right);
	free(tree);
}

static size_t tree_count(struct tree *tree)
{
	return tree == NULL ? 0 : 1 + tree_count(tree->left) + tree_count(tree->right);
}

static void hole(size_t bytes)
{
	uint64_t *object = take(bytes);
	*object = bytes - sizeof(*object);
	USE(object);
	free(object);
}

static double *doubles_new(size_t count)
{
	return take(count * sizeof(double));
}

static void doubles_drop(double *array)
{
	free(array);
}

#include "gcbench.h"

/* ---- request.h ---- */

struct item {
	struct item *parent, *first, *next, *previous;
	uint64_t payload[2];
};

static struct item *item_new(void)
{
	struct item *item = take(sizeof(*item));
	*item = (struct item){0};
	return item;
}

static void items_drop(struct item *item)
{
	while (item != NULL) {
		struct item *next = item->next;
		items_drop(item->first);
		free(item);
		item = next;
	}
}

#define ITEM_OWNS(item, member, value) ((item)->member = (value))
#define ITEM_KNOWS(item, member, value) ((item)->member = (value))

#include "request.h"

static const struct workload workloads[] = {
	{.name = "alloc", .prepare = alloc_prepare, .batch = alloc_batch},
	{.name = "handover", .prepare = hand_over_prepare, .batch = hand_over_batch},
	{.name = "gcbench", .is_once = true, .prepare = gcbench_prepare, .batch = gcbench_batch},
	{.name = "request", .batch = request_batch},
	{0},
};

const struct peer peer = {.name = "malloc", .workloads = workloads};
