/* SPDX-License-Identifier: MIT
 *
 * A graph of nodes with edges that both ends know. Some nodes are values of keys; the others are there as long as they
 * are connected, in either direction, with one of those. Nobody keeps a list of nodes: what a dropped node held
 * together falls off by itself, where the memory manager can find it.
 *
 * A node is named by a path: a key, then labels of edges' ends, with slashes between.
 */
#ifndef SERVER_GRAPH_H
#define SERVER_GRAPH_H

#include "command.h"

/* Never changes; another one takes its place. */
struct edges {
	size_t count;
	LINK(struct node) to[];
};

struct node {
	struct value base;
	uint32_t length;
	_Atomic(bool) is_dropped; /* changes under its lock: has no edges and gets none */
	OWN(struct edges) out;    /* change under its lock; read in sections */
	OWN(struct edges) in;
	MEM_MARK /* for memory by hand, which has to find what falls off */
		char label[];
};

/* For memory by hand: all writers stand still. */
void graph_lock_all(void);
void graph_unlock_all(void);

struct node *node_new(const char *label, size_t length);
/* In a section, all of these. False if the edge is there already (or is not), or one of the nodes is dropped. */
bool graph_link(struct node *from, struct node *to);
bool graph_unlink(struct node *from, struct node *to);
/* Cuts all edges of a node; returns how many. */
size_t graph_drop(struct node *node);
/* The node at the other end of an edge out of `from`, by label. */
struct node *graph_step(struct node *from, const char *label, size_t length);

/* Breadth first along edges out, from `first`, until `last` (if not NULL) or `limit` nodes. Returns the nodes in
 * order of their distance, and for each the index of the one it was found from; *count of them; free() both. */
struct node **graph_walk(struct node *first, const struct node *last, size_t limit, size_t **found_from,
                         size_t *count);

#endif
