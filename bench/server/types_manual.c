/* SPDX-License-Identifier: MIT
 *
 * The store's types for memory by hand: what each object owns, and in which order that ends. Chains end in loops.
 */
#ifndef MEMORY_MANUAL
#define MEMORY_MANUAL /* for tools that look at this file alone */
#endif
#include "graph.h"
#include "store.h"
#include "types.h"
#include "value.h"

/* Ends a chain through the field `next` of its links. */
#define END_CHAIN(T, first)                                         \
	for (T *link = (first), *next; link != NULL; link = next) { \
		next = mem_get(&link->next);                        \
		manual_end(link);                                   \
	}

static void end_list_node(void *object)
{
	struct list_node *node = object;
	manual_end(mem_get(&node->value));
}

static void end_list(void *object)
{
	struct list *list = object;
	END_CHAIN(struct list_node, mem_get(&list->first))
}

static void end_member(void *object)
{
	struct member *member = object;
	manual_end(mem_get(&member->value));
}

static void end_buckets(void *object)
{
	struct buckets *buckets = object;
	for (size_t i = 0; i < buckets->count; i++)
		END_CHAIN(struct member, mem_get(&buckets->first[i]))
}

static void end_dict(void *object)
{
	struct dict *dict = object;
	for (struct rank *rank = mem_get(&dict->ranks), *next; rank != NULL; rank = next) {
		next = mem_get(&rank->next[0]);
		manual_end(rank);
	}
	manual_end(mem_get(&dict->buckets));
}

static void end_entry(void *object)
{
	struct entry *entry = object;
	manual_end(mem_get(&entry->value));
}

static void end_table(void *object)
{
	struct table *table = object;
	for (size_t i = 0; i < table->count; i++)
		END_CHAIN(struct entry, mem_get(&table->first[i]))
}

mem_type string_type = {.size = sizeof(struct string)};
mem_type list_node_type = {.size = sizeof(struct list_node), .end = end_list_node};
mem_type list_type = {.size = sizeof(struct list), .end = end_list};
mem_type member_type = {.size = sizeof(struct member), .end = end_member};
mem_type buckets_type = {.size = sizeof(struct buckets), .end = end_buckets};
mem_type rank_type = {.size = sizeof(struct rank)};
mem_type dict_type = {.size = sizeof(struct dict), .end = end_dict};
mem_type entry_type = {.size = sizeof(struct entry), .end = end_entry};
mem_type table_type = {.size = sizeof(struct table), .end = end_table};

static void end_node(void *object)
{
	struct node *node = object;
	manual_end(mem_get(&node->out));
	manual_end(mem_get(&node->in));
}

mem_type node_type = {.size = sizeof(struct node), .end = end_node, .is_shared = true};
mem_type edges_type = {.size = sizeof(struct edges)};
