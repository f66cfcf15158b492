/* SPDX-License-Identifier: MIT
 *
 * Rings: private ones, dropped and collected by their thread, and published ones for the detector.
 */
#include <stdio.h>
#include <stdlib.h>

#include "node.h"

struct node *node_ring(size_t length)
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

long rings_cgc(size_t length)
{
	for (size_t i = 0; i < BATCH / length; i++) {
		struct node *ring = node_ring(length);
		ESCAPE(ring);
		cgc_release(ring);
	}
	return cgc_collect(0);
}

/* What somebody writes who knows when a ring is over. */
struct block {
	struct block *next, *other;
	char payload[PAYLOAD - 2 * sizeof(void *)];
};

static struct block *block_new(struct block *next)
{
	struct block *block = malloc(sizeof(*block));
	if (block == NULL) {
		fprintf(stderr, "bench: no memory for a ring\n");
		exit(1);
	}
	block->next = next;
	block->other = NULL;
	return block;
}

void rings_malloc(size_t length)
{
	struct block *rings[BATCH];
	size_t count = BATCH / length;
	for (size_t i = 0; i < count; i++) {
		struct block *last = block_new(NULL), *first = last;
		for (size_t j = 1; j < length; j++)
			first = block_new(first);
		last->next = first;
		ESCAPE(first);
		rings[i] = first;
	}
	for (size_t i = 0; i < count; i++) {
		struct block *block = rings[i]->next;
		while (block != rings[i]) {
			struct block *next = block->next;
			free(block);
			block = next;
		}
		free(block);
	}
}

struct rings {
	size_t count;
	struct node *handles[];
};

struct rings *rings_hold(size_t count)
{
	struct rings *rings = malloc(sizeof(*rings) + count * sizeof(struct node *));
	if (rings == NULL) {
		fprintf(stderr, "bench: no memory for %zu handles\n", count);
		exit(1);
	}
	rings->count = count;
	for (size_t i = 0; i < count; i++) {
		rings->handles[i] = node_ring(RING);
		cgc_publish(rings->handles[i]);
	}
	return rings;
}

void rings_drop(struct rings *rings)
{
	for (size_t i = 0; i < rings->count; i++)
		cgc_release(rings->handles[i]);
	free(rings);
}

long rings_look(void)
{
	return cgc_collect(2);
}

void automatic_collection(bool is_on)
{
	if (is_on)
		cgc_enable();
	else
		cgc_disable();
}
