/* SPDX-License-Identifier: MIT
 *
 * What must stay true: a weak reference answers an intact object or NULL, never one that is dead or finalized;
 * its callback runs exactly once, when every weak reference to the object answers NULL; a finalizer and a
 * destructor run exactly once, also for what was resurrected in between.
 *
 * Rounds of four phases with a barrier between them: make targets, each with weak references, held by a root,
 * by a ring, or by a dead ring; upgrade, keep and drop them from all threads while the detector runs; let go
 * of everything; one thread collects and verifies the record of every target.
 */
#include "item.h"

#define TARGETS 512u
#define ROOTS 64u
#define STEPS_MOST 4000u
#define WEAKS 3u

struct target {
	cgc_ref(struct target) slot[2];
	uint64_t number;
	uint64_t checksum;
	struct record *record; /* constant once made */
};

/* What happened to a target; outlives it. */
struct record {
	uint64_t number;
	struct cgc_weak *weak[WEAKS]; /* constant within a round */
	unsigned weak_count;
	bool resurrects;
	atomic_uint callbacks;
	atomic_uint finalized;
	atomic_uint destroyed;
};

typedef cgc_ref(struct target) target_ref;

static struct record records[TARGETS];
static target_ref roots[ROOTS];
static target_ref resurrected[ROOTS];
static pthread_barrier_t barrier;
static bool is_over;    /* written by thread 0 between barriers */
static uint64_t rounds; /* the same */
static atomic_ullong upgrades, failed_upgrades;

static unsigned count_up(atomic_uint *count)
{
	/* Acquire and release, so that who reads a count sees what was done before it was counted. Pairs:
	 * count_of(). */
	return atomic_fetch_add_explicit(count, 1, memory_order_acq_rel) + 1;
}

static unsigned count_of(atomic_uint *count)
{
	/* Pairs: count_up(). */
	return atomic_load_explicit(count, memory_order_acquire);
}

static void check_target_at(const struct target *target, const struct record *record, int line)
{
	uint64_t number = target->number;
	if (target->checksum != mix(number ^ ITEM_SALT))
		stress_violated(__FILE__, line, "target %p: %s: number %#" PRIx64, (const void *)target,
		                number == UINT64_C(0x5a5a5a5a5a5a5a5a) ? "freed while reachable" : "damaged",
		                number);
	if (number != record->number || target->record != record)
		stress_violated(__FILE__, line, "target %p: number %#" PRIx64 " in place of %#" PRIx64,
		                (const void *)target, number, record->number);
}
#define CHECK_TARGET(target, record) check_target_at((target), (record), __LINE__)

static void require_all_weak_null(struct record *record, const char *when)
{
	for (unsigned i = 0; i < record->weak_count; i++)
		if (cgc_weak_load(record->weak[i]) != NULL)
			VIOLATED("%s: weak reference %u of target %#" PRIx64 " still answers it", when, i,
			         record->number);
}

static void target_finalize(void *object)
{
	struct target *target = object;
	struct record *record = target->record;
	CHECK_TARGET(target, record);
	if (count_up(&record->finalized) != 1)
		VIOLATED("target %#" PRIx64 " finalized twice", record->number);
	require_all_weak_null(record, "in the finalizer");
	/* All that it refers to must be intact as well. */
	struct target *next = cgc_load(target, &target->slot[0]);
	if (next != NULL)
		CHECK_TARGET(next, next->record);
	cgc_release(next);
	if (record->resurrects)
		cgc_store(CGC_ROOT, &resurrected[record->number % ROOTS], target);
}

static void target_destroy(void *object)
{
	struct target *target = object;
	struct record *record = target->record;
	CHECK_TARGET(target, record);
	if (count_of(&record->finalized) != 1)
		VIOLATED("target %#" PRIx64 " destroyed without having been finalized", record->number);
	if (count_up(&record->destroyed) != 1)
		VIOLATED("target %#" PRIx64 " destroyed twice", record->number);
}

static struct cgc_type target_type = {
	.name = "target",
	.size = sizeof(struct target),
	CGC_FIELDS(CGC_FIELD(struct target, slot[0]), CGC_FIELD(struct target, slot[1])),
	.finalize = target_finalize,
	.destroy = target_destroy,
};

static void target_died(struct cgc_weak *weak, void *argument)
{
	struct record *record = argument;
	unsigned number = count_up(&record->callbacks);
	if (number > record->weak_count)
		VIOLATED("target %#" PRIx64 ": %u callbacks of %u weak references", record->number, number,
		         record->weak_count);
	/* The most recently made reference first. */
	if (weak != record->weak[record->weak_count - number])
		VIOLATED("target %#" PRIx64 ": callback %u of %u is not the one of the most recent reference",
		         record->number, number, record->weak_count);
	require_all_weak_null(record, "in the callback");
}

static struct target *target_new(struct worker *worker, struct record *record)
{
	struct target *target = cgc_new(&target_type);
	target->number = next_random(worker);
	target->checksum = mix(target->number ^ ITEM_SALT);
	target->record = record;
	record->number = target->number;
	record->resurrects = one_in(worker, 4);
	record->weak_count = 0;
	/* No order needed: the round's barrier publishes the record. */
	atomic_store_explicit(&record->callbacks, 0, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&record->finalized, 0, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&record->destroyed, 0, memory_order_relaxed);
	return target;
}

static void add_weak_references(struct worker *worker, struct record *record, struct target *target)
{
	unsigned count = 1 + below(worker, WEAKS);
	for (unsigned i = 0; i < count; i++) {
		struct cgc_weak *weak = cgc_weak_new(target, target_died, record);
		if (weak == NULL)
			VIOLATED("cgc_weak_new: NULL, expected a weak reference");
		record->weak[i] = weak;
	}
	record->weak_count = count;
}

/* The targets of this thread: alone, in pairs that refer to each other, or in longer rings. The weak references
 * exist before anything else can reach the target, so that nobody's callback comes early. */
static void make_targets(struct worker *worker)
{
	unsigned share = (TARGETS + stress.threads - 1) / stress.threads;
	unsigned end = (worker->index + 1) * share;
	if (end > TARGETS)
		end = TARGETS;
	for (unsigned i = worker->index * share; i < end;) {
		unsigned length = 1 + below(worker, one_in(worker, 2) ? 1 : 6);
		if (length > end - i)
			length = end - i;
		struct target *first = NULL, *last = NULL;
		for (unsigned j = 0; j < length; j++, i++) {
			struct target *target = target_new(worker, &records[i]);
			add_weak_references(worker, &records[i], target);
			if (first == NULL)
				first = target;
			else
				cgc_store_consume(last, &last->slot[0], target);
			last = target;
		}
		if (length > 1 || one_in(worker, 4))
			cgc_store(last, &last->slot[0], first);
		if (one_in(worker, 8))
			cgc_release(first); /* dies at once, or is garbage from the start */
		else
			cgc_store_consume(CGC_ROOT, &roots[below(worker, ROOTS)], first);
	}
}

static struct target *upgrade(struct worker *worker)
{
	struct record *record = &records[below(worker, TARGETS)];
	if (record->weak_count == 0)
		return NULL;
	struct target *target = cgc_weak_load(record->weak[below(worker, record->weak_count)]);
	/* No order needed: statistics. */
	atomic_fetch_add_explicit(target != NULL ? &upgrades : &failed_upgrades, 1, memory_order_relaxed);
	if (target == NULL)
		return NULL;
	CHECK_TARGET(target, record);
	worker->checked++;
	if (count_of(&record->finalized) != 0 || count_of(&record->destroyed) != 0)
		VIOLATED("a weak reference answered target %#" PRIx64 " after it died", record->number);
	if (count_of(&record->callbacks) != 0)
		VIOLATED("a weak reference answered target %#" PRIx64 " after a callback", record->number);
	return target;
}

static void drop_upgraded(struct target *target)
{
	struct record *record = target->record;
	CHECK_TARGET(target, record);
	if (count_of(&record->finalized) != 0)
		VIOLATED("target %#" PRIx64 " was finalized while an upgraded reference held it",
		         record->number);
	cgc_release(target);
}

/* A weak reference of the thread's own, made and freed while others load theirs. */
static void use_own_weak(struct target *target)
{
	struct cgc_weak *weak = cgc_weak_new(target, NULL, NULL);
	struct target *same = weak != NULL ? cgc_weak_load(weak) : target;
	if (same != target)
		VIOLATED("a new weak reference to a held target answered %p", (void *)same);
	if (weak != NULL)
		cgc_release(same);
	cgc_weak_free(weak);
}

static void race(struct worker *worker)
{
	struct target *held[4] = {NULL};
	for (unsigned steps = 1 + below(worker, STEPS_MOST); steps > 0; steps--) {
		unsigned hand = below(worker, 4), dice = below(worker, 100);
		struct target *target = held[hand];
		worker->operations++;
		if (dice < 50) {
			if (target != NULL)
				drop_upgraded(target);
			held[hand] = upgrade(worker);
		} else if (dice < 54) {
			/* What is lost here is reachable only through weak references from now on. */
			cgc_release(cgc_exchange(CGC_ROOT, &roots[below(worker, ROOTS)], NULL));
		} else if (dice < 70 && target != NULL) {
			cgc_store(CGC_ROOT, &roots[below(worker, ROOTS)], target);
		} else if (dice < 88 && target != NULL) {
			use_own_weak(target);
		} else if (dice < 92 && target != NULL) {
			/* Turns rings into chains and back. */
			struct target *other = upgrade(worker);
			cgc_store(target, &target->slot[1], other);
			if (other != NULL)
				drop_upgraded(other);
		} else if (one_in(worker, 64)) {
			cgc_collect(2);
		}
	}
	for (unsigned hand = 0; hand < 4; hand++)
		if (held[hand] != NULL)
			drop_upgraded(held[hand]);
}

static void verify_records(void)
{
	for (unsigned i = 0; i < ROOTS; i++)
		cgc_store(CGC_ROOT, &roots[i], NULL);
	/* Each collection may resurrect; nothing is finalized twice, so this ends. */
	unsigned tries = 0;
	do {
		if (tries++ == 1000)
			VIOLATED("%" PRIu64 " objects live after 1000 collections", stress_live());
		cgc_collect(2);
		for (unsigned i = 0; i < ROOTS; i++)
			cgc_store(CGC_ROOT, &resurrected[i], NULL);
	} while (stress_live() > 0);
	for (unsigned i = 0; i < TARGETS; i++) {
		struct record *record = &records[i];
		unsigned finalized = count_of(&record->finalized), destroyed = count_of(&record->destroyed);
		unsigned callbacks = count_of(&record->callbacks);
		if (finalized != 1 || destroyed != 1 || callbacks != record->weak_count)
			VIOLATED("target %#" PRIx64
			         ": finalized %u times, destroyed %u times, %u callbacks of %u weak "
			         "references",
			         record->number, finalized, destroyed, callbacks, record->weak_count);
		require_all_weak_null(record, "after death");
		for (unsigned j = 0; j < record->weak_count; j++)
			cgc_weak_free(record->weak[j]);
		record->weak_count = 0;
	}
	rounds++;
	is_over = stress_now() >= stress.deadline;
}

static void work(struct worker *worker)
{
	while (!is_over) {
		make_targets(worker);
		pthread_barrier_wait(&barrier);
		race(worker);
		/* Half of the threads leave the last rings to thread 0's collection without a word. */
		if (one_in(worker, 2))
			cgc_park();
		pthread_barrier_wait(&barrier);
		if (worker->index == 0)
			verify_records();
		pthread_barrier_wait(&barrier);
		cgc_unpark();
	}
}

int main(void)
{
	stress_begin("stress_weak_once");
	pthread_barrier_init(&barrier, NULL, stress.threads);
	struct worker sum = stress_run(work, 0);
	pthread_barrier_destroy(&barrier);
	/* No order needed: all threads are joined. */
	unsigned long long succeeded = atomic_load_explicit(&upgrades, memory_order_relaxed);
	/* No order needed: as above. */
	unsigned long long failed = atomic_load_explicit(&failed_upgrades, memory_order_relaxed);
	printf("stress_weak_once: %" PRIu64 " rounds of %u targets, %llu upgrades, %llu answered NULL\n",
	       rounds, TARGETS, succeeded, failed);
	return stress_end(&sum);
}
