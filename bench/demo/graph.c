/* SPDX-License-Identifier: MIT
 *
 * The types of the graph, and its seals.
 */
#include "graph.h"

#include <stdio.h>
#include <stdlib.h>

universe_ref current;

static void unseal(void *object)
{
	struct seal *seal = object;
	seal_check(object, (enum kind)seal->kind);
	seal->sum = 0;
}

static void destroy_text(void *object)
{
	struct text *text = object;
	unseal(object);
	free(text->bytes);
}

struct cgc_type text_type = {
	.name = "text", .size = sizeof(struct text), .flags = CGC_ACYCLIC, .destroy = destroy_text};

struct cgc_type universe_type = {.name = "universe",
                                 .size = sizeof(struct universe),
                                 .destroy = unseal,
                                 CGC_FIELDS(CGC_FIELD(struct universe, table))};

struct cgc_type table_type = {.name = "table",
                              .size = sizeof(struct table),
                              .destroy = unseal,
                              .flags = CGC_TRAILING,
                              .trailing = CGC_TRAILING_FIELD(struct table, items)};

struct cgc_type package_type = {
	.name = "package",
	.size = sizeof(struct package),
	.destroy = unseal,
	CGC_FIELDS(CGC_FIELD(struct package, name), CGC_FIELD(struct package, candidate),
                   CGC_FIELD(struct package, installed), CGC_FIELD(struct package, reverse),
                   CGC_FIELD(struct package, providers))};

struct cgc_type version_type = {.name = "version",
                                .size = sizeof(struct version),
                                .destroy = unseal,
                                CGC_FIELDS(CGC_FIELD(struct version, package),
                                           CGC_FIELD(struct version, number), CGC_FIELD(struct version, older)),
                                .flags = CGC_TRAILING,
                                .trailing = CGC_TRAILING_FIELD(struct version, edges)};

struct cgc_type edge_type = {.name = "edge",
                             .size = sizeof(struct edge),
                             .destroy = unseal,
                             CGC_FIELDS(CGC_FIELD(struct edge, owner)),
                             .flags = CGC_TRAILING,
                             .trailing = CGC_TRAILING_FIELD(struct edge, alternatives)};

struct cgc_type alternative_type = {
	.name = "alternative",
	.size = sizeof(struct alternative),
	.destroy = unseal,
	CGC_FIELDS(CGC_FIELD(struct alternative, edge), CGC_FIELD(struct alternative, target))};

struct cgc_type edge_list_type = {.name = "edge list",
                                  .size = sizeof(struct edge_list),
                                  .destroy = unseal,
                                  .flags = CGC_TRAILING,
                                  .trailing = CGC_TRAILING_FIELD(struct edge_list, items)};

struct cgc_type version_list_type = {.name = "version list",
                                     .size = sizeof(struct version_list),
                                     .destroy = unseal,
                                     .flags = CGC_TRAILING,
                                     .trailing = CGC_TRAILING_FIELD(struct version_list, items)};

struct cgc_type installation_type = {.name = "installation",
                                     .size = sizeof(struct installation),
                                     .destroy = unseal,
                                     CGC_FIELDS(CGC_FIELD(struct installation, package),
                                                CGC_FIELD(struct installation, version),
                                                CGC_FIELD(struct installation, transaction))};

struct cgc_type transaction_type = {.name = "transaction",
                                    .size = sizeof(struct transaction),
                                    .destroy = unseal,
                                    .flags = CGC_TRAILING,
                                    .trailing = CGC_TRAILING_FIELD(struct transaction, items)};

struct cgc_type step_type = {.name = "step",
                             .size = sizeof(struct step),
                             .destroy = unseal,
                             CGC_FIELDS(CGC_FIELD(struct step, package), CGC_FIELD(struct step, parent),
                                        CGC_FIELD(struct step, child), CGC_FIELD(struct step, sibling))};

static void *seal_new(void *object, enum kind kind, uint32_t id)
{
	*(struct seal *)object = (struct seal){.kind = kind, .id = id, .sum = seal_sum(object, kind, id)};
	return object;
}

void *graph_new(struct cgc_type *type, enum kind kind, uint32_t id)
{
	return seal_new(cgc_new(type), kind, id);
}

void *graph_new_n(struct cgc_type *type, enum kind kind, uint32_t id, size_t count)
{
	return seal_new(cgc_new_n(type, count), kind, id);
}

void seal_broken(const void *object, enum kind kind)
{
	const struct seal *seal = object;
	fprintf(stderr,
	        "\ndemo: object %p should be of kind %d, and has kind %u, id %u, sum %#llx: it was given back "
	        "while "
	        "in use, or overwritten\n",
	        object, (int)kind, seal->kind, seal->id, (unsigned long long)seal->sum);
	abort();
}

void graph_broken(const void *object, const char *what)
{
	fprintf(stderr, "\ndemo: object %p: %s\n", object, what);
	abort();
}
