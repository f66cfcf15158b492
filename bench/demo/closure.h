/* SPDX-License-Identifier: MIT
 *
 * Resolves what a package needs, or who needs it, on a universe that others change all the while.
 */
#ifndef DEMO_CLOSURE_H
#define DEMO_CLOSURE_H

#include "graph.h"

enum direction { NEEDS, NEEDED_BY };

/* Scratch of one thread. */
struct walker {
	struct package **found; /* in the order of discovery, the start first: borrowed */
	uint32_t count;
	uint32_t limit;   /* as many packages at most: bounds the read section */
	uint64_t objects; /* read and checked since the walker was made */
	/* The set of found packages: an entry counts only with the stamp of this walk. */
	struct visited {
		const void *object;
		uint32_t stamp;
	} * visited;
	uint32_t mask, stamp;
};

void walker_init(struct walker *walker, uint32_t limit);
void walker_free(struct walker *walker);

/* A random package that has a version; then the same one looked up by its name, which must find it. Borrowed;
 * inside of a read section. */
struct package *closure_random_package(struct walker *walker, struct universe *universe, uint64_t *random);

/* Breadth first along borrowed pointers into walker->found; inside of a read section, during which the result
 * is valid. NEEDS follows Pre-Depends, Depends and Recommends of the installed version or the candidate;
 * NEEDED_BY the reverse edges of Pre-Depends and Depends. Edges that nothing satisfies are passed over. */
void closure_borrowed(struct walker *walker, struct package *start, enum direction direction);

/* NEEDS again, with counted references only, outside of read sections: builds the tree of how each package came
 * in, reads it back and drops it. start: owned, consumed. Returns the number of packages. */
uint32_t closure_counted(struct walker *walker, struct package *start, uint32_t limit);

/* The version installed, or the candidate, or NULL. Borrowed; inside of a read section. */
struct version *closure_version(struct walker *walker, struct package *package);

#endif
