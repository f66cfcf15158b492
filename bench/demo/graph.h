/* SPDX-License-Identifier: MIT
 *
 * The universe of packages as objects of the library.
 *
 *                              text <-- name -- package <------------------------------------ target
 *                                               |  |  |  \-- reverse --> edge_list --> edge     |
 *   current --> universe --> table --> package -+  |  |                                         |
 *                                                  |  \-- candidate --> version --> edge --> alternative
 *                                                  |                    | ^          |
 *                                                  |                 older \- owner -/
 *                                                  \-- installed --> installation <--> transaction
 *
 * Nearly everything lies on a cycle: a version knows its package, an edge its version, and a package who needs
 * it. A universe does not change but for `installed`; it is replaced as a whole.
 */
#ifndef DEMO_GRAPH_H
#define DEMO_GRAPH_H

#include <cgc.h>

#include "source.h"

enum kind {
	UNIVERSE = 1,
	TABLE,
	PACKAGE_OBJECT,
	TEXT,
	VERSION_OBJECT,
	EDGE,
	ALTERNATIVE,
	EDGE_LIST,
	VERSION_LIST,
	INSTALLATION,
	TRANSACTION,
	STEP,
	KINDS,
};

/* The first member of every object: a sum over its address, kind and id, which ends with the object. Whoever
 * reads an object checks it, and so finds every object that was given back too early. */
struct seal {
	uint32_t kind;
	uint32_t id;
	uint64_t sum;
};

/* Characters on the C heap, given back when the object dies. */
struct text {
	struct seal seal;
	char *bytes;
};

struct package {
	struct seal seal; /* id: hash of the name */
	cgc_ref(struct text) name;
	cgc_ref(struct version) candidate; /* the newest; NULL for a name that is only mentioned */
	cgc_ref(struct installation) installed;
	cgc_ref(struct edge_list) reverse; /* edges that lead here; NULL: none */
	cgc_ref(struct version_list) providers;
};

struct version {
	struct seal seal;
	cgc_ref(struct package) package;
	cgc_ref(struct text) number;
	cgc_ref(struct version) older;
	cgc_ref(struct edge) edges[];
};

/* id: enum edge_kind. Alternatives of kind PROVIDES name what is provided. */
struct edge {
	struct seal seal;
	cgc_ref(struct version) owner;
	cgc_ref(struct alternative) alternatives[];
};

struct alternative {
	struct seal seal;
	cgc_ref(struct edge) edge;
	cgc_ref(struct package) target;
	bool is_satisfied; /* in this universe, by a candidate or a provider */
};

struct edge_list {
	struct seal seal;
	cgc_ref(struct edge) items[];
};

struct version_list {
	struct seal seal;
	cgc_ref(struct version) items[];
};

struct installation {
	struct seal seal;
	cgc_ref(struct package) package;
	cgc_ref(struct version) version;
	cgc_ref(struct transaction) transaction;
};

/* What was installed together. */
struct transaction {
	struct seal seal;
	cgc_ref(struct installation) items[];
};

/* Open addressing by hash of the name; a power of two. */
struct table {
	struct seal seal;
	cgc_ref(struct package) items[];
};

struct universe {
	struct seal seal;
	cgc_ref(struct table) table;
	uint32_t packages;
	uint32_t versions;
	uint32_t edges;
};

/* A node of the tree of a resolved request: private, full of small rings, dropped with the request. */
struct step {
	struct seal seal;
	cgc_ref(struct package) package;
	cgc_ref(struct step) parent;
	cgc_ref(struct step) child;
	cgc_ref(struct step) sibling;
};

extern struct cgc_type universe_type, table_type, package_type, text_type, version_type, edge_type,
	alternative_type, edge_list_type, version_list_type, installation_type, transaction_type, step_type;

/* The one root. */
typedef cgc_ref(struct universe) universe_ref;
extern universe_ref current;

/* New objects, sealed, owned. */
void *graph_new(struct cgc_type *type, enum kind kind, uint32_t id);
void *graph_new_n(struct cgc_type *type, enum kind kind, uint32_t id, size_t count);

_Noreturn void seal_broken(const void *object, enum kind kind);

/* For what else must hold between objects. */
_Noreturn void graph_broken(const void *object, const char *what);

static inline uint64_t seal_sum(const void *object, uint32_t kind, uint32_t id)
{
	uint64_t sum = ((uintptr_t)object ^ (uint64_t)kind << 56) + id;
	sum = (sum ^ sum >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	return (sum ^ sum >> 29) | 1;
}

/* object: borrowed and valid, of that kind. */
static inline void seal_check(const void *object, enum kind kind)
{
	const struct seal *seal = object;
	if (__builtin_expect(seal->kind != (uint32_t)kind || seal->sum != seal_sum(object, kind, seal->id), 0))
		seal_broken(object, kind);
}

/* Small, fast, good enough: splitmix64. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* 0 to limit - 1. */
static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)((random_next(state) >> 32) * limit >> 32);
}

#endif
