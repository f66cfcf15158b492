/* SPDX-License-Identifier: MIT
 *
 * What the input files say, as plain C memory: written once before the threads start, read by all of them.
 */
#ifndef DEMO_SOURCE_H
#define DEMO_SOURCE_H

#include <obstack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTHING UINT32_MAX

enum relation { ANY_VERSION, EARLIER, EARLIER_OR_EQUAL, EQUAL, LATER_OR_EQUAL, LATER };

enum edge_kind { PRE_DEPENDS, DEPENDS, RECOMMENDS, SUGGESTS, PROVIDES, EDGE_KINDS };

/* A package name; its stanzas are linked newest version first. */
struct source_name {
	const char *text;
	uint32_t hash;
	uint32_t first_stanza; /* NOTHING: only mentioned */
};

struct source_alternative {
	const char *version; /* NULL with ANY_VERSION */
	uint32_t name;
	enum relation relation;
};

/* "a | b": one element of a dependency field. */
struct source_dependency {
	uint32_t first_alternative;
	uint16_t count;
	uint16_t kind;
};

struct source_stanza {
	const char *version;
	uint32_t name;
	uint32_t older; /* the next stanza of the same name, or NOTHING */
	uint32_t first_dependency;
	uint32_t count;
	bool is_installed;
};

struct source {
	struct source_name *names;
	struct source_stanza *stanzas;
	struct source_dependency *dependencies;
	struct source_alternative *alternatives;
	uint32_t name_count, stanza_count, dependency_count, alternative_count;
	uint32_t name_room, stanza_room, dependency_room, alternative_room;
	uint32_t named_count; /* names with stanzas */
	void *name_tree;      /* tsearch(3) */
	struct obstack text;
};

/* Prints "file:line: reason" and exits with 1. Line 0: before the first line. */
_Noreturn void source_fail(const char *file, unsigned long line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

void source_init(struct source *source);
void source_free(struct source *source);

/* Reads a dpkg status file or an apt Packages list, compressed or not. Exits with 1 if it is not one. */
void source_read(struct source *source, const char *file);

/* Reads `files`; without any, the machine's apt lists, or else the sample. Says on stdout what was read. */
void source_read_all(struct source *source, char *const *files, int count);

/* The number of a name: the one it has, or a new one. `length` bytes of text. */
uint32_t source_name(struct source *source, const char *text, size_t length);

/* A copy that lives as long as the source. */
const char *source_text(struct source *source, const char *text, size_t length);

void source_add_alternative(struct source *source, struct source_alternative alternative);
void source_add_dependency(struct source *source, struct source_dependency dependency);

/* Also links the stanza to its name. A version that is there already is ignored: false. */
bool source_add_stanza(struct source *source, struct source_stanza stanza);

uint32_t source_hash(const char *text);

/* Debian's order of versions: negative, zero or positive, as strcmp. */
int version_compare(const char *a, const char *b);

/* Does version `have` satisfy "(relation wanted)"? */
bool version_satisfies(const char *have, enum relation relation, const char *wanted);

#endif
