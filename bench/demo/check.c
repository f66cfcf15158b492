/* SPDX-License-Identifier: MIT
 *
 * A set of addresses and a stack, nothing of the library's but cgc_visit_references().
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "graph.h"

#define ROUNDS 100 /* each ends a grace period at least: far more than there is to wait for */

struct walk {
	void **set;   /* open addressing */
	size_t size;  /* a power of two */
	size_t count; /* distinct objects reached */
	void **stack; /* reached, not yet looked at */
	size_t depth, room;
	size_t by_kind[KINDS];
};

_Noreturn static void fail_memory(size_t count)
{
	fprintf(stderr, "demo: out of memory for a walk over %zu objects\n", count);
	exit(1);
}

static void **place_of(void **set, size_t size, const void *object)
{
	size_t at = seal_sum(object, 0, 0) >> 20 & (size - 1);
	while (set[at] != NULL && set[at] != object)
		at = (at + 1) & (size - 1);
	return &set[at];
}

static void grow_set(struct walk *walk)
{
	size_t size = walk->size == 0 ? 4096 : walk->size * 2;
	void **set = calloc(size, sizeof(*set));
	if (set == NULL)
		fail_memory(size);
	for (size_t i = 0; i < walk->size; i++)
		if (walk->set[i] != NULL)
			*place_of(set, size, walk->set[i]) = walk->set[i];
	free(walk->set);
	walk->set = set;
	walk->size = size;
}

static void reach(void *object, void *argument)
{
	struct walk *walk = argument;
	if (walk->count * 2 >= walk->size)
		grow_set(walk);
	void **place = place_of(walk->set, walk->size, object);
	if (*place != NULL)
		return;
	*place = object;
	walk->count++;
	if (walk->depth == walk->room) {
		walk->room = walk->room == 0 ? 1024 : walk->room * 2;
		walk->stack = reallocarray(walk->stack, walk->room, sizeof(*walk->stack));
		if (walk->stack == NULL)
			fail_memory(walk->room);
	}
	walk->stack[walk->depth++] = object;
}

static size_t count_reachable(struct walk *walk)
{
	struct universe *universe = cgc_load(CGC_ROOT, &current);
	if (universe != NULL)
		reach(universe, walk);
	while (walk->depth > 0) {
		struct seal *seal = walk->stack[--walk->depth];
		if (seal->kind == 0 || seal->kind >= KINDS)
			seal_broken(seal, UNIVERSE);
		seal_check(seal, (enum kind)seal->kind);
		walk->by_kind[seal->kind]++;
		cgc_visit_references(seal, reach, walk);
	}
	cgc_release(universe);
	free(walk->set);
	free(walk->stack);
	return walk->count;
}

/* The live objects once nothing is left to collect or to wait for. */
static uint64_t settle(void)
{
	struct cgc_stats stats;
	for (int i = 0; i < ROUNDS; i++) {
		long collected = cgc_collect(2);
		cgc_get_stats(&stats);
		if (collected == 0 && stats.objects_waiting == 0)
			break;
	}
	if (stats.objects_waiting != 0)
		printf("%llu objects still wait to be given back\n", (unsigned long long)stats.objects_waiting);
	return stats.objects_live;
}

static void print_kinds(const struct walk *walk)
{
	static const char *const names[KINDS] = {
		NULL,    "universe",     "table",      "packages",      "texts",         "versions",
		"edges", "alternatives", "edge lists", "version lists", "installations", "transactions",
		"steps",
	};
	const char *separator = "  reached:";
	for (int kind = 1; kind < KINDS; kind++) {
		if (walk->by_kind[kind] == 0)
			continue;
		printf("%s %zu %s", separator, walk->by_kind[kind], names[kind]);
		separator = ",";
	}
	printf("\n");
}

static bool verdict(const char *when, uint64_t live, size_t reached)
{
	printf("%s: %llu live, %zu reached from the root: %s\n", when, (unsigned long long)live, reached,
	       live == reached ? "equal" : "DIFFERENT");
	return live == reached;
}

bool check_end(void)
{
	struct walk walk = {0}, nothing = {0};
	uint64_t live = settle();
	bool is_right = verdict("check, at the end", live, count_reachable(&walk));
	print_kinds(&walk);
	cgc_release(cgc_exchange(CGC_ROOT, &current, NULL));
	live = settle();
	is_right &= verdict("check, root dropped", live, count_reachable(&nothing));
	return is_right;
}
