/* SPDX-License-Identifier: MIT
 *
 * The arrays and the names of the input.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* tdestroy(3) */
#endif
#include "source.h"

#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

/* What the tree of names holds: obstack memory, because the arrays move as they grow. */
struct name_node {
	const char *text;
	uint32_t number;
};

void source_fail(const char *file, unsigned long line, const char *format, ...)
{
	va_list arguments;
	fflush(stdout);
	fprintf(stderr, "%s:%lu: ", file, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static void *grow(void *array, uint32_t *room, uint32_t count, size_t size)
{
	if (count < *room)
		return array;
	*room = *room == 0 ? 1024 : *room * 2;
	array = reallocarray(array, *room, size);
	if (array == NULL) {
		fprintf(stderr, "demo: out of memory for %u elements of %zu bytes\n", *room, size);
		exit(1);
	}
	return array;
}

void source_init(struct source *source)
{
	memset(source, 0, sizeof(*source));
	obstack_init(&source->text);
}

static void keep(void *node)
{
	(void)node; /* obstack memory */
}

void source_free(struct source *source)
{
	tdestroy(source->name_tree, keep);
	obstack_free(&source->text, NULL);
	free(source->names);
	free(source->stanzas);
	free(source->dependencies);
	free(source->alternatives);
}

const char *source_text(struct source *source, const char *text, size_t length)
{
	return obstack_copy0(&source->text, text, (int)length);
}

/* FNV-1a. */
uint32_t source_hash(const char *text)
{
	uint32_t hash = 2166136261u;
	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name_node *)a)->text, ((const struct name_node *)b)->text);
}

uint32_t source_name(struct source *source, const char *text, size_t length)
{
	struct name_node *wanted = obstack_alloc(&source->text, sizeof(*wanted));
	wanted->text = obstack_copy0(&source->text, text, (int)length);
	wanted->number = source->name_count;
	struct name_node **found = tsearch(wanted, &source->name_tree, compare_names);
	if (found == NULL) {
		fprintf(stderr, "demo: out of memory for %u names\n", source->name_count);
		exit(1);
	}
	if (*found != wanted) {
		obstack_free(&source->text, wanted); /* and the copy that came after it */
		return (*found)->number;
	}
	source->names = grow(source->names, &source->name_room, source->name_count, sizeof(*source->names));
	source->names[source->name_count] = (struct source_name){
		.text = wanted->text, .hash = source_hash(wanted->text), .first_stanza = NOTHING};
	return source->name_count++;
}

void source_add_alternative(struct source *source, struct source_alternative alternative)
{
	source->alternatives = grow(source->alternatives, &source->alternative_room, source->alternative_count,
	                            sizeof(*source->alternatives));
	source->alternatives[source->alternative_count++] = alternative;
}

void source_add_dependency(struct source *source, struct source_dependency dependency)
{
	source->dependencies = grow(source->dependencies, &source->dependency_room, source->dependency_count,
	                            sizeof(*source->dependencies));
	source->dependencies[source->dependency_count++] = dependency;
}

bool source_add_stanza(struct source *source, struct source_stanza stanza)
{
	uint32_t *link = &source->names[stanza.name].first_stanza;
	if (*link == NOTHING)
		source->named_count++;
	while (*link != NOTHING) {
		struct source_stanza *other = &source->stanzas[*link];
		int order = version_compare(stanza.version, other->version);
		if (order == 0) {
			other->is_installed |= stanza.is_installed;
			return false;
		}
		if (order > 0)
			break;
		link = &other->older;
	}
	stanza.older = *link;
	*link = source->stanza_count;
	source->stanzas =
		grow(source->stanzas, &source->stanza_room, source->stanza_count, sizeof(*source->stanzas));
	source->stanzas[source->stanza_count++] = stanza;
	return true;
}
