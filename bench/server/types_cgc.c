/* SPDX-License-Identifier: MIT
 *
 * The store's types for libcgc: where the references are. Everything else follows from that.
 */
#include "graph.h"
#include "store.h"
#include "types.h"
#include "value.h"

mem_type string_type = {
	.name = "string",
	.size = sizeof(struct string),
	.flags = CGC_TRAILING_BYTES,
	.trailing = CGC_BYTES_FIELD(struct string, bytes),
};

mem_type list_node_type = {
	.name = "list_node",
	.size = sizeof(struct list_node),
	CGC_FIELDS(CGC_FIELD(struct list_node, next), CGC_FIELD(struct list_node, previous),
                   CGC_FIELD(struct list_node, value)),
};

mem_type list_type = {
	.name = "list",
	.size = sizeof(struct list),
	CGC_FIELDS(CGC_FIELD(struct list, first), CGC_FIELD(struct list, last)),
};

mem_type member_type = {
	.name = "member",
	.size = sizeof(struct member),
	CGC_FIELDS(CGC_FIELD(struct member, next), CGC_FIELD(struct member, value),
                   CGC_FIELD(struct member, rank)),
	.flags = CGC_TRAILING_BYTES,
	.trailing = CGC_BYTES_FIELD(struct member, name),
};

mem_type buckets_type = {
	.name = "buckets",
	.size = sizeof(struct buckets),
	.flags = CGC_TRAILING,
	.trailing = CGC_TRAILING_FIELD(struct buckets, first),
};

mem_type rank_type = {
	.name = "rank",
	.size = sizeof(struct rank),
	CGC_FIELDS(CGC_FIELD(struct rank, member)),
	.flags = CGC_TRAILING,
	.trailing = CGC_TRAILING_FIELD(struct rank, next),
};

mem_type dict_type = {
	.name = "dict",
	.size = sizeof(struct dict),
	CGC_FIELDS(CGC_FIELD(struct dict, buckets), CGC_FIELD(struct dict, ranks)),
};

mem_type entry_type = {
	.name = "entry",
	.size = sizeof(struct entry),
	CGC_FIELDS(CGC_FIELD(struct entry, next), CGC_FIELD(struct entry, value),
                   CGC_FIELD(struct entry, newer), CGC_FIELD(struct entry, older)),
	.flags = CGC_TRAILING_BYTES,
	.trailing = CGC_BYTES_FIELD(struct entry, key),
};

mem_type table_type = {
	.name = "table",
	.size = sizeof(struct table),
	.flags = CGC_TRAILING,
	.trailing = CGC_TRAILING_FIELD(struct table, first),
};

mem_type node_type = {
	.name = "node",
	.size = sizeof(struct node),
	CGC_FIELDS(CGC_FIELD(struct node, out), CGC_FIELD(struct node, in)),
	.flags = CGC_TRAILING_BYTES,
	.trailing = CGC_BYTES_FIELD(struct node, label),
};

mem_type edges_type = {
	.name = "edges",
	.size = sizeof(struct edges),
	.flags = CGC_TRAILING,
	.trailing = CGC_TRAILING_FIELD(struct edges, to),
};
