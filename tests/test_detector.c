/* SPDX-License-Identifier: MIT
 *
 * Generation 2: rings of published objects are found, all of them and nothing else, whoever asks, from wherever,
 * or when nobody asks.
 */
#include <sched.h>
#include <time.h>

#include "node.h"

static node_ref root, other_root;
static pthread_barrier_t barrier;

static struct node *make_published_ring(int length)
{
	struct node *ring = make_ring(length);
	cgc_publish(ring);
	return ring;
}

static void a_published_ring_is_collected(UNUSED void **state)
{
	static const int lengths[] = {1, 2, 3, 10, 1000, 50000};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		cgc_release(make_published_ring(lengths[i]));
		assert_int_equal(cgc_collect(2), lengths[i]);
		assert_int_equal(live(), 0);
	}
	assert_int_equal(cgc_collect(2), 0);
}

/* A ring is looked at again whenever it loses a reference; until the last one it lives. */
static void a_held_ring_is_not_collected(UNUSED void **state)
{
	struct node *ring = make_published_ring(5);
	struct node *third = cgc_retain(peek(peek(ring, 0), 0));
	cgc_store(CGC_ROOT, &root, ring);
	cgc_release(ring);
	assert_int_equal(cgc_collect(2), 0);
	cgc_store(CGC_ROOT, &root, NULL);
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(live(), 5);
	struct node *node = third;
	do {
		node_check(node);
		node = peek(node, 0);
	} while (node != third);
	cgc_release(third);
	assert_int_equal(cgc_collect(2), 5);
}

static void a_count_is_that_of_the_garbage_and_nothing_else(UNUSED void **state)
{
	struct node *kept = make_published_ring(100);
	for (int i = 1; i <= 20; i++)
		cgc_release(make_published_ring(i));
	/* Garbage that refers to what lives, and what lives next to garbage. */
	struct node *ring = make_published_ring(7);
	cgc_store(ring, &ring->slot[1], kept);
	cgc_release(ring);
	struct node *chain = make_chain(10);
	cgc_publish(chain);
	assert_int_equal(cgc_collect(2), 210 + 7);
	assert_int_equal(live(), 110);
	assert_int_equal(cgc_reference_count(kept), 2);
	cgc_release(chain); /* dies by counting, is no cyclic garbage */
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(live(), 100);
	cgc_release(kept);
	assert_int_equal(cgc_collect(2), 100);
}

/* What only a dead ring holds is part of the garbage. */
static void what_hangs_on_a_dead_ring_is_garbage_too(UNUSED void **state)
{
	struct node *ring = make_published_ring(3);
	cgc_store_consume(ring, &ring->slot[1], make_chain(10));
	struct node *second = make_ring(4);
	cgc_store(ring, &ring->slot[2], second);
	cgc_store(second, &second->slot[1], ring);
	cgc_release(second);
	cgc_release(ring);
	assert_int_equal(cgc_collect(2), 17);
	assert_int_equal(live(), 0);
}

/* Two rings with one object in common, cliques, and objects that refer to one another many times. */
static void entangled_rings_are_collected(UNUSED void **state)
{
	enum { SIZE = 50 };
	struct array *arrays[SIZE];
	typedef cgc_ref(struct array) array_ref;
	for (int i = 0; i < SIZE; i++)
		arrays[i] = cgc_new_n(&array_type, SIZE);
	for (int i = 0; i < SIZE; i++)
		for (int j = 0; j < SIZE; j++) {
			array_ref *item = (array_ref *)&arrays[i]->items[j];
			cgc_store(arrays[i], item, arrays[j]);
		}
	cgc_publish(arrays[0]);
	for (int i = 0; i < SIZE; i++) {
		assert_int_equal(cgc_generation(arrays[i]), 2);
		assert_int_equal(cgc_reference_count(arrays[i]), SIZE + 1);
		assert_int_equal(cgc_collect(2), 0);
		cgc_release(arrays[i]);
	}
	assert_int_equal(cgc_collect(2), SIZE);
	assert_int_equal(live(), 0);
}

/* Every way in which a ring can lose the last reference from outside. */
enum loss { RELEASE, STORE, CONSUME, EXCHANGE, COMPARE_EXCHANGE, CONTAINER, CHAIN, LOSSES };

static void a_ring_is_found_however_its_last_reference_went(UNUSED void **state)
{
	for (enum loss loss = RELEASE; loss < LOSSES; loss++) {
		struct node *ring = make_published_ring(4);
		struct node *holder = make(100);
		cgc_publish(holder);
		cgc_store(holder, &holder->slot[0], ring);
		if (loss == RELEASE) {
			cgc_store(holder, &holder->slot[0], NULL);
			cgc_release(ring);
			cgc_release(holder);
			assert_int_equal(cgc_collect(2), 4);
			continue;
		}
		cgc_release(ring);
		assert_int_equal(cgc_collect(2), 0);
		switch (loss) {
		case STORE:
			cgc_store(holder, &holder->slot[0], holder);
			cgc_store(holder, &holder->slot[0], NULL);
			break;
		case CONSUME:
			cgc_store_consume(holder, &holder->slot[0], make(5));
			break;
		case EXCHANGE:
			cgc_release(cgc_exchange(holder, &holder->slot[0], NULL));
			break;
		case COMPARE_EXCHANGE:
			assert_true(cgc_compare_exchange(holder, &holder->slot[0], ring, NULL));
			break;
		case CHAIN: {
			/* The holder dies as the last of a chain. */
			struct node *first = make_chain(3);
			struct node *last = peek(peek(first, 0), 0);
			cgc_store_consume(last, &last->slot[0], holder);
			cgc_publish(first);
			cgc_release(first);
			holder = NULL;
			break;
		}
		default:
			break; /* the holder dies below */
		}
		cgc_release(holder);
		/* Dead by counting before the call: the ring may be seen as garbage in this look or the next. */
		long collected = cgc_collect(2);
		if (collected == 0)
			collected = cgc_collect(2);
		assert_int_equal(collected, 4);
		assert_int_equal(live(), 0);
	}
}

static void *collect_from_a_thread(void *argument)
{
	long *collected = argument;
	meet(&barrier);
	*collected = cgc_collect(2);
	return NULL;
}

static void several_threads_may_collect_at_once(UNUSED void **state)
{
	enum { THREADS = 4, ROUNDS = 20, GARBAGE = 300 };
	for (int round = 0; round < ROUNDS; round++) {
		long collected[THREADS] = {0}, sum = 0;
		pthread_t threads[THREADS];
		count_clear(&destroyed);
		pthread_barrier_init(&barrier, NULL, THREADS);
		for (int i = 0; i < GARBAGE / 3; i++)
			cgc_release(make_published_ring(3));
		for (int i = 0; i < THREADS; i++)
			threads[i] = thread_start(collect_from_a_thread, &collected[i]);
		for (int i = 0; i < THREADS; i++)
			thread_join(threads[i]);
		pthread_barrier_destroy(&barrier);
		/* Each look began after its call, so when the first one is over all garbage is gone. */
		assert_int_equal(count_of(&destroyed), GARBAGE);
		assert_int_equal(live(), 0);
		for (int i = 0; i < THREADS; i++) {
			assert_in_range(collected[i], 0, GARBAGE);
			sum += collected[i];
		}
		assert_true(sum >= GARBAGE);
	}
}

/* Rings whose members belong to several threads, all of them waiting. */
static struct node *members[4];

static void *make_member(void *argument)
{
	struct node **member = argument;
	*member = make(1);
	cgc_publish(*member);
	meet(&barrier); /* all are made */
	meet(&barrier); /* the ring is gone */
	return NULL;
}

static void a_ring_across_threads_is_collected_while_they_wait(UNUSED void **state)
{
	pthread_t threads[4];
	pthread_barrier_init(&barrier, NULL, 5);
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(make_member, &members[i]);
	meet(&barrier);
	for (int i = 0; i < 4; i++)
		cgc_store(members[i], &members[i]->slot[0], members[(i + 1) % 4]);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(cgc_collect(2), 0);
		cgc_release(members[i]);
	}
	long collected = cgc_collect(2);
	uint64_t left = live();
	meet(&barrier);
	for (int i = 0; i < 4; i++)
		thread_join(threads[i]);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(collected, 4);
	assert_int_equal(left, 0);
}

static void *leave_rings_behind(UNUSED void *argument)
{
	for (int i = 0; i < 100; i++) {
		cgc_release(make_ring(3)); /* private until the thread ends */
		cgc_release(make_published_ring(3));
	}
	cgc_store_consume(CGC_ROOT, &root, make_ring(3));
	return NULL;
}

static void rings_of_a_thread_that_ended_are_collected(UNUSED void **state)
{
	in_thread(leave_rings_behind, NULL);
	cgc_collect(2);
	assert_int_equal(live(), 3);
	cgc_store(CGC_ROOT, &root, NULL);
	assert_int_equal(cgc_collect(2), 3);
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * Calls from finalizers and callbacks
 * ------------------------------------------------------------------------------------------- */

static atomic_int collections_inside;

static void collect_all(UNUSED struct node *node)
{
	for (int generation = 0; generation <= 2; generation++)
		MUST(cgc_collect(generation) >= 0);
	count_up(&collections_inside);
}

static struct node *make_collecting(int id)
{
	struct node *node = make_of(&active_type, id);
	node->on_finalize = collect_all;
	return node;
}

static void a_finalizer_may_collect(UNUSED void **state)
{
	count_clear(&collections_inside);
	cgc_release(make_collecting(0)); /* a private death, in this thread */
	assert_int_equal(count_of(&collections_inside), 1);
	struct node *node = make_collecting(1);
	cgc_publish(node);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(count_of(&collections_inside), 2);
	/* In a young collection, in one of the whole. */
	for (int published = 0; published < 2; published++) {
		struct node *ring = make_collecting(2);
		for (int i = 0; i < 3; i++) {
			struct node *next = make_collecting(3);
			cgc_store(next, &next->slot[0], ring);
			cgc_store(ring, &ring->slot[i], next);
			cgc_release(next);
		}
		if (published)
			cgc_publish(ring);
		cgc_release(ring);
		assert_int_equal(cgc_collect(published ? 2 : 0), 4);
		assert_int_equal(count_of(&collections_inside), 2 + 4 * (published + 1));
	}
	assert_int_equal(live(), 0);
	assert_int_equal(count_of(&finalized), 10);
	assert_int_equal(count_of(&destroyed), 10);
}

static void collect_in_callback(struct cgc_weak *weak, UNUSED void *argument)
{
	MUST(cgc_weak_load(weak) == NULL);
	cgc_release(make_published_ring(2));
	collect_all(NULL);
}

static void a_weak_callback_may_collect(UNUSED void **state)
{
	struct cgc_weak *weak[3];
	count_clear(&collections_inside);
	struct node *ring = make_published_ring(3), *node = make(1);
	weak[0] = cgc_weak_new(ring, collect_in_callback, NULL);
	weak[1] = cgc_weak_new(peek(ring, 0), collect_in_callback, NULL);
	weak[2] = cgc_weak_new(node, collect_in_callback, NULL);
	cgc_release(node);
	cgc_release(ring);
	cgc_collect(2);
	cgc_collect(2);
	assert_int_equal(count_of(&collections_inside), 3);
	for (int i = 0; i < 3; i++)
		cgc_weak_free(weak[i]);
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * Beside the program
 * ------------------------------------------------------------------------------------------- */

static atomic_int stop;

/* Moves the only reference to a ring between two roots, all the time: it is never garbage. */
static void *move_a_ring(UNUSED void *argument)
{
	while (count_of(&stop) == 0) {
		cgc_store_consume(CGC_ROOT, &other_root, cgc_exchange(CGC_ROOT, &root, NULL));
		cgc_store_consume(CGC_ROOT, &root, cgc_exchange(CGC_ROOT, &other_root, NULL));
	}
	return NULL;
}

static void a_ring_that_moves_between_roots_is_never_collected(UNUSED void **state)
{
	count_clear(&stop);
	cgc_store_consume(CGC_ROOT, &root, make_ring(5));
	pthread_t thread = thread_start(move_a_ring, NULL);
	for (int i = 0; i < 100; i++)
		assert_int_equal(cgc_collect(2), 0);
	count_up(&stop);
	thread_join(thread);
	assert_int_equal(live(), 5);
	cgc_store(CGC_ROOT, &root, NULL);
	assert_int_equal(cgc_collect(2), 5);
}

/* The same, with the reference out of every field most of the time, and inside of a larger garbage-like graph. */
static void *rotate_a_ring(UNUSED void *argument)
{
	while (count_of(&stop) == 0) {
		struct node *node = cgc_exchange(CGC_ROOT, &root, NULL);
		cgc_retain(node);
		struct node *next = cgc_load(node, &node->slot[0]);
		node_check(next);
		cgc_release(node);
		cgc_release(node);
		cgc_store_consume(CGC_ROOT, &root, next);
	}
	return NULL;
}

static void a_ring_held_by_a_different_member_each_time_is_never_collected(UNUSED void **state)
{
	count_clear(&stop);
	cgc_store_consume(CGC_ROOT, &root, make_ring(5));
	pthread_t thread = thread_start(rotate_a_ring, NULL);
	for (int i = 0; i < 100; i++)
		assert_int_equal(cgc_collect(2), 0);
	count_up(&stop);
	thread_join(thread);
	assert_int_equal(live(), 5);
	cgc_store(CGC_ROOT, &root, NULL);
	assert_int_equal(cgc_collect(2), 5);
}

/* Nobody asks for a collection; the bound only ends a test that hangs. */
static void suspects_start_a_collection_by_themselves(UNUSED void **state)
{
	time_t begun = time(NULL);
	uint64_t before = stats_now().objects_freed_by_detector;
	while (stats_now().objects_freed_by_detector == before) {
		if (time(NULL) - begun > 60)
			fail_msg("%d objects of published garbage, none collected", (int)live());
		for (int i = 0; i < 1000 && live() < 1000000; i++)
			cgc_release(make_published_ring(3));
		sched_yield();
	}
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

/* The last handle goes into the ring itself: no count ever goes down. */
static void a_ring_that_its_last_handle_closes_is_collected_by_itself(UNUSED void **state)
{
	for (int i = 0; i < 200; i++) {
		struct node *node = make(i);
		/* The handle is counted with its owner, or with all others. */
		if (i < 100)
			cgc_publish(node);
		else
			cgc_transfer(node);
		if (i % 2 == 0)
			cgc_store_consume(node, &node->slot[0], node);
		else
			assert_null(cgc_exchange(node, &node->slot[0], node));
	}
	time_t begun = time(NULL);
	while (live() > 0) {
		if (time(NULL) - begun > 60)
			fail_msg("%d rings of published garbage, not collected", (int)live());
		sched_yield();
	}
}

/* Garbage made in another way: it survives its thread's young collections, then dies. */
static void rings_that_grow_old_are_collected_by_themselves(UNUSED void **state)
{
	enum { RINGS = 1000 };
	static struct node *rings[RINGS];
	time_t begun = time(NULL);
	int made = 0;
	uint64_t before = stats_now().objects_freed_by_detector;
	for (; stats_now().objects_freed_by_detector == before; made++) {
		if (time(NULL) - begun > 60)
			fail_msg("%d objects live, no garbage collected", (int)live());
		int place = made % RINGS;
		cgc_release(rings[place]);
		rings[place] = make_ring(10);
		if (live() > 1000000)
			sched_yield();
	}
	for (int i = 0; i < RINGS; i++) {
		cgc_release(rings[i]);
		rings[i] = NULL;
	}
	cgc_collect(2);
	assert_int_equal(count_of(&destroyed), 10 * made);
}

static void no_suspect_is_collected_while_disabled(UNUSED void **state)
{
	for (int i = 0; i < 20000; i++)
		cgc_release(make_published_ring(3));
	/* Counting goes on meanwhile, and shows that time has passed. */
	struct node *node = make(1);
	cgc_publish(node);
	cgc_release(node);
	while (live() > 60000)
		sched_yield();
	assert_int_equal(live(), 60000);
	assert_int_equal(cgc_collect(2), 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_published_ring_is_collected),
		TEST(a_held_ring_is_not_collected),
		TEST(a_count_is_that_of_the_garbage_and_nothing_else),
		TEST(what_hangs_on_a_dead_ring_is_garbage_too),
		TEST(entangled_rings_are_collected),
		TEST(a_ring_is_found_however_its_last_reference_went),
		TEST(several_threads_may_collect_at_once),
		TEST(a_ring_across_threads_is_collected_while_they_wait),
		TEST(rings_of_a_thread_that_ended_are_collected),
		TEST(a_finalizer_may_collect),
		TEST(a_weak_callback_may_collect),
		TEST(a_ring_that_moves_between_roots_is_never_collected),
		TEST(a_ring_held_by_a_different_member_each_time_is_never_collected),
		TEST_ENABLED(suspects_start_a_collection_by_themselves),
		TEST_ENABLED(a_ring_that_its_last_handle_closes_is_collected_by_itself),
		TEST_ENABLED(rings_that_grow_old_are_collected_by_themselves),
		TEST(no_suspect_is_collected_while_disabled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
