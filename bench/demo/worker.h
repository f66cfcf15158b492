/* SPDX-License-Identifier: MIT
 *
 * The threads: readers resolve, writers install, remove and replace the universe.
 */
#ifndef DEMO_WORKER_H
#define DEMO_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "latency.h"
#include "source.h"

struct settings {
	unsigned seconds;  /* DURATION */
	unsigned threads;  /* THREADS */
	unsigned packages; /* LIMIT: of the largest universe */
	unsigned closure;  /* CLOSURE: packages that a request reads at most */
	unsigned swap;     /* SWAP: milliseconds between two universes of a writer */
	uint64_t seed;     /* SEED */
};

enum operation { RESOLVE_BORROWED, RESOLVE_COUNTED, INSTALL, REMOVE, SWAP, OPERATIONS };

struct worker {
	pthread_t thread;
	const struct settings *settings;
	const struct source *source;
	atomic_bool *stop;
	uint64_t random;
	bool is_writer;
	_Atomic(uint64_t) done; /* operations, for the live line */
	/* Read by others after the thread has ended. */
	struct latency latency[OPERATIONS];
	uint64_t packages; /* found by readers, installed or removed by writers */
	uint64_t objects;  /* read and checked */
};

struct crew {
	struct worker *workers;
	unsigned count, writers;
	atomic_bool stop;
};

/* Half of the threads write, at least one of each kind. */
void crew_start(struct crew *crew, const struct settings *settings, const struct source *source);

/* Operations done so far. */
uint64_t crew_done(struct crew *crew);

/* Returns when the threads have ended: nothing of the graph is held by one. */
void crew_join(struct crew *crew);

void crew_free(struct crew *crew);

#endif
