/* SPDX-License-Identifier: MIT
 *
 * Builds whole universes out of the source. Until it is stored into the root, a universe is seen by nobody else.
 */
#include "build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An edge, or a version that provides, and the name it leads to: waits until the length of the lists is known. */
struct link {
	void *from; /* borrowed: the universe holds it */
	uint32_t name;
};

struct links {
	struct link *items;
	uint32_t count, room;
};

/* What is known of a name while a universe is built. */
struct slot {
	struct package *package;   /* owned until the table takes it */
	struct edge_list *reverse; /* borrowed: the package holds it */
	struct version_list *providers;
	uint32_t reverse_count, provider_count;
	bool is_chosen;
};

struct builder {
	const struct source *source;
	struct slot *slots;        /* by name */
	struct version **versions; /* by stanza; borrowed: the packages hold them */
	uint32_t *chosen;          /* names with stanzas, in the order of choice */
	uint32_t *used;            /* names that have a package */
	uint32_t chosen_count, used_count;
	struct links edges, provided;
	uint32_t version_count;
};

static void *allocate(size_t count, size_t size)
{
	void *array = calloc(count > 0 ? count : 1, size);
	if (array == NULL) {
		fprintf(stderr, "demo: out of memory for %zu elements of %zu bytes\n", count, size);
		exit(1);
	}
	return array;
}

struct builder *builder_new(const struct source *source)
{
	struct builder *builder = allocate(1, sizeof(*builder));
	builder->source = source;
	builder->slots = allocate(source->name_count, sizeof(*builder->slots));
	builder->versions = allocate(source->stanza_count, sizeof(struct version *));
	builder->chosen = allocate(source->name_count, sizeof(*builder->chosen));
	builder->used = allocate(source->name_count, sizeof(*builder->used));
	return builder;
}

void builder_free(struct builder *builder)
{
	free(builder->slots);
	free(builder->versions);
	free(builder->chosen);
	free(builder->used);
	free(builder->edges.items);
	free(builder->provided.items);
	free(builder);
}

static void add_link(struct links *links, void *from, uint32_t name)
{
	if (links->count == links->room) {
		links->room = links->room == 0 ? 1024 : links->room * 2;
		links->items = reallocarray(links->items, links->room, sizeof(*links->items));
		if (links->items == NULL) {
			fprintf(stderr, "demo: out of memory for %u links\n", links->room);
			exit(1);
		}
	}
	links->items[links->count++] = (struct link){.from = from, .name = name};
}

static void choose(struct builder *builder, uint32_t name)
{
	if (builder->source->names[name].first_stanza == NOTHING || builder->slots[name].is_chosen)
		return;
	builder->slots[name].is_chosen = true;
	builder->chosen[builder->chosen_count++] = name;
}

/* Breadth first along the dependencies; where they end, a new random start. */
static void choose_names(struct builder *builder, uint32_t packages, uint64_t *random)
{
	const struct source *source = builder->source;
	if (packages > source->named_count)
		packages = source->named_count;
	for (uint32_t done = 0; builder->chosen_count < packages;) {
		if (done == builder->chosen_count) {
			uint32_t name = random_below(random, source->name_count);
			while (source->names[name].first_stanza == NOTHING || builder->slots[name].is_chosen)
				name = (name + 1) % source->name_count;
			choose(builder, name);
		}
		const struct source_stanza *stanza =
			&source->stanzas[source->names[builder->chosen[done++]].first_stanza];
		const struct source_dependency *dependency = &source->dependencies[stanza->first_dependency];
		for (uint32_t i = 0; i < stanza->count && builder->chosen_count < packages; i++, dependency++)
			for (uint32_t j = 0; j < dependency->count && dependency->kind != SUGGESTS; j++)
				choose(builder, source->alternatives[dependency->first_alternative + j].name);
	}
}

static struct text *new_text(const char *bytes)
{
	struct text *text = graph_new(&text_type, TEXT, source_hash(bytes));
	text->bytes = strdup(bytes);
	if (text->bytes == NULL) {
		fprintf(stderr, "demo: out of memory for a name\n");
		exit(1);
	}
	return text;
}

/* Borrowed: the builder holds it. */
static struct package *package_of(struct builder *builder, uint32_t name)
{
	struct slot *slot = &builder->slots[name];
	if (slot->package == NULL) {
		slot->package = graph_new(&package_type, PACKAGE_OBJECT, builder->source->names[name].hash);
		cgc_store_consume(slot->package, &slot->package->name,
		                  new_text(builder->source->names[name].text));
		builder->used[builder->used_count++] = name;
	}
	return slot->package;
}

/* The package of a chosen name with all its versions, newest first; their edges come later. */
static void add_versions(struct builder *builder, uint32_t name)
{
	struct package *package = package_of(builder, name);
	struct version *newer = NULL;
	const struct source_stanza *stanza;
	for (uint32_t i = builder->source->names[name].first_stanza; i != NOTHING; i = stanza->older) {
		stanza = &builder->source->stanzas[i];
		struct version *version = graph_new_n(&version_type, VERSION_OBJECT, i, stanza->count);
		cgc_store(version, &version->package, package);
		cgc_store_consume(version, &version->number, new_text(stanza->version));
		if (newer == NULL)
			cgc_store_consume(package, &package->candidate, version);
		else
			cgc_store_consume(newer, &newer->older, version);
		builder->versions[i] = version;
		builder->version_count++;
		newer = version;
		for (uint32_t j = 0; j < stanza->count; j++) {
			const struct source_dependency *dependency =
				&builder->source->dependencies[stanza->first_dependency + j];
			for (uint32_t k = 0; k < dependency->count && dependency->kind == PROVIDES; k++) {
				uint32_t provided =
					builder->source->alternatives[dependency->first_alternative + k].name;
				add_link(&builder->provided, version, provided);
				builder->slots[provided].provider_count++;
			}
		}
	}
}

static bool is_satisfied(const struct builder *builder, const struct source_alternative *alternative)
{
	const struct source *source = builder->source;
	const struct slot *slot = &builder->slots[alternative->name];
	if (slot->is_chosen &&
	    version_satisfies(source->stanzas[source->names[alternative->name].first_stanza].version,
	                      alternative->relation, alternative->version))
		return true;
	return slot->provider_count > 0 && alternative->relation == ANY_VERSION;
}

static struct edge *new_edge(struct builder *builder, struct version *version,
                             const struct source_dependency *dependency)
{
	struct edge *edge = graph_new_n(&edge_type, EDGE, dependency->kind, dependency->count);
	cgc_store(edge, &edge->owner, version);
	for (uint32_t i = 0; i < dependency->count; i++) {
		const struct source_alternative *from =
			&builder->source->alternatives[dependency->first_alternative + i];
		struct alternative *alternative = graph_new(&alternative_type, ALTERNATIVE, i);
		alternative->is_satisfied = is_satisfied(builder, from);
		cgc_store(alternative, &alternative->edge, edge);
		cgc_store(alternative, &alternative->target, package_of(builder, from->name));
		cgc_store_consume(edge, &edge->alternatives[i], alternative);
		if (dependency->kind != PROVIDES) {
			add_link(&builder->edges, edge, from->name);
			builder->slots[from->name].reverse_count++;
		}
	}
	return edge;
}

static void add_edges(struct builder *builder, uint32_t name)
{
	const struct source *source = builder->source;
	for (uint32_t i = source->names[name].first_stanza; i != NOTHING; i = source->stanzas[i].older) {
		struct version *version = builder->versions[i];
		const struct source_dependency *dependency =
			&source->dependencies[source->stanzas[i].first_dependency];
		for (uint32_t j = 0; j < source->stanzas[i].count; j++, dependency++)
			cgc_store_consume(version, &version->edges[j], new_edge(builder, version, dependency));
	}
}

static void add_lists(struct builder *builder)
{
	for (uint32_t i = 0; i < builder->used_count; i++) {
		struct slot *slot = &builder->slots[builder->used[i]];
		struct package *package = slot->package;
		if (slot->reverse_count > 0) {
			slot->reverse = graph_new_n(&edge_list_type, EDGE_LIST, i, slot->reverse_count);
			cgc_store_consume(package, &package->reverse, slot->reverse);
		}
		if (slot->provider_count > 0) {
			slot->providers =
				graph_new_n(&version_list_type, VERSION_LIST, i, slot->provider_count);
			cgc_store_consume(package, &package->providers, slot->providers);
		}
	}
	for (uint32_t i = 0; i < builder->edges.count; i++) {
		struct slot *slot = &builder->slots[builder->edges.items[i].name];
		cgc_store(slot->reverse, &slot->reverse->items[--slot->reverse_count],
		          (struct edge *)builder->edges.items[i].from);
	}
	for (uint32_t i = 0; i < builder->provided.count; i++) {
		struct slot *slot = &builder->slots[builder->provided.items[i].name];
		cgc_store(slot->providers, &slot->providers->items[--slot->provider_count],
		          (struct version *)builder->provided.items[i].from);
	}
}

/* What a dpkg status file calls installed: one transaction. */
static void add_installed(struct builder *builder)
{
	const struct source *source = builder->source;
	uint32_t count = 0;
	for (uint32_t i = 0; i < builder->chosen_count; i++)
		count += source->stanzas[source->names[builder->chosen[i]].first_stanza].is_installed;
	if (count == 0)
		return;
	struct transaction *transaction = graph_new_n(&transaction_type, TRANSACTION, count, count);
	for (uint32_t i = 0; i < builder->chosen_count; i++) {
		uint32_t stanza = source->names[builder->chosen[i]].first_stanza;
		if (!source->stanzas[stanza].is_installed)
			continue;
		struct package *package = builder->slots[builder->chosen[i]].package;
		struct installation *installation = graph_new(&installation_type, INSTALLATION, stanza);
		cgc_store(installation, &installation->package, package);
		cgc_store(installation, &installation->version, builder->versions[stanza]);
		cgc_store(installation, &installation->transaction, transaction);
		cgc_store(package, &package->installed, installation);
		cgc_store_consume(transaction, &transaction->items[--count], installation);
	}
	cgc_release(transaction);
}

/* The packages move into a new table, and the builder is as it was. */
static struct table *fill_table(struct builder *builder)
{
	size_t size = 64;
	while (size < (size_t)builder->used_count * 2)
		size *= 2;
	struct table *table = graph_new_n(&table_type, TABLE, builder->used_count, size);
	bool *taken = allocate(size, sizeof(*taken));
	for (uint32_t i = 0; i < builder->used_count; i++) {
		struct slot *slot = &builder->slots[builder->used[i]];
		size_t at = builder->source->names[builder->used[i]].hash & (size - 1);
		while (taken[at])
			at = (at + 1) & (size - 1);
		taken[at] = true;
		cgc_store_consume(table, &table->items[at], slot->package);
		memset(slot, 0, sizeof(*slot));
	}
	free(taken);
	return table;
}

struct universe *builder_run(struct builder *builder, uint32_t packages, uint64_t *random)
{
	choose_names(builder, packages, random);
	for (uint32_t i = 0; i < builder->chosen_count; i++)
		add_versions(builder, builder->chosen[i]);
	/* Every provider is known by now. Names that are provided and have no stanza get a package here: */
	for (uint32_t i = 0; i < builder->chosen_count; i++)
		add_edges(builder, builder->chosen[i]);
	add_lists(builder);
	add_installed(builder);
	struct universe *universe = graph_new(&universe_type, UNIVERSE, builder->chosen_count);
	universe->packages = builder->used_count;
	universe->versions = builder->version_count;
	universe->edges = builder->edges.count;
	cgc_store_consume(universe, &universe->table, fill_table(builder));
	builder->chosen_count = builder->used_count = builder->version_count = 0;
	builder->edges.count = builder->provided.count = 0;
	return universe;
}
