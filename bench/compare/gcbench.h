/* SPDX-License-Identifier: MIT
 *
 * GCBench (Ellis, Kovac, Boehm), in the form of Whippet's mt-gcbench: each thread builds trees of its own and drops
 * them beside a tree and an array that stay; between the nodes it allocates other things that are garbage at once, of
 * sizes that follow a power law. For the peer that includes this after it has defined
 *
 *     struct tree                    with int i, j; 24 bytes of payload
 *     struct tree *tree_new(void)    zeroed
 *     void tree_link(struct tree *parent, struct tree *left, struct tree *right), which consumes both
 *     void tree_drop(struct tree *)
 *     size_t tree_count(struct tree *)
 *     void hole(size_t bytes)        allocated and given back
 *     double *doubles_new(size_t count), doubles_drop(double *)
 */
#ifndef COMPARE_GCBENCH_H
#define COMPARE_GCBENCH_H

#include "harness.h"

#define LONG_LIVED_DEPTH 16
#define DOUBLES 500000
#define LEAST_DEPTH 4
#define MOST_DEPTH 16

struct bench {
	uint8_t holes[256];
	size_t next_hole;
	uint64_t allocated;
};

static size_t size_of_depth(int depth)
{
	return ((size_t)2 << depth) - 1;
}

/* Geometric: each number is taken with probability 0.15, or the next one is tried. */
static void holes_fill(struct bench *bench)
{
	uint64_t x = 1;
	for (int i = 0; i < 256; i++) {
		uint8_t hole_words = 0;
		while ((x = x * 6364136223846793005u + 1442695040888963407u) >> 32 >= 644245094 &&
		       hole_words < 64)
			hole_words++;
		bench->holes[i] = hole_words;
	}
}

static inline void garbage(struct bench *bench)
{
	size_t words = bench->holes[bench->next_hole++ & 255];
	if (words == 0)
		return;
	hole(8 + 8 * words);
	bench->allocated++;
}

static struct tree *node(struct bench *bench)
{
	bench->allocated++;
	return tree_new();
}

static void top_down(struct bench *bench, int depth, struct tree *tree)
{
	if (depth == 0)
		return;
	garbage(bench);
	struct tree *left = node(bench);
	garbage(bench);
	struct tree *right = node(bench);
	tree_link(tree, left, right);
	tree->j = depth;
	top_down(bench, depth - 1, left);
	top_down(bench, depth - 1, right);
}

static struct tree *bottom_up(struct bench *bench, int depth)
{
	if (depth == 0)
		return node(bench);
	struct tree *left = bottom_up(bench, depth - 1), *right = bottom_up(bench, depth - 1);
	garbage(bench);
	struct tree *tree = node(bench);
	tree_link(tree, left, right);
	tree->j = depth;
	return tree;
}

/* Each depth allocates about as much. `divisor`: of the number of trees, for shorter runs. */
static void trees(struct bench *bench, int depth, size_t divisor)
{
	size_t count = 2 * size_of_depth(MOST_DEPTH + 2) / size_of_depth(depth) / divisor;
	for (size_t i = 0; i < count; i++) {
		struct tree *tree = node(bench);
		top_down(bench, depth, tree);
		tree_drop(tree);
	}
	for (size_t i = 0; i < count; i++)
		tree_drop(bottom_up(bench, depth));
}

void gcbench_prepare(struct job *job)
{
	job->state = memory(sizeof(struct bench));
	holes_fill(job->state);
}

/* Objects allocated are the operations. */
uint64_t gcbench_batch(struct job *job)
{
	struct bench *bench = job->state;
	size_t divisor = job_number(job, 0);
	struct tree *long_lived = node(bench);
	top_down(bench, LONG_LIVED_DEPTH, long_lived);
	double *array = doubles_new(DOUBLES);
	for (int i = 0; i < DOUBLES / 2; i++)
		array[i] = 1.0 / (i + 1);
	for (int depth = LEAST_DEPTH; depth <= MOST_DEPTH; depth += 2)
		trees(bench, depth, divisor);
	if (tree_count(long_lived) != size_of_depth(LONG_LIVED_DEPTH) || array[999] != 1.0 / 1000)
		fail("gcbench: the tree or the array that stay are damaged");
	tree_drop(long_lived);
	doubles_drop(array);
	return bench->allocated;
}

#endif
