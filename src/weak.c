/* SPDX-License-Identifier: MIT
 *
 * Weak references: cells that point to an object without counting, found by the object's address in a striped
 * hash table when it dies.
 *
 * An upgrade is an atomic operation on shared for everyone, the owner included, and fails only on DEAD; the
 * object's memory cannot go away under it, because the cell was read in a section and memory waits for a grace
 * period after the cell was cleared. Making, freeing and clearing take the stripe's lock for a few
 * instructions; no user code runs under it.
 * Model: tests/model/weak.pml.
 */
#include <stdlib.h>

#include "count.h"
#include "verdict.h"

#define STRIPES 128 /* CPython has 127 */

enum cell_state { IDLE, CALLING, FREED };

struct cgc_weak {
	_Atomic(void *) target;      /* [atomic] cleared under the stripe's lock */
	cgc_weak_callback *callback; /* [init] */
	void *argument;              /* [init] */
	struct cgc_weak *next; /* [lock stripe] in its bucket, newest first; then in a list of dead ones */
	enum cell_state state; /* [lock stripe] */
	unsigned stripe;       /* [init] */
};

static struct stripe {
	pthread_mutex_t lock;
	struct cgc_weak **buckets; /* [lock] */
	size_t bucket_count;       /* [lock] a power of two */
	size_t cell_count;         /* [lock] */
} stripes[STRIPES];

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void)
{
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_init(&stripes[i].lock, NULL);
}

static uint64_t hash(const void *object)
{
	return ((uintptr_t)object >> 4) * UINT64_C(0x9E3779B97F4A7C15);
}

static unsigned stripe_of(const void *object)
{
	return (unsigned)(hash(object) >> 57); /* the top 7 bits: 128 stripes */
}

static struct cgc_weak **bucket_of(struct stripe *stripe, const void *object)
{
	return &stripe->buckets[(hash(object) >> 20) & (stripe->bucket_count - 1)];
}

/* Stripe locked. More buckets when there are as many cells; without memory the old ones do. */
static bool grow(struct stripe *stripe)
{
	if (stripe->cell_count < stripe->bucket_count)
		return true;
	struct stripe old = *stripe;
	size_t count = old.bucket_count > 0 ? 2 * old.bucket_count : 16;
	struct cgc_weak **buckets = cgc__memory_get(count * sizeof(struct cgc_weak *), 0);
	if (buckets == NULL)
		return old.bucket_count > 0;
	for (size_t i = 0; i < count; i++)
		buckets[i] = NULL;
	stripe->buckets = buckets;
	stripe->bucket_count = count;
	for (size_t i = 0; i < old.bucket_count; i++) {
		/* Oldest first, so that the newest of an object is in front again. */
		struct cgc_weak *reversed = NULL, *cell = old.buckets[i], *next;
		for (; cell != NULL; cell = next) {
			next = cell->next;
			cell->next = reversed;
			reversed = cell;
		}
		for (cell = reversed; cell != NULL; cell = next) {
			next = cell->next;
			/* No order needed: under the lock. */
			struct cgc_weak **bucket =
				bucket_of(stripe, atomic_load_explicit(&cell->target, memory_order_relaxed));
			cell->next = *bucket;
			*bucket = cell;
		}
	}
	cgc__memory_put(old.buckets, old.bucket_count * sizeof(struct cgc_weak *));
	return true;
}

struct cgc_weak *cgc_weak_new(void *object, cgc_weak_callback *callback, void *argument)
{
	if (!cgc__is_object(object))
		cgc__report_misuse("cgc_weak_new", NULL, "not an object: there is nothing to refer to");
	pthread_once(&once, start);
	cgc__count_publish(object, "cgc_weak_new");
	cgc__count_expose(cgc__header_of(object));
	struct cgc_weak *weak = cgc__memory_get(sizeof(*weak), 0);
	if (weak == NULL)
		return NULL;
	*weak = (struct cgc_weak){.callback = callback, .argument = argument, .stripe = stripe_of(object)};
	/* No order needed: not reachable yet. */
	atomic_store_explicit(&weak->target, object, memory_order_relaxed);
	struct stripe *stripe = &stripes[weak->stripe];
	pthread_mutex_lock(&stripe->lock);
	bool done = grow(stripe);
	if (done) {
		struct cgc_weak **bucket = bucket_of(stripe, object);
		weak->next = *bucket;
		*bucket = weak;
		stripe->cell_count++;
		cgc__pause("weak.entered");
		/* HAS_WEAK.w: whoever kills the object later looks for cells. Pairs: HAS_WEAK.r in reclaim.c. */
		atomic_fetch_or_explicit(&cgc__header_of(object)->shared, CGC__HAS_WEAK, memory_order_acq_rel);
	}
	pthread_mutex_unlock(&stripe->lock);
	if (!done) {
		cgc__memory_put(weak, sizeof(*weak));
		return NULL;
	}
	return weak;
}

/* In a section. One reference more, unless the object is dead. */
static bool upgrade(struct cgc__header *header)
{
	/* DEAD.r. Pairs: DEAD.w in pending.c, reclaim.c and verdict.c. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_acquire);
	while ((shared & CGC__DEAD) == 0) {
		if (CGC__KIND(cgc__count_bias(header)) == CGC__IMMORTAL)
			return true;
		if ((shared & CGC__CONDEMNED) != 0) {
			/* VERDICT.r. Pairs: VERDICT.w in verdict.c. */
			uint64_t verdict = atomic_load_explicit(&cgc__verdict, memory_order_acquire);
			cgc__pause("weak.verdict_read");
			if (CGC__VERDICT_STATE(verdict) == CGC__VERDICT_COMMITTED) {
				/* Still condemned after the verdict: it is dead. Cleared: saved before it. */
				/* DEAD.r. Pairs: verdict.c clears the flag of the saved before VERDICT.w. */
				shared = atomic_load_explicit(&header->shared, memory_order_acquire);
				if ((shared & CGC__CONDEMNED) != 0)
					return false;
				continue;
			}
			uint64_t aborted = (verdict & ~UINT64_C(3)) | CGC__VERDICT_ABORTED;
			/* VERDICT.w: the whole set lives on for now; the detector waits for this section before it
			 * looks at the words again. Pairs: the commit in verdict.c. */
			if (CGC__VERDICT_STATE(verdict) == CGC__VERDICT_PENDING &&
			    !atomic_compare_exchange_strong_explicit(&cgc__verdict, &verdict, aborted,
			                                             memory_order_acq_rel,
			                                             memory_order_acquire))
				continue;
		}
		cgc__pause("weak.upgrade_due");
		/* UPGRADE.w: acquire, for the object's contents. Pairs: DEAD.w, whichever comes first. */
		if (atomic_compare_exchange_weak_explicit(&header->shared, &shared, shared + CGC__SHARED_RETAIN,
		                                          memory_order_acq_rel, memory_order_acquire)) {
			if (__builtin_expect(cgc__shared_count(shared) > CGC__SHARED_LIMIT, 0))
				cgc__count_saturate(header);
			return true;
		}
	}
	return false;
}

void *cgc_weak_load(struct cgc_weak *weak)
{
	struct cgc__context *self = cgc__thread_self();
	cgc__grace_enter_brief(self);
	/* WEAK.r: in a section, so the object's memory stays. Pairs: WEAK.w in cgc__weak_detach(). */
	void *object = atomic_load_explicit(&weak->target, memory_order_acquire);
	cgc__pause("weak.target_read");
	if (object != NULL && !upgrade(cgc__header_of(object)))
		object = NULL;
	cgc__grace_leave_brief(self);
	return object;
}

static void remove_cell(struct stripe *stripe, struct cgc_weak *weak)
{
	/* No order needed: under the lock. */
	struct cgc_weak **link = bucket_of(stripe, atomic_load_explicit(&weak->target, memory_order_relaxed));
	while (*link != weak)
		link = &(*link)->next;
	*link = weak->next;
	stripe->cell_count--;
}

void cgc_weak_free(struct cgc_weak *weak)
{
	if (weak == NULL)
		return;
	cgc__thread_refuse_child("cgc_weak_free");
	struct stripe *stripe = &stripes[weak->stripe];
	pthread_mutex_lock(&stripe->lock);
	bool later = weak->state == CALLING; /* in a list of dead ones: who calls them frees it */
	weak->state = FREED;
	/* No order needed: under the lock. */
	if (atomic_load_explicit(&weak->target, memory_order_relaxed) != NULL)
		remove_cell(stripe, weak);
	pthread_mutex_unlock(&stripe->lock);
	if (!later)
		cgc__memory_put(weak, sizeof(*weak));
}

/* Makes all weak references to a dead or condemned object answer NULL; returns those with callbacks, in front of
 * `before`, for cgc__weak_call(). */
struct cgc_weak *cgc__weak_detach(void *object, struct cgc_weak *before)
{
	struct stripe *stripe = &stripes[stripe_of(object)];
	struct cgc_weak *first = before, **tail = &first;
	pthread_mutex_lock(&stripe->lock);
	struct cgc_weak **link = stripe->bucket_count > 0 ? bucket_of(stripe, object) : NULL;
	while (link != NULL && *link != NULL) {
		struct cgc_weak *weak = *link;
		/* No order needed: under the lock. */
		if (atomic_load_explicit(&weak->target, memory_order_relaxed) != object) {
			link = &weak->next;
			continue;
		}
		*link = weak->next;
		stripe->cell_count--;
		/* WEAK.w: nobody finds the object from here on; who has found it is in a section. Pairs: WEAK.r. */
		atomic_store_explicit(&weak->target, NULL, memory_order_release);
		if (weak->callback != NULL) {
			weak->state = CALLING;
			weak->next = before;
			*tail = weak;
			tail = &weak->next;
		}
	}
	pthread_mutex_unlock(&stripe->lock);
	return first;
}

static void run_callback(void *weak)
{
	struct cgc_weak *cell = weak;
	cell->callback(cell, cell->argument);
}

/* Calls back for cells from cgc__weak_detach(). A cell may be freed meanwhile, by its callback too. */
void cgc__weak_call(struct cgc__context *self, struct cgc_weak *list)
{
	while (list != NULL) {
		struct cgc_weak *weak = list;
		struct stripe *stripe = &stripes[weak->stripe];
		list = weak->next;
		pthread_mutex_lock(&stripe->lock);
		bool freed = weak->state == FREED;
		pthread_mutex_unlock(&stripe->lock);
		if (!freed)
			cgc__reclaim_run(self, run_callback, weak);
		pthread_mutex_lock(&stripe->lock);
		freed = weak->state == FREED;
		weak->state = IDLE;
		pthread_mutex_unlock(&stripe->lock);
		if (freed)
			cgc__memory_put(weak, sizeof(*weak));
	}
}

/* For cgc_debug_verify(): the cells of one stripe, each with whether it is where a death would look for it, and how
 * many the stripe counts. False if there is no such stripe. */
bool cgc__weak_walk(unsigned stripe, void (*visit)(void *argument, const void *target, bool is_in_place),
                    void *argument, size_t *cell_count)
{
	if (stripe >= STRIPES)
		return false;
	pthread_once(&once, start);
	pthread_mutex_lock(&stripes[stripe].lock);
	for (size_t i = 0; i < stripes[stripe].bucket_count; i++) {
		struct cgc_weak **bucket = &stripes[stripe].buckets[i];
		for (const struct cgc_weak *cell = *bucket; cell != NULL; cell = cell->next) {
			/* No order needed: under the lock. */
			const void *target = atomic_load_explicit(&cell->target, memory_order_relaxed);
			visit(argument, target,
			      cell->stripe == stripe && stripe_of(target) == stripe && cell->state == IDLE &&
			              bucket_of(&stripes[stripe], target) == bucket);
		}
	}
	*cell_count = stripes[stripe].cell_count;
	pthread_mutex_unlock(&stripes[stripe].lock);
	return true;
}
