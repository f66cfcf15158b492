/* SPDX-License-Identifier: MIT
 *
 * Threads: attaching, parking, ending in any state; start and stop of the library.
 */
#include <errno.h>

#include "node.h"

static node_ref root;
static pthread_barrier_t barrier;

static uint64_t threads_now(void)
{
	return stats_now().threads;
}

static void *attach_and_tell(void *argument)
{
	uint64_t *inside = argument;
	MUST(cgc_thread_attach() == 0);
	*inside = threads_now();
	return NULL;
}

static void *use_without_attaching(void *argument)
{
	uint64_t *inside = argument;
	cgc_release(make(1));
	*inside = threads_now();
	return NULL;
}

static void a_thread_is_attached_by_its_first_use_and_detached_by_its_end(UNUSED void **state)
{
	cgc_thread_attach();
	uint64_t before = threads_now(), inside = 0;
	in_thread(attach_and_tell, &inside);
	assert_int_equal(inside, before + 1);
	assert_int_equal(threads_now(), before);
	in_thread(use_without_attaching, &inside);
	assert_int_equal(inside, before + 1);
	assert_int_equal(threads_now(), before);
}

static void *attach_and_detach_often(UNUSED void *argument)
{
	uint64_t before = threads_now();
	for (int i = 0; i < 100; i++) {
		MUST(cgc_thread_attach() == 0);
		MUST(cgc_thread_attach() == 0); /* again: nothing happens */
		if (i % 2 == 0)
			cgc_release(make_ring(3));
		cgc_thread_detach();
		cgc_thread_detach();
		MUST(threads_now() <= before);
	}
	return NULL;
}

static void attaching_and_detaching_may_be_repeated(UNUSED void **state)
{
	in_thread(attach_and_detach_often, NULL);
	/* The garbage of a thread is collected when it detaches. */
	assert_int_equal(count_of(&destroyed), 150);
	assert_int_equal(live(), 0);
}

static void *detach_with_objects(UNUSED void *argument)
{
	struct node *ring = make_ring(3), *chain = make_chain(4);
	cgc_collect(0); /* one in each generation */
	struct node *young = make(5);
	cgc_store_consume(young, &young->slot[0], chain);
	cgc_release(make_ring(6));
	cgc_thread_detach();
	/* What is held lives on, published. */
	MUST(cgc_thread_attach() == 0);
	node_check(ring);
	MUST(cgc_generation(ring) == 2);
	MUST(cgc_generation(young) == 2);
	MUST(cgc_generation(chain) == 2);
	MUST(live() == 8);
	cgc_store_consume(young, &young->slot[1], ring);
	return young;
}

static void what_a_thread_holds_lives_on_published_when_it_detaches(UNUSED void **state)
{
	struct node *node = in_thread(detach_with_objects, NULL);
	node_check(node);
	node_check(peek(node, 0));
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(live(), 8);
	cgc_release(node);
	cgc_collect(2);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

static void *hand_over_raw(UNUSED void *argument)
{
	struct leaf *leaf = cgc_new(&leaf_type);
	leaf->value = 42;
	struct array *array = cgc_new_n(&array_type, 3000); /* has memory of its own */
	cgc_store_consume(array, &array->items[2999], make(1));
	void **both = calloc(2, sizeof(*both));
	MUST(both != NULL);
	both[0] = leaf;
	both[1] = array;
	return both;
}

/* Whoever gets it by the thread's result finds it usable, also what no collection looks at. */
static void what_a_thread_held_at_its_end_is_published(UNUSED void **state)
{
	void **both = in_thread(hand_over_raw, NULL);
	struct leaf *leaf = both[0];
	struct array *array = both[1];
	free(both);
	assert_int_equal(leaf->value, 42);
	assert_int_equal(cgc_generation(leaf), 2);
	assert_int_equal(cgc_generation(array), 2);
	cgc_release(cgc_retain(leaf));
	cgc_release(leaf);
	cgc_release(array);
	cgc_collect(2);
	assert_int_equal(count_of(&destroyed), 1);
	assert_int_equal(live(), 0);
}

static void *leave_one_of_each(UNUSED void *argument)
{
	cgc_release(make_ring(3));
	struct node *ring = make_ring(3);
	cgc_publish(ring);
	cgc_release(ring);
	struct node *node = make(1);
	cgc_publish(node);
	cgc_release(node);
	cgc_store_consume(CGC_ROOT, &root, make(2));
	return NULL;
}

static void two_hundred_threads_in_sequence_leave_nothing_behind(UNUSED void **state)
{
	cgc_thread_attach();
	uint64_t before = threads_now();
	for (int i = 0; i < 200; i++)
		in_thread(leave_one_of_each, NULL);
	assert_int_equal(threads_now(), before);
	cgc_collect(2);
	assert_int_equal(live(), 1);
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_collect(2);
	assert_int_equal(live(), 0);
	assert_int_equal(count_of(&destroyed), 200 * 8);
}

enum { CROWD = 50 };

static void *live_in_a_crowd(void *argument)
{
	node_ref *place = argument;
	cgc_thread_attach();
	meet(&barrier);
	cgc_store_consume(CGC_ROOT, place, make_ring(10));
	for (int i = 0; i < 20; i++)
		leave_one_of_each(NULL);
	meet(&barrier); /* all have stored */
	meet(&barrier); /* all have been counted */
	return NULL;
}

static void fifty_threads_at_once_are_all_known(UNUSED void **state)
{
	static node_ref places[CROWD];
	pthread_t threads[CROWD];
	cgc_thread_attach();
	uint64_t before = threads_now();
	pthread_barrier_init(&barrier, NULL, CROWD + 1);
	for (int i = 0; i < CROWD; i++)
		threads[i] = thread_start(live_in_a_crowd, &places[i]);
	meet(&barrier);
	meet(&barrier);
	uint64_t during = threads_now();
	/* The published garbage of all of them, while they all wait. */
	long collected = cgc_collect(2);
	meet(&barrier);
	for (int i = 0; i < CROWD; i++)
		thread_join(threads[i]);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(during, before + CROWD);
	assert_int_equal(threads_now(), before);
	assert_int_equal(collected, CROWD * 20 * 3);
	for (int i = 0; i < CROWD; i++) {
		struct node *ring = cgc_exchange(CGC_ROOT, &places[i], NULL);
		node_check(ring);
		cgc_release(ring);
	}
	cgc_store(CGC_ROOT, &root, NULL);
	assert_int_equal(cgc_collect(2), CROWD * 10);
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * Parking
 * ------------------------------------------------------------------------------------------- */

static void parking_collects_the_young_garbage(UNUSED void **state)
{
	struct node *ring = make_ring(3);
	cgc_collect(0);
	cgc_release(ring);
	cgc_release(make_ring(4));
	struct node *held = make_ring(5);
	cgc_park();
	cgc_unpark();
	assert_int_equal(count_of(&destroyed), 7);
	assert_int_equal(live(), 5);
	node_check(held);
	cgc_release(held);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

static void *park_with_garbage(UNUSED void *argument)
{
	for (int i = 0; i < 100; i++)
		leave_one_of_each(NULL);
	cgc_park();
	meet(&barrier);
	meet(&barrier);
	cgc_unpark();
	return NULL;
}

static void a_parked_thread_holds_no_garbage(UNUSED void **state)
{
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t thread = thread_start(park_with_garbage, NULL);
	meet(&barrier);
	cgc_collect(2);
	uint64_t left = live();
	meet(&barrier);
	thread_join(thread);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(left, 1);
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_collect(2);
}

static void parking_twice_or_never_does_no_harm(UNUSED void **state)
{
	cgc_unpark();
	cgc_park();
	cgc_park();
	cgc_unpark();
	struct node *node = make(1);
	cgc_unpark();
	node_check(node);
	cgc_release(node);
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * The end of a thread
 * ------------------------------------------------------------------------------------------- */

static pthread_key_t late_key;

static void use_at_the_end(void *argument)
{
	struct node *node = argument;
	node_check(node);
	struct node *other = make_ring(2);
	cgc_store_consume(other, &other->slot[1], node);
	cgc_release(other);
}

static void *end_with_work_left(UNUSED void *argument)
{
	MUST(pthread_setspecific(late_key, make_ring(3)) == 0);
	return NULL;
}

/* The library's own destructor may run before it or after. */
static void a_destructor_at_the_end_of_a_thread_may_use_objects(UNUSED void **state)
{
	cgc_thread_attach();
	uint64_t before = threads_now();
	assert_int_equal(pthread_key_create(&late_key, use_at_the_end), 0);
	for (int i = 0; i < 10; i++)
		in_thread(end_with_work_left, NULL);
	pthread_key_delete(late_key);
	cgc_collect(2);
	assert_int_equal(count_of(&destroyed), 50);
	assert_int_equal(live(), 0);
	assert_int_equal(threads_now(), before);
}

static void *exit_from_within(void *argument)
{
	cgc_release(make_ring(3));
	pthread_exit(argument != NULL ? cgc_retain(argument) : make(1));
}

static void a_thread_may_end_by_pthread_exit(UNUSED void **state)
{
	struct node *node = in_thread(exit_from_within, NULL);
	node_check(node);
	struct node *same = in_thread(exit_from_within, node);
	assert_ptr_equal(same, node);
	assert_int_equal(cgc_reference_count(node), 2);
	cgc_release(node);
	cgc_release(same);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

/* A count that is lost when a thread ends is a leak or an early free later. */
static void *change_foreign_counts(void *argument)
{
	struct node *node = argument;
	for (int i = 0; i < 100; i++)
		cgc_retain(node);
	struct node *mine = make(2);
	cgc_store(mine, &mine->slot[0], node);
	for (int i = 0; i < 99; i++)
		cgc_release(node);
	return mine;
}

static void counts_of_a_thread_are_not_lost_at_its_end(UNUSED void **state)
{
	struct node *node = make(1), *others[20];
	cgc_publish(node);
	for (int i = 0; i < 20; i++)
		others[i] = in_thread(change_foreign_counts, node);
	assert_int_equal(cgc_reference_count(node), 1 + 20 * 2);
	for (int i = 0; i < 20; i++) {
		cgc_release(node);
		cgc_release(others[i]);
	}
	cgc_collect(2);
	assert_int_equal(cgc_reference_count(node), 1);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * Start and stop
 * ------------------------------------------------------------------------------------------- */

static void starting_twice_is_refused(UNUSED void **state)
{
	assert_int_equal(cgc_start(NULL), EALREADY);
	assert_int_equal(cgc_start("poison=1"), EALREADY);
}

static void unknown_options_are_refused(UNUSED void **state)
{
	static const char *const wrong[] = {"nonsense=1",   "poison=1,nonsense=1", "poison",
	                                    "poison=maybe", "threshold0=many",     "=1"};
	assert_int_equal(cgc_stop(), live_before);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int error = cgc_start(wrong[i]);
		if (error != EINVAL)
			fail_msg("cgc_start(\"%s\") returned %d, expected EINVAL", wrong[i], error);
	}
	assert_int_equal(start_with("enable=0,poison=1"), 0);
}

static void an_empty_string_is_no_option(UNUSED void **state)
{
	assert_int_equal(cgc_stop(), live_before);
	assert_int_equal(start_with(""), 0);
	assert_int_equal(cgc_stop(), live_before);
	assert_int_equal(start_with(NULL), 0);
}

static void stopping_counts_what_is_alive_and_leaves_it_readable(UNUSED void **state)
{
	struct node *ring = make_ring(3);
	cgc_publish(ring);
	cgc_release(make_ring(4));
	struct node *garbage = make_ring(5);
	cgc_publish(garbage);
	cgc_release(garbage);
	assert_int_equal(cgc_stop(), live_before + 3);
	/* Any call would start it again, with default options. */
	node_check(ring);
	/* live_before is that of the first start. */
	assert_int_equal(cgc_start("enable=0,poison=1"), 0);
	node_check(ring);
	assert_int_equal(cgc_reference_count(ring), 2);
	assert_int_equal(cgc_collect(2), 0);
	cgc_release(ring);
	assert_int_equal(cgc_collect(2), 3);
	assert_int_equal(live(), 0);
}

static void the_library_may_be_started_and_stopped_often(UNUSED void **state)
{
	for (int i = 0; i < 50; i++) {
		assert_int_equal(cgc_stop(), live_before);
		assert_int_equal(cgc_start("enable=0,poison=1"), 0);
		in_thread(leave_one_of_each, NULL);
		cgc_release(make_ring(3));
		cgc_store(CGC_ROOT, &root, NULL);
	}
	assert_int_equal(cgc_stop(), live_before);
	assert_int_equal(count_of(&destroyed), 50 * 11);
	assert_int_equal(cgc_start("enable=0,poison=1"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_thread_is_attached_by_its_first_use_and_detached_by_its_end),
		TEST(attaching_and_detaching_may_be_repeated),
		TEST(what_a_thread_holds_lives_on_published_when_it_detaches),
		TEST(what_a_thread_held_at_its_end_is_published),
		TEST(two_hundred_threads_in_sequence_leave_nothing_behind),
		TEST(fifty_threads_at_once_are_all_known),
		TEST(parking_collects_the_young_garbage),
		TEST(a_parked_thread_holds_no_garbage),
		TEST(parking_twice_or_never_does_no_harm),
		TEST(a_destructor_at_the_end_of_a_thread_may_use_objects),
		TEST(a_thread_may_end_by_pthread_exit),
		TEST(counts_of_a_thread_are_not_lost_at_its_end),
		TEST(starting_twice_is_refused),
		TEST(unknown_options_are_refused),
		TEST(an_empty_string_is_no_option),
		TEST(stopping_counts_what_is_alive_and_leaves_it_readable),
		TEST(the_library_may_be_started_and_stopped_often),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
