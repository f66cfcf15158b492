/* SPDX-License-Identifier: MIT
 *
 * What a thread does until it is told to stop. It ends without giving anything back by hand: the end of the
 * thread detaches it from the library.
 */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "closure.h"

#define COUNTED_LIMIT 64     /* packages in the tree of a counted request */
#define TRANSACTION_LIMIT 32 /* packages installed or removed together */

static bool is_stopped(const struct worker *worker)
{
	/* No order needed: only says when to end; pthread_join orders what is read then. */
	return atomic_load_explicit(worker->stop, memory_order_relaxed);
}

static void finish(struct worker *worker, enum operation operation, uint64_t began, uint32_t packages)
{
	latency_record(&worker->latency[operation], latency_now() - began);
	worker->packages += packages;
	/* No order needed: a statistic that only this thread writes. */
	uint64_t done = atomic_load_explicit(&worker->done, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&worker->done, done + 1, memory_order_relaxed);
}

/* ---- readers ---------------------------------------------------------------------------------------- */

static void resolve_borrowed(struct worker *worker, struct walker *walker, enum direction direction)
{
	uint64_t began = latency_now();
	cgc_read_lock();
	struct universe *universe = cgc_borrow(&current);
	struct package *start = closure_random_package(walker, universe, &worker->random);
	closure_borrowed(walker, start, direction);
	cgc_read_unlock();
	finish(worker, RESOLVE_BORROWED, began, walker->count);
}

static void resolve_counted(struct worker *worker, struct walker *walker)
{
	uint64_t began = latency_now();
	struct universe *universe = cgc_load(CGC_ROOT, &current);
	cgc_read_lock();
	struct package *start = cgc_retain(closure_random_package(walker, universe, &worker->random));
	cgc_read_unlock();
	uint32_t count = closure_counted(walker, start, COUNTED_LIMIT);
	cgc_release(universe);
	finish(worker, RESOLVE_COUNTED, began, count);
}

static void read_on(struct worker *worker)
{
	struct walker walker;
	walker_init(&walker, worker->settings->closure);
	while (!is_stopped(worker)) {
		uint32_t choice = random_below(&worker->random, 16);
		if (choice < 10)
			resolve_borrowed(worker, &walker, NEEDS);
		else if (choice < 13)
			resolve_borrowed(worker, &walker, NEEDED_BY);
		else
			resolve_counted(worker, &walker);
	}
	worker->objects = walker.objects;
	walker_free(&walker);
}

/* ---- writers ---------------------------------------------------------------------------------------- */

/* The versions that a random package needs and that are not installed; owned. */
static uint32_t plan_install(struct worker *worker, struct walker *walker, struct version **versions)
{
	uint32_t count = 0;
	cgc_read_lock();
	struct universe *universe = cgc_borrow(&current);
	closure_borrowed(walker, closure_random_package(walker, universe, &worker->random), NEEDS);
	for (uint32_t i = 0; i < walker->count; i++) {
		struct version *version = closure_version(walker, walker->found[i]);
		if (version != NULL && cgc_borrow(&walker->found[i]->installed) == NULL)
			versions[count++] = cgc_retain(version);
	}
	cgc_read_unlock();
	return count;
}

/* One transaction for all: a ring that hangs on the packages, and is garbage when the last of them is removed. */
static void install(struct worker *worker, struct walker *walker)
{
	uint64_t began = latency_now();
	struct version *versions[TRANSACTION_LIMIT];
	struct package *packages[TRANSACTION_LIMIT];
	uint32_t count = plan_install(worker, walker, versions), installed = 0;
	struct transaction *transaction = graph_new_n(&transaction_type, TRANSACTION, count, count);
	struct installation *installations[TRANSACTION_LIMIT]; /* borrowed: the transaction holds them */
	for (uint32_t i = 0; i < count; i++) {
		struct installation *installation = graph_new(&installation_type, INSTALLATION, i);
		packages[i] = cgc_load(versions[i], &versions[i]->package);
		cgc_store(installation, &installation->package, packages[i]);
		cgc_store_consume(installation, &installation->version, versions[i]);
		cgc_store(installation, &installation->transaction, transaction);
		cgc_store_consume(transaction, &transaction->items[i], installation);
		installations[i] = installation;
	}
	for (uint32_t i = 0; i < count; i++) {
		/* Another writer may have been first: its installation stays. */
		installed += cgc_compare_exchange(packages[i], &packages[i]->installed, NULL, installations[i]);
		cgc_release(packages[i]);
	}
	cgc_release(transaction);
	finish(worker, INSTALL, began, installed);
}

/* A random package and those that need it; owned. */
static uint32_t plan_remove(struct worker *worker, struct walker *walker, struct package **packages)
{
	uint32_t count = 0;
	cgc_read_lock();
	struct universe *universe = cgc_borrow(&current);
	closure_borrowed(walker, closure_random_package(walker, universe, &worker->random), NEEDED_BY);
	for (uint32_t i = 0; i < walker->count; i++)
		if (cgc_borrow(&walker->found[i]->installed) != NULL)
			packages[count++] = cgc_retain(walker->found[i]);
	cgc_read_unlock();
	return count;
}

static void remove_packages(struct worker *worker, struct walker *walker)
{
	uint64_t began = latency_now();
	struct package *packages[TRANSACTION_LIMIT];
	uint32_t count = plan_remove(worker, walker, packages), removed = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct installation *old = cgc_exchange(packages[i], &packages[i]->installed, NULL);
		removed += old != NULL;
		cgc_release(old);
		cgc_release(packages[i]);
	}
	finish(worker, REMOVE, began, removed);
}

/* A tenth to the whole of the packages; the old universe goes with everything that is in it. */
static void swap(struct worker *worker, struct builder *builder)
{
	uint64_t began = latency_now();
	uint32_t all = worker->settings->packages;
	uint32_t packages = all / 10 + random_below(&worker->random, all - all / 10) + 1;
	struct universe *universe = builder_run(builder, packages, &worker->random);
	struct universe *old = cgc_exchange(CGC_ROOT, &current, universe);
	cgc_release(old);
	finish(worker, SWAP, began, 0);
}

static void write_on(struct worker *worker)
{
	struct walker walker;
	struct builder *builder = builder_new(worker->source);
	walker_init(&walker, TRANSACTION_LIMIT);
	uint64_t interval = (uint64_t)worker->settings->swap * 1000000, next = latency_now() + interval;
	while (!is_stopped(worker)) {
		uint64_t now = latency_now();
		if (now >= next) {
			swap(worker, builder);
			/* At most a quarter of the time goes into building. */
			uint64_t took = latency_now() - now;
			next = now + (interval > 4 * took ? interval : 4 * took);
		} else if (random_below(&worker->random, 5) < 3) {
			install(worker, &walker);
		} else {
			remove_packages(worker, &walker);
		}
	}
	worker->objects = walker.objects;
	walker_free(&walker);
	builder_free(builder);
}

/* ---- all -------------------------------------------------------------------------------------------- */

static void *run(void *argument)
{
	struct worker *worker = argument;
	if (worker->is_writer)
		write_on(worker);
	else
		read_on(worker);
	return NULL;
}

void crew_start(struct crew *crew, const struct settings *settings, const struct source *source)
{
	crew->count = settings->threads;
	crew->writers = settings->threads / 2;
	/* No order needed: the threads start after it. */
	atomic_store_explicit(&crew->stop, false, memory_order_relaxed);
	crew->workers = calloc(crew->count, sizeof(*crew->workers));
	if (crew->workers == NULL) {
		fprintf(stderr, "demo: out of memory for %u threads\n", crew->count);
		exit(1);
	}
	uint64_t random = settings->seed;
	for (unsigned i = 0; i < crew->count; i++) {
		struct worker *worker = &crew->workers[i];
		worker->settings = settings;
		worker->source = source;
		worker->stop = &crew->stop;
		worker->is_writer = i < crew->writers;
		worker->random = random_next(&random);
		int error = pthread_create(&worker->thread, NULL, run, worker);
		if (error != 0) {
			fprintf(stderr, "demo: cannot start thread %u: %s\n", i, strerror(error));
			exit(1);
		}
	}
}

uint64_t crew_done(struct crew *crew)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < crew->count; i++)
		/* No order needed: a statistic. */
		sum += atomic_load_explicit(&crew->workers[i].done, memory_order_relaxed);
	return sum;
}

void crew_join(struct crew *crew)
{
	/* No order needed: see is_stopped(). */
	atomic_store_explicit(&crew->stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < crew->count; i++)
		pthread_join(crew->workers[i].thread, NULL);
}

void crew_free(struct crew *crew)
{
	free(crew->workers);
}
