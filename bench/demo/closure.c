/* SPDX-License-Identifier: MIT
 *
 * Two ways through the same graph: borrowed pointers inside of a read section, and counted references.
 */
#include "closure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void walker_init(struct walker *walker, uint32_t limit)
{
	uint32_t size = 64;
	while (size < limit * 4)
		size *= 2;
	*walker = (struct walker){.limit = limit, .mask = size - 1};
	walker->found = calloc(limit, sizeof(struct package *));
	walker->visited = calloc(size, sizeof(*walker->visited));
	if (walker->found == NULL || walker->visited == NULL) {
		fprintf(stderr, "demo: out of memory for a walk over %u packages\n", limit);
		exit(1);
	}
}

void walker_free(struct walker *walker)
{
	free(walker->found);
	free(walker->visited);
}

static void begin(struct walker *walker)
{
	walker->count = 0;
	if (++walker->stamp == 0) { /* stamps of 2^32 walks ago would count again */
		memset(walker->visited, 0, (walker->mask + 1) * sizeof(*walker->visited));
		walker->stamp = 1;
	}
}

/* True the first time in this walk, as long as there is room. */
static bool visit(struct walker *walker, struct package *package)
{
	if (walker->count == walker->limit)
		return false;
	uint32_t at = (uint32_t)(seal_sum(package, 0, 0) >> 32) & walker->mask;
	for (; walker->visited[at].stamp == walker->stamp; at = (at + 1) & walker->mask)
		if (walker->visited[at].object == package)
			return false;
	walker->visited[at] = (struct visited){.object = package, .stamp = walker->stamp};
	walker->found[walker->count++] = package;
	return true;
}

/* Every object passes here when it is read. */
static void check(struct walker *walker, const void *object, enum kind kind)
{
	walker->objects++;
	seal_check(object, kind);
}

static struct package *look_up(struct walker *walker, struct table *table, uint32_t hash, const char *name)
{
	size_t mask = cgc_trailing_count(table) - 1;
	struct package *package;
	for (size_t at = hash & mask; (package = cgc_borrow(&table->items[at])) != NULL; at = (at + 1) & mask) {
		check(walker, package, PACKAGE_OBJECT);
		if (package->seal.id != hash)
			continue;
		struct text *text = cgc_borrow(&package->name);
		check(walker, text, TEXT);
		if (strcmp(text->bytes, name) == 0)
			return package;
	}
	return NULL;
}

struct package *closure_random_package(struct walker *walker, struct universe *universe, uint64_t *random)
{
	check(walker, universe, UNIVERSE);
	struct table *table = cgc_borrow(&universe->table);
	check(walker, table, TABLE);
	size_t mask = cgc_trailing_count(table) - 1;
	struct package *package;
	for (size_t at = random_next(random) & mask;; at = (at + 1) & mask) {
		package = cgc_borrow(&table->items[at]);
		if (package == NULL)
			continue;
		check(walker, package, PACKAGE_OBJECT);
		if (cgc_borrow(&package->candidate) != NULL)
			break;
	}
	struct text *text = cgc_borrow(&package->name);
	check(walker, text, TEXT);
	if (look_up(walker, table, source_hash(text->bytes), text->bytes) != package)
		graph_broken(package, "a package that its own universe does not find by its name");
	return package;
}

struct version *closure_version(struct walker *walker, struct package *package)
{
	struct installation *installation = cgc_borrow(&package->installed);
	struct version *version;
	if (installation != NULL) {
		check(walker, installation, INSTALLATION);
		version = cgc_borrow(&installation->version);
	} else {
		version = cgc_borrow(&package->candidate);
	}
	if (version != NULL) {
		check(walker, version, VERSION_OBJECT);
		if (cgc_borrow(&version->package) != package)
			graph_broken(version, "a version of another package");
	}
	return version;
}

/* The first alternative that is satisfied decides; a name that others provide leads to the first of them. */
static void follow_edge(struct walker *walker, struct edge *edge)
{
	size_t count = cgc_trailing_count(edge);
	for (size_t i = 0; i < count; i++) {
		struct alternative *alternative = cgc_borrow(&edge->alternatives[i]);
		check(walker, alternative, ALTERNATIVE);
		if (!alternative->is_satisfied)
			continue;
		struct package *target = cgc_borrow(&alternative->target);
		check(walker, target, PACKAGE_OBJECT);
		if (cgc_borrow(&target->candidate) == NULL) {
			struct version_list *providers = cgc_borrow(&target->providers);
			check(walker, providers, VERSION_LIST);
			struct version *provider = cgc_borrow(&providers->items[0]);
			check(walker, provider, VERSION_OBJECT);
			target = cgc_borrow(&provider->package);
			check(walker, target, PACKAGE_OBJECT);
		}
		visit(walker, target);
		return;
	}
}

static void follow(struct walker *walker, struct package *package)
{
	struct version *version = closure_version(walker, package);
	size_t count = version != NULL ? cgc_trailing_count(version) : 0;
	for (size_t i = 0; i < count; i++) {
		struct edge *edge = cgc_borrow(&version->edges[i]);
		check(walker, edge, EDGE);
		if (cgc_borrow(&edge->owner) != version)
			graph_broken(edge, "an edge of another version");
		if (edge->seal.id <= RECOMMENDS)
			follow_edge(walker, edge);
	}
}

static void follow_back(struct walker *walker, struct package *package)
{
	struct edge_list *reverse = cgc_borrow(&package->reverse);
	if (reverse == NULL)
		return;
	check(walker, reverse, EDGE_LIST);
	size_t count = cgc_trailing_count(reverse);
	for (size_t i = 0; i < count && walker->count < walker->limit; i++) {
		struct edge *edge = cgc_borrow(&reverse->items[i]);
		check(walker, edge, EDGE);
		if (edge->seal.id > DEPENDS)
			continue;
		struct version *version = cgc_borrow(&edge->owner);
		check(walker, version, VERSION_OBJECT);
		struct package *owner = cgc_borrow(&version->package);
		check(walker, owner, PACKAGE_OBJECT);
		visit(walker, owner);
	}
}

void closure_borrowed(struct walker *walker, struct package *start, enum direction direction)
{
	begin(walker);
	visit(walker, start);
	for (uint32_t done = 0; done < walker->count; done++) {
		if (direction == NEEDS)
			follow(walker, walker->found[done]);
		else
			follow_back(walker, walker->found[done]);
	}
}

/* ---- counted ---------------------------------------------------------------------------------------- */

struct request {
	struct walker *walker;
	struct step **steps; /* borrowed: the tree holds them */
	uint32_t count, limit;
};

/* package: owned, consumed. */
static void add_step(struct request *request, struct step *parent, struct package *package)
{
	if (request->count == request->limit || !visit(request->walker, package)) {
		cgc_release(package);
		return;
	}
	struct step *step = graph_new(&step_type, STEP, request->count);
	cgc_store_consume(step, &step->package, package);
	request->steps[request->count++] = step;
	if (parent == NULL)
		return; /* the root: the request owns it */
	cgc_store(step, &step->parent, parent);
	struct step *sibling = cgc_exchange(parent, &parent->child, step);
	cgc_store_consume(step, &step->sibling, sibling);
}

/* Owned, or NULL. */
static struct version *load_version(struct walker *walker, struct package *package)
{
	struct installation *installation = cgc_load(package, &package->installed);
	struct version *version;
	if (installation != NULL) {
		check(walker, installation, INSTALLATION);
		version = cgc_load(installation, &installation->version);
		cgc_release(installation);
	} else {
		version = cgc_load(package, &package->candidate);
	}
	if (version != NULL)
		check(walker, version, VERSION_OBJECT);
	return version;
}

/* The package that stands for a satisfied alternative; owned. */
static struct package *load_target(struct walker *walker, struct alternative *alternative)
{
	struct package *target = cgc_load(alternative, &alternative->target);
	check(walker, target, PACKAGE_OBJECT);
	struct version *candidate = cgc_load(target, &target->candidate);
	if (candidate != NULL) {
		cgc_release(candidate);
		return target;
	}
	struct version_list *providers = cgc_load(target, &target->providers);
	check(walker, providers, VERSION_LIST);
	struct version *provider = cgc_load(providers, &providers->items[0]);
	check(walker, provider, VERSION_OBJECT);
	cgc_release(providers);
	cgc_release(target);
	target = cgc_load(provider, &provider->package);
	cgc_release(provider);
	return target;
}

static void expand_edge(struct request *request, struct step *step, struct edge *edge)
{
	size_t count = cgc_trailing_count(edge);
	bool is_done = edge->seal.id > RECOMMENDS;
	for (size_t i = 0; i < count && !is_done; i++) {
		struct alternative *alternative = cgc_load(edge, &edge->alternatives[i]);
		check(request->walker, alternative, ALTERNATIVE);
		if (alternative->is_satisfied) {
			add_step(request, step, load_target(request->walker, alternative));
			is_done = true;
		}
		cgc_release(alternative);
	}
}

static void expand(struct request *request, struct step *step)
{
	struct package *package = cgc_load(step, &step->package);
	check(request->walker, package, PACKAGE_OBJECT);
	struct version *version = load_version(request->walker, package);
	size_t count = version != NULL ? cgc_trailing_count(version) : 0;
	for (size_t i = 0; i < count; i++) {
		struct edge *edge = cgc_load(version, &version->edges[i]);
		check(request->walker, edge, EDGE);
		expand_edge(request, step, edge);
		cgc_release(edge);
	}
	cgc_release(version);
	cgc_release(package);
}

/* From every step the way up must end at the root. */
static void check_tree(struct request *request)
{
	for (uint32_t i = 0; i < request->count; i++) {
		uint32_t height = 0;
		struct step *step = cgc_retain(request->steps[i]), *parent;
		for (; (parent = cgc_load(step, &step->parent)) != NULL; height++) {
			check(request->walker, parent, STEP);
			cgc_release(step);
			step = parent;
		}
		if (step != request->steps[0] || height >= request->count)
			graph_broken(step, "a step that does not come from the root");
		cgc_release(step);
	}
}

uint32_t closure_counted(struct walker *walker, struct package *start, uint32_t limit)
{
	struct step *steps[limit];
	struct request request = {.walker = walker, .steps = steps, .limit = limit};
	begin(walker);
	steps[0] = NULL;
	add_step(&request, NULL, start);
	for (uint32_t done = 0; done < request.count; done++)
		expand(&request, steps[done]);
	check_tree(&request);
	cgc_release(
		steps[0]); /* the rest hangs together by its parents: the thread's own collection finds it */
	return request.count;
}
