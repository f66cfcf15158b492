/* SPDX-License-Identifier: MIT
 *
 * Lists: doubly linked, so that every two neighbours are a cycle. Under the shard lock.
 */
#include "types.h"
#include "value.h"

struct list *list_new(void)
{
	struct list *list = mem_new(&list_type);
	list->base.kind = KIND_LIST;
	return list;
}

void list_push(struct list *list, bool at_front, struct string *value)
{
	struct list_node *node = mem_new(&list_node_type);
	mem_put(node, &node->value, value);
	struct list_node *first = mem_get(&list->first), *last = mem_get(&list->last);
	list->length++;
	if (first == NULL) {
		mem_link(list, &list->last, node);
		mem_chain(list, &list->first, node);
	} else if (at_front) {
		mem_link(node, &node->next, first);
		mem_link(first, &first->previous, node);
		mem_chain(list, &list->first, node);
	} else {
		mem_link(node, &node->previous, last);
		mem_link(list, &list->last, node);
		mem_chain(last, &last->next, node);
	}
}

struct string *list_pop(struct list *list, bool at_front)
{
	struct list_node *node = at_front ? mem_get(&list->first) : mem_get(&list->last);
	if (node == NULL)
		return NULL;
	struct string *value = mem_get(&node->value);
	struct list_node *next = mem_get(&node->next), *previous = mem_get(&node->previous);
	list->length--;
	if (next != NULL)
		mem_link(next, &next->previous, previous);
	else
		mem_link(list, &list->last, previous);
	if (previous != NULL)
		mem_unchain(previous, &previous->next, node, next);
	else
		mem_unchain(list, &list->first, node, next);
	return value;
}

struct list_node *list_at(struct list *list, size_t index)
{
	if (index >= list->length)
		return NULL;
	struct list_node *node;
	if (index <= list->length / 2) {
		node = mem_get(&list->first);
		while (index-- > 0)
			node = mem_get(&node->next);
	} else {
		node = mem_get(&list->last);
		for (size_t left = list->length - 1 - index; left > 0; left--)
			node = mem_get(&node->previous);
	}
	return node;
}
