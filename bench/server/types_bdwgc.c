/* SPDX-License-Identifier: MIT
 *
 * The store's types for bdwgc, which finds references by itself.
 */
#ifndef MEMORY_BDWGC
#define MEMORY_BDWGC /* for tools that look at this file alone */
#endif
#include "graph.h"
#include "store.h"
#include "types.h"
#include "value.h"

mem_type string_type = {sizeof(struct string), false};
mem_type list_node_type = {sizeof(struct list_node), true};
mem_type list_type = {sizeof(struct list), true};
mem_type member_type = {sizeof(struct member), true};
mem_type buckets_type = {sizeof(struct buckets), true};
mem_type rank_type = {sizeof(struct rank), true};
mem_type dict_type = {sizeof(struct dict), true};
mem_type entry_type = {sizeof(struct entry), true};
mem_type table_type = {sizeof(struct table), true};
mem_type node_type = {sizeof(struct node), true};
mem_type edges_type = {sizeof(struct edges), true};
