/* SPDX-License-Identifier: MIT
 *
 * Nodes and edges. See graph.h.
 */
#include "graph.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"

/* Locks of nodes, by address; of two, the lower one first. */
#define LOCKS 256
static pthread_mutex_t locks[LOCKS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void)
{
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&locks[i], NULL);
}

static uint64_t hash_of(const void *address)
{
	return ((uintptr_t)address >> 4) * UINT64_C(0x9E3779B97F4A7C15);
}

static void lock_both(const struct node *a, const struct node *b)
{
	size_t i = hash_of(a) >> 56, j = hash_of(b) >> 56;
	pthread_once(&once, start);
	pthread_mutex_lock(&locks[i < j ? i : j]);
	if (i != j)
		pthread_mutex_lock(&locks[i < j ? j : i]);
}

static void unlock_both(const struct node *a, const struct node *b)
{
	size_t i = hash_of(a) >> 56, j = hash_of(b) >> 56;
	pthread_mutex_unlock(&locks[i]);
	if (i != j)
		pthread_mutex_unlock(&locks[j]);
}

void graph_lock_all(void)
{
	pthread_once(&once, start);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_lock(&locks[i]);
}

void graph_unlock_all(void)
{
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_unlock(&locks[i]);
}

struct node *node_new(const char *label, size_t length)
{
	struct node *node = mem_new_bytes(&node_type, length);
	node->base.kind = KIND_NODE;
	node->length = (uint32_t)length;
	memcpy(node->label, label, length);
	return node;
}

static size_t count_of(const struct edges *edges)
{
	return edges != NULL ? edges->count : 0;
}

static size_t find(struct edges *edges, const struct node *to)
{
	size_t i = 0;
	while (i < count_of(edges) && mem_get(&edges->to[i]) != to)
		i++;
	return i;
}

/* A copy with one more, or without the one at `without`; NULL if that is none. */
static struct edges *copy(struct edges *edges, struct node *more, size_t without)
{
	size_t old = count_of(edges), count = old + (more != NULL) - (without < old);
	if (count == 0)
		return NULL;
	struct edges *result = mem_new_slots(&edges_type, count);
	size_t used = 0;
	for (size_t i = 0; i < old; i++)
		if (i != without)
			mem_link(result, &result->to[used++], mem_get(&edges->to[i]));
	if (more != NULL)
		mem_link(result, &result->to[used++], more);
	result->count = count;
	return result;
}

static bool is_dropped(struct node *node)
{
	/* No order needed: under its lock. */
	return atomic_load_explicit(&node->is_dropped, memory_order_relaxed);
}

bool graph_link(struct node *from, struct node *to)
{
	lock_both(from, to);
	struct edges *out = mem_get(&from->out);
	bool links = !is_dropped(from) && !is_dropped(to) && find(out, to) == count_of(out);
	if (links) {
		mem_put(from, &from->out, copy(out, to, SIZE_MAX));
		mem_put(to, &to->in, copy(mem_get(&to->in), from, SIZE_MAX));
	}
	unlock_both(from, to);
	return links;
}

bool graph_unlink(struct node *from, struct node *to)
{
	lock_both(from, to);
	struct edges *out = mem_get(&from->out), *in = mem_get(&to->in);
	size_t at = find(out, to);
	bool unlinks = at < count_of(out);
	if (unlinks) {
		mem_put(from, &from->out, copy(out, NULL, at));
		mem_put(to, &to->in, copy(in, NULL, find(in, from)));
	}
	unlock_both(from, to);
	return unlinks;
}

size_t graph_drop(struct node *node)
{
	size_t cut = 0;
	lock_both(node, node);
	/* No order needed: under its lock. */
	atomic_store_explicit(&node->is_dropped, true, memory_order_relaxed);
	unlock_both(node, node);
	/* No edge is added any more, so this ends. */
	for (struct edges *edges; (edges = mem_get(&node->out)) != NULL;)
		cut += graph_unlink(node, mem_get(&edges->to[0]));
	for (struct edges *edges; (edges = mem_get(&node->in)) != NULL;)
		cut += graph_unlink(mem_get(&edges->to[0]), node);
	return cut;
}

struct node *graph_step(struct node *from, const char *label, size_t length)
{
	struct edges *out = mem_get(&from->out);
	for (size_t i = 0; i < count_of(out); i++) {
		struct node *to = mem_get(&out->to[i]);
		if (to->length == length && memcmp(to->label, label, length) == 0)
			return to;
	}
	return NULL;
}

/* ---- walking -------------------------------------------------------------------------------------------- */

struct walk {
	struct node **nodes;
	size_t *found_from;
	size_t count, limit;
	size_t *seen; /* index + 1 by address */
	size_t mask;
};

static bool add(struct walk *walk, struct node *node, size_t from)
{
	size_t i = hash_of(node) >> 20 & walk->mask;
	for (; walk->seen[i] != 0; i = (i + 1) & walk->mask)
		if (walk->nodes[walk->seen[i] - 1] == node)
			return false;
	if (walk->count == walk->limit)
		return false;
	walk->nodes[walk->count] = node;
	walk->found_from[walk->count] = from;
	walk->seen[i] = ++walk->count;
	return true;
}

struct node **graph_walk(struct node *first, const struct node *last, size_t limit, size_t **found_from,
                         size_t *count)
{
	struct walk walk = {.limit = limit, .mask = 15};
	while (walk.mask < 2 * limit)
		walk.mask = 2 * walk.mask + 1;
	walk.nodes = calloc(limit, sizeof(*walk.nodes));
	walk.found_from = calloc(limit, sizeof(*walk.found_from));
	walk.seen = calloc(walk.mask + 1, sizeof(*walk.seen));
	if (walk.nodes == NULL || walk.found_from == NULL || walk.seen == NULL) {
		fprintf(stderr, "cgc-server: out of memory for a walk of %zu nodes\n", limit);
		abort();
	}
	add(&walk, first, 0);
	for (size_t i = 0; i < walk.count && (last == NULL || walk.nodes[walk.count - 1] != last); i++) {
		struct edges *out = mem_get(&walk.nodes[i]->out);
		for (size_t j = 0; j < count_of(out); j++)
			if (add(&walk, mem_get(&out->to[j]), i) && walk.nodes[walk.count - 1] == last)
				break;
	}
	free(walk.seen);
	*found_from = walk.found_from;
	*count = walk.count;
	return walk.nodes;
}
