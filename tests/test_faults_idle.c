/* SPDX-License-Identifier: MIT
 *
 * Threads that do nothing for the collector: a thousand that sit in read() or wait for a mutex without a word to the
 * library, owners that never come back, owners that end while others release what they made, and one that ends where
 * it must not. What others let go of comes back all the same.
 */
#include <sched.h>
#include <time.h>

#include "child.h"

static pthread_barrier_t barrier;

/* Waits for something that must come by itself. The bound is no measure: it only ends a test that hangs. */
static bool comes_true(bool (*condition)(void))
{
	time_t begun = time(NULL);
	while (!condition()) {
		if (time(NULL) - begun > 20)
			return false;
		sched_yield();
	}
	return true;
}

static bool nothing_is_live(void)
{
	return live() == 0;
}

static uint64_t reserved(void)
{
	return stats_now().bytes_reserved;
}

/* Without a word to the library, until the other end is closed. */
static void sit_in_read(int end)
{
	char byte;
	while (read(end, &byte, 1) != 0)
		continue;
}

/* ---------------------------------------------------------------------------------------------
 * A crowd
 * ------------------------------------------------------------------------------------------- */

enum { CROWD = IS_SANITIZED ? 150 : 1000, WORKERS = 3, ROUNDS = IS_SANITIZED ? 500 : 5000, BATCH = 50 };

static struct {
	int ends[2];
	pthread_mutex_t gate;
	node_ref places[CROWD];
	struct node *kept[CROWD];
	pthread_barrier_t all_sit;
	int destroyed;
} crowd = {.gate = PTHREAD_MUTEX_INITIALIZER};

/* Keeps a private ring; leaves a private dead one, a published dead one, and a published object that others hold. */
static void *sit(void *argument)
{
	size_t i = (size_t)((node_ref *)argument - crowd.places);
	crowd.kept[i] = make_ring(2);
	cgc_release(make_ring(2));
	cgc_store_consume(CGC_ROOT, &crowd.places[i], make_chain(2));
	struct node *ring = make_ring(3);
	cgc_publish(ring);
	cgc_release(ring);
	meet(&crowd.all_sit);
	if (i % 2 == 0) {
		sit_in_read(crowd.ends[0]);
	} else {
		pthread_mutex_lock(&crowd.gate);
		pthread_mutex_unlock(&crowd.gate);
	}
	node_check(crowd.kept[i]);
	return NULL;
}

/* Rings and deaths, its own and the crowd's. */
static void *work(void *argument)
{
	int number = *(int *)argument;
	for (int i = 0; i < ROUNDS; i++) {
		struct node *ring = make_ring(2), *chain = make_chain(2);
		node_ref *place = &crowd.places[(i * WORKERS + number) % CROWD];
		cgc_store(ring, &ring->slot[1], chain);
		cgc_store_consume(CGC_ROOT, place, chain); /* what was there dies, whoever made it */
		cgc_release(ring);
		if (i % BATCH == 0)
			cgc_collect(i % (8 * BATCH) == 0 ? 2 : 1);
	}
	return NULL;
}

static bool all_places_are_dead(void)
{
	return count_of(&destroyed) == crowd.destroyed + 2 * CROWD;
}

static void a_crowd_that_sits_holds_only_what_it_holds(UNUSED void **state)
{
	pthread_t threads[CROWD], workers[WORKERS];
	int numbers[WORKERS];
	pthread_attr_t attributes;
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
	cgc_thread_attach();
	assert_int_equal(pipe(crowd.ends), 0);
	pthread_barrier_init(&crowd.all_sit, NULL, CROWD + 1);
	pthread_mutex_lock(&crowd.gate);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], &attributes, sit, &crowd.places[i]), 0);
	pthread_attr_destroy(&attributes);
	meet(&crowd.all_sit);
	for (int i = 0; i < WORKERS; i++) {
		numbers[i] = i;
		workers[i] = thread_start(work, &numbers[i]);
	}
	for (int i = 0; i < WORKERS; i++)
		thread_join(workers[i]);
	/* Each place holds a chain of two; each thread of the crowd its two private rings. */
	for (int i = 0; i < 100 && live() > 6 * CROWD; i++)
		cgc_collect(2);
	uint64_t during = live();
	/* Counting needs neither the crowd nor a collection. */
	crowd.destroyed = count_of(&destroyed);
	for (int i = 0; i < CROWD; i++)
		cgc_store(CGC_ROOT, &crowd.places[i], NULL);
	bool came = comes_true(all_places_are_dead);
	close(crowd.ends[1]);
	pthread_mutex_unlock(&crowd.gate);
	for (int i = 0; i < CROWD; i++)
		thread_join(threads[i]);
	close(crowd.ends[0]);
	pthread_barrier_destroy(&crowd.all_sit);
	assert_int_equal(during, 6 * CROWD);
	assert_true(came);
	/* Their dead rings went with them. */
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(live(), 2 * CROWD);
	for (int i = 0; i < CROWD; i++) {
		node_check(crowd.kept[i]);
		cgc_release(crowd.kept[i]);
	}
	assert_int_equal(cgc_collect(2), 2 * CROWD);
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * Memory
 * ------------------------------------------------------------------------------------------- */

enum { MADE = IS_SANITIZED ? 40000 : 200000 };

/* Leaves: no look of the detector copies them while they live, and keeps its arrays. */
struct producer {
	int ends[2];
	bool is_mixed; /* every other leaf is the producer's own, and it frees that itself */
	struct leaf **made, **own;
	pthread_barrier_t given;
};

static struct leaf *make_leaf(uint64_t value)
{
	struct leaf *leaf = cgc_new(&leaf_type);
	leaf->value = value;
	return leaf;
}

static void *produce_and_sit(void *argument)
{
	struct producer *producer = argument;
	for (int i = 0; i < MADE; i++) {
		struct leaf *leaf = make_leaf((uint64_t)i);
		if (producer->is_mixed)
			producer->own[i] = make_leaf(0);
		if (i % 2 == 0)
			cgc_transfer(leaf);
		else
			cgc_publish(leaf);
		producer->made[i] = leaf;
	}
	for (int i = 0; producer->is_mixed && i < MADE; i++)
		cgc_release(producer->own[i]);
	meet(&producer->given);
	sit_in_read(producer->ends[0]);
	return NULL;
}

static void *consume(void *argument)
{
	struct producer *producer = argument;
	for (int i = 0; i < MADE; i++) {
		MUST(producer->made[i]->value == (uint64_t)i);
		cgc_release(producer->made[i]);
	}
	return NULL;
}

/* Produces much, all of which is released by another thread; returns when that is given back, or should be, after the
 * producer's end or before it. */
static void produce_and_consume(bool is_mixed, bool owner_ends)
{
	struct producer producer = {.is_mixed = is_mixed,
	                            .made = calloc(MADE, sizeof(struct leaf *)),
	                            .own = calloc(MADE, sizeof(struct leaf *))};
	assert_non_null(producer.made);
	assert_non_null(producer.own);
	assert_int_equal(pipe(producer.ends), 0);
	pthread_barrier_init(&producer.given, NULL, 2);
	cgc_thread_attach();
	uint64_t before = reserved();
	pthread_t owner = thread_start(produce_and_sit, &producer);
	meet(&producer.given);
	uint64_t during = reserved();
	in_thread(consume, &producer);
	/* By itself: the detector is on. */
	bool came = comes_true(nothing_is_live);
	if (owner_ends) {
		close(producer.ends[1]);
		thread_join(owner);
	}
	for (int i = 0; i < 3; i++)
		cgc_collect(2); /* slabs go back after the last of their cells */
	uint64_t after = reserved();
	if (!owner_ends) {
		close(producer.ends[1]);
		thread_join(owner);
	}
	close(producer.ends[0]);
	pthread_barrier_destroy(&producer.given);
	free(producer.made);
	free(producer.own);
	assert_true(came);
	if (after > before + (during - before) / 10)
		fail_msg("%lu bytes before, %lu when all was made, %lu after all is dead",
		         (unsigned long)before, (unsigned long)during, (unsigned long)after);
}

/* A thread that has produced and blocks must not keep what others have released (CPython #157838). */
static void memory_goes_back_without_the_owner(UNUSED void **state)
{
	produce_and_consume(false, false);
}

/* Also slabs that it has freed some cells of, and others the rest. */
static void memory_goes_back_when_the_owner_has_ended(UNUSED void **state)
{
	produce_and_consume(true, true);
}

static pthread_barrier_t all_made;

/* Objects of many sizes, none of which it leaves. */
static void *use_many_sizes(UNUSED void *argument)
{
	struct array *arrays[10];
	for (int i = 0; i < 10; i++)
		arrays[i] = cgc_new_n(&array_type, (size_t)1 << i);
	meet(&all_made);
	for (int i = 0; i < 10; i++)
		cgc_release(arrays[i]);
	return NULL;
}

static void threads_that_have_ended_keep_no_empty_slabs(UNUSED void **state)
{
	enum { THREADS = 100, KEPT_BYTES = 16384 };
	pthread_t threads[THREADS];
	cgc_thread_attach();
	uint64_t before = reserved();
	pthread_barrier_init(&all_made, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		threads[i] = thread_start(use_many_sizes, NULL);
	for (int i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	pthread_barrier_destroy(&all_made);
	cgc_collect(2);
	assert_int_equal(live(), 0);
	if (reserved() > before + THREADS * KEPT_BYTES)
		fail_msg("%d threads have ended without an object and keep %lu bytes", THREADS,
		         (unsigned long)(reserved() - before));
}

static uint64_t most;

static bool few_are_live(void)
{
	return live() <= most;
}

/* Counting works without collections (cgc_disable): also what was a suspect, and has died since, goes back. */
static void the_dead_go_back_while_automatic_collection_is_off(UNUSED void **state)
{
	enum { TIMES = 20000, NOT_WORTH_A_LOOK = TIMES / 4 };
	assert_false(cgc_is_enabled());
	for (int i = 0; i < TIMES; i++) {
		struct node *node = make(i);
		cgc_publish(node);
		cgc_retain(node);
		cgc_release(node); /* not the last: it might be in a ring */
		cgc_release(node);
	}
	most = NOT_WORTH_A_LOOK;
	if (!comes_true(few_are_live))
		fail_msg("%d objects destroyed, the memory of %d not given back", count_of(&destroyed),
		         (int)live());
}

/* ---------------------------------------------------------------------------------------------
 * Owners that end
 * ------------------------------------------------------------------------------------------- */

enum { OWNERS = IS_SANITIZED ? 200 : 1000, RELEASERS = 2, EACH = 24 };

static struct node *given[RELEASERS][EACH];

static struct node *make_some(int i)
{
	struct node *node = i % 3 == 0 ? make_ring(2) : make_chain(1 + i % 3);
	if (i % 4 == 0)
		cgc_transfer(node);
	else
		cgc_publish(node);
	return node;
}

static void *own_and_end(UNUSED void *argument)
{
	for (int r = 0; r < RELEASERS; r++)
		for (int i = 0; i < EACH; i++)
			given[r][i] = make_some(i);
	cgc_release(make_ring(3));
	meet(&barrier);
	return NULL; /* and is detached while they release */
}

static void *release_for_owners(void *argument)
{
	struct node **mine = argument;
	for (int round = 0; round < OWNERS; round++) {
		meet(&barrier);
		for (int i = 0; i < EACH; i++) {
			node_check(mine[i]);
			if (i % 2 == 0) {
				cgc_retain(mine[i]);
				cgc_release(mine[i]);
			}
			cgc_release(mine[i]);
		}
		meet(&barrier); /* the owner is gone by now */
	}
	return NULL;
}

static void owners_may_end_while_others_release(UNUSED void **state)
{
	pthread_t releasers[RELEASERS];
	cgc_thread_attach();
	pthread_barrier_init(&barrier, NULL, RELEASERS + 1);
	for (int r = 0; r < RELEASERS; r++)
		releasers[r] = thread_start(release_for_owners, given[r]);
	for (int round = 0; round < OWNERS; round++) {
		in_thread(own_and_end, NULL);
		meet(&barrier);
	}
	for (int r = 0; r < RELEASERS; r++)
		thread_join(releasers[r]);
	pthread_barrier_destroy(&barrier);
	settle();
	assert_int_equal(live(), 0);
	/* A third rings of 2, a third chains of 2, a third chains of 3. */
	assert_int_equal(count_of(&destroyed), OWNERS * (RELEASERS * EACH / 3 * (2 + 2 + 3) + 3));
}

/* ---------------------------------------------------------------------------------------------
 * The end of a thread where there is still something to do, in a process of its own
 * ------------------------------------------------------------------------------------------- */

static void end_thread(UNUSED struct node *node)
{
	pthread_exit(NULL);
}

static void end_thread_in_callback(UNUSED struct cgc_weak *weak, UNUSED void *argument)
{
	pthread_exit(NULL);
}

static void *end_in_finalizer(UNUSED void *argument)
{
	struct node *node = make_of(&active_type, 1);
	node->on_finalize = end_thread;
	cgc_store_consume(node, &node->slot[0], make_chain(3));
	cgc_release(node);
	return NULL;
}

static void *end_in_collection(UNUSED void *argument)
{
	struct node *ring = make_ring_of(&active_type, 3);
	ring->on_finalize = end_thread;
	cgc_release(ring);
	cgc_collect(0);
	return NULL;
}

static void *end_in_destroy(UNUSED void *argument)
{
	struct node *chain = make_chain(3);
	chain->on_destroy = end_thread;
	cgc_release(chain);
	return NULL;
}

static void play_end_in_finalizer(void)
{
	in_thread(end_in_finalizer, NULL);
}

static void play_end_in_collection(void)
{
	in_thread(end_in_collection, NULL);
}

static void play_end_in_destroy(void)
{
	in_thread(end_in_destroy, NULL);
}

/* On the background thread. */
static void play_end_in_callback(void)
{
	struct node *ring = make_ring(2);
	MUST(cgc_weak_new(ring, end_thread_in_callback, NULL) != NULL);
	cgc_release(ring);
	cgc_collect(2);
}

static const struct scene scenes[] = {
	{"end_in_finalizer", play_end_in_finalizer},
	{"end_in_collection", play_end_in_collection},
	{"end_in_destroy", play_end_in_destroy},
	{"end_in_callback", play_end_in_callback},
};

/* What it was about to free would never be, and who takes its place would never collect. */
static void a_thread_that_ends_in_a_finalizer_or_callback_is_refused(UNUSED void **state)
{
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		assert_aborts(scenes[i].name, "enable=0", "pthread_exit", "finalizer or callback");
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(scenes[0]));
	const struct CMUnitTest tests[] = {
		TEST(a_crowd_that_sits_holds_only_what_it_holds),
		TEST_ENABLED(memory_goes_back_without_the_owner),
		TEST_ENABLED(memory_goes_back_when_the_owner_has_ended),
		TEST(threads_that_have_ended_keep_no_empty_slabs),
		TEST(the_dead_go_back_while_automatic_collection_is_off),
		TEST(owners_may_end_while_others_release),
		TEST(a_thread_that_ends_in_a_finalizer_or_callback_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
