/* SPDX-License-Identifier: MIT
 *
 * Cyclic work that ends with the request: a parse tree whose nodes know their parents, and a doubly linked list, built,
 * and dropped as a whole. For the peer that includes this after it has defined
 *
 *     struct item                                with parent, first, next, previous
 *     struct item *item_new(void)
 *     ITEM_OWNS(item, member, value)             consumes value
 *     ITEM_KNOWS(item, member, value)            a link back, which keeps nothing alive where that matters
 *     void items_drop(struct item *tree_or_list)
 */
#ifndef COMPARE_REQUEST_H
#define COMPARE_REQUEST_H

#include "harness.h"

#define TREE_DEPTH 3
#define CHILDREN 3
#define TREE_ITEMS 40
#define LIST_ITEMS 40
#define REQUESTS 16

static struct item *parse_tree(int depth)
{
	struct item *item = item_new(), *first = NULL;
	touch(item->payload, (uint64_t)depth);
	for (int i = 0; depth > 0 && i < CHILDREN; i++) {
		struct item *child = parse_tree(depth - 1);
		ITEM_KNOWS(child, parent, item);
		ITEM_OWNS(child, next, first);
		first = child;
	}
	ITEM_OWNS(item, first, first);
	return item;
}

static struct item *linked_list(void)
{
	struct item *head = item_new(), *last = head;
	touch(head->payload, 0);
	for (uint64_t i = 1; i < LIST_ITEMS; i++) {
		struct item *item = item_new();
		touch(item->payload, i);
		ITEM_KNOWS(item, previous, last);
		ITEM_OWNS(last, next, item);
		last = item;
	}
	return head;
}

/* Objects are the operations. */
static uint64_t request_batch(struct job *job)
{
	(void)job;
	for (int i = 0; i < REQUESTS; i++) {
		struct item *tree = parse_tree(TREE_DEPTH), *list = linked_list();
		ESCAPE(tree);
		ESCAPE(list);
		items_drop(tree);
		items_drop(list);
	}
	return (TREE_ITEMS + LIST_ITEMS) * REQUESTS;
}

#endif
