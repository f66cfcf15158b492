/* SPDX-License-Identifier: MIT
 *
 * The numbers of cgc_get_stats(): each moves when, and only when, its comment in cgc.h says so. With the
 * automatic collection off every number is exact.
 */

#include "node.h"

static node_ref root;
static pthread_barrier_t barrier;

/* What has been added since, for numbers that only grow. */
#define GROWN(field) (stats_now().field - before.field)

static void allocations_are_counted(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	struct node *node = make(1);
	struct array *array = cgc_new_n(&array_type, 10);
	struct leaf *leaf = cgc_new(&leaf_type);
	assert_int_equal(GROWN(objects_allocated), 3);
	assert_int_equal(GROWN(objects_live), 3);
	assert_true(GROWN(bytes_live) >= sizeof(struct node) + 10 * sizeof(void *) + sizeof(struct leaf));
	assert_true(stats_now().bytes_reserved >= stats_now().bytes_live);
	cgc_release(node);
	cgc_release(array);
	cgc_release(leaf);
	assert_int_equal(GROWN(objects_allocated), 3);
	assert_int_equal(GROWN(objects_live), 0);
	assert_int_equal(GROWN(bytes_live), 0);
}

static void every_object_dies_in_exactly_one_way(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	cgc_release(make_chain(5));
	assert_int_equal(GROWN(objects_freed_by_count), 5);
	cgc_release(make_ring(7));
	cgc_collect(0);
	assert_int_equal(GROWN(objects_freed_locally), 7);
	struct node *ring = make_ring(11);
	cgc_publish(ring);
	cgc_release(ring);
	cgc_collect(2);
	assert_int_equal(GROWN(objects_freed_by_detector), 11);
	struct node *chain = make_chain(13);
	cgc_publish(chain);
	cgc_release(chain);
	cgc_collect(2);
	assert_int_equal(GROWN(objects_freed_by_count), 5 + 13);
	assert_int_equal(GROWN(objects_freed_locally), 7);
	assert_int_equal(GROWN(objects_freed_by_detector), 11);
	assert_int_equal(GROWN(objects_allocated), 36);
	assert_int_equal(GROWN(objects_live), 0);
	assert_int_equal(GROWN(bytes_live), 0);
}

static void publications_are_counted_once_for_each_object(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	struct node *ring = make_ring(5);
	assert_int_equal(GROWN(objects_published), 0);
	cgc_publish(ring);
	assert_int_equal(GROWN(objects_published), 5);
	cgc_publish(ring);
	cgc_store(CGC_ROOT, &root, ring);
	assert_int_equal(GROWN(objects_published), 5);
	cgc_store_consume(ring, &ring->slot[1], make(1));
	assert_int_equal(GROWN(objects_published), 6);
	cgc_release(make(2));
	assert_int_equal(GROWN(objects_published), 6);
	/* Promotion is publication. */
	struct node *chain = make_chain(4);
	cgc_collect(0);
	assert_int_equal(GROWN(objects_published), 6);
	cgc_collect(1);
	assert_int_equal(GROWN(objects_published), 10);
	cgc_release(chain);
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_release(ring);
}

/* CPython: test_get_stats */
static void each_generation_counts_its_own_collections(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	cgc_collect(0);
	assert_int_equal(GROWN(generation[0].collections), 1);
	assert_int_equal(GROWN(generation[1].collections), 0);
	assert_int_equal(GROWN(generation[2].collections), 0);
	before = stats_now();
	cgc_collect(1);
	assert_int_equal(GROWN(generation[0].collections), 0);
	assert_int_equal(GROWN(generation[1].collections), 1);
	assert_int_equal(GROWN(generation[2].collections), 0);
	before = stats_now();
	cgc_collect(2);
	assert_int_equal(GROWN(generation[0].collections), 0);
	assert_true(GROWN(generation[2].collections) >= 1);
	assert_true(GROWN(windows) >= 1);
}

static void each_generation_counts_what_it_looked_at_and_freed(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	struct node *held = make_ring(3);
	cgc_release(make_ring(4));
	cgc_collect(0);
	assert_int_equal(GROWN(generation[0].collected), 4);
	assert_int_equal(GROWN(generation[0].candidates), 7);
	cgc_release(make_ring(5));
	cgc_collect(1);
	assert_int_equal(GROWN(generation[0].collected), 4);
	assert_int_equal(GROWN(generation[1].collected), 5);
	assert_int_equal(GROWN(generation[1].candidates), 8);
	cgc_release(held); /* published by now */
	cgc_collect(2);
	assert_int_equal(GROWN(generation[2].collected), 3);
	assert_true(GROWN(generation[2].candidates) >= 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(GROWN(generation[i].resurrected), 0);
}

static void save(struct node *node)
{
	cgc_store(CGC_ROOT, &root, node);
}

static void resurrected_objects_are_counted(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		struct cgc_stats before = stats_now();
		struct node *ring = make_ring_of(&active_type, 4);
		ring->on_finalize = save;
		if (published)
			cgc_publish(ring);
		cgc_release(ring);
		int generation = published ? 2 : 0;
		assert_int_equal(cgc_collect(generation), 0);
		assert_int_equal(GROWN(generation[generation].resurrected), 4);
		assert_int_equal(GROWN(generation[generation].collected), 0);
		cgc_store(CGC_ROOT, &root, NULL);
		assert_int_equal(cgc_collect(2), 4);
	}
}

static void what_waits_for_a_grace_period_is_counted_until_it_is_over(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	assert_int_equal(before.objects_waiting, 0);
	assert_int_equal(before.bytes_waiting, 0);
	cgc_store_consume(CGC_ROOT, &root, make(1));
	cgc_read_lock();
	struct node *node = cgc_borrow(&root);
	cgc_store(CGC_ROOT, &root, NULL);
	/* Dead, but this section may still see it. */
	struct cgc_stats inside = stats_now();
	node_check(node);
	cgc_read_unlock();
	assert_int_equal(inside.objects_live - before.objects_live, 1);
	assert_int_equal(inside.objects_waiting, 1);
	assert_true(inside.bytes_waiting >= sizeof(struct node));
	cgc_collect(2);
	struct cgc_stats after = stats_now();
	assert_int_equal(after.objects_live, before.objects_live);
	assert_int_equal(after.objects_waiting, 0);
	assert_int_equal(after.bytes_waiting, 0);
	assert_true(after.grace_periods > before.grace_periods);
}

static void suspects_are_counted_until_the_detector_has_looked(UNUSED void **state)
{
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(stats_now().suspects, 0);
	struct node *ring = make_ring(3);
	cgc_publish(ring);
	cgc_release(ring);
	assert_true(stats_now().suspects >= 1);
	/* An acyclic object is none. */
	uint64_t before = stats_now().suspects;
	struct leaf *leaf = cgc_new(&leaf_type);
	cgc_publish(leaf);
	cgc_release(cgc_retain(leaf));
	cgc_release(leaf);
	assert_int_equal(stats_now().suspects, before);
	assert_int_equal(cgc_collect(2), 3);
	assert_int_equal(stats_now().suspects, 0);
}

static void *wait_attached(UNUSED void *argument)
{
	cgc_thread_attach();
	meet(&barrier);
	meet(&barrier);
	return NULL;
}

static void attached_threads_are_counted(UNUSED void **state)
{
	pthread_t threads[3];
	cgc_thread_attach();
	uint64_t before = stats_now().threads;
	assert_true(before >= 1);
	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 3; i++)
		threads[i] = thread_start(wait_attached, NULL);
	meet(&barrier);
	uint64_t during = stats_now().threads;
	meet(&barrier);
	for (int i = 0; i < 3; i++)
		thread_join(threads[i]);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(during, before + 3);
	assert_int_equal(stats_now().threads, before);
}

static void *allocate_and_leave(UNUSED void *argument)
{
	cgc_release(make_chain(100));
	cgc_release(make_ring(100));
	cgc_collect(0);
	cgc_store_consume(CGC_ROOT, &root, make_chain(100));
	return NULL;
}

/* CPython lost the numbers of threads that ended (gh-142051). */
static void the_numbers_of_a_thread_outlive_it(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	for (int i = 0; i < 10; i++)
		in_thread(allocate_and_leave, NULL);
	cgc_collect(2);
	assert_int_equal(GROWN(objects_allocated), 3000);
	assert_int_equal(GROWN(objects_freed_locally), 1000);
	assert_int_equal(GROWN(objects_freed_by_count), 1900);
	assert_int_equal(GROWN(generation[0].collected), 1000);
	assert_int_equal(GROWN(objects_published), 1000);
	assert_int_equal(live(), 100);
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_collect(2);
	assert_int_equal(GROWN(objects_freed_by_count), 2000);
}

static void bytes_count_headers_and_trailing_references(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	struct array *array = cgc_new_n(&array_type, 1000);
	uint64_t small = GROWN(bytes_live);
	assert_in_range(small, sizeof(struct array) + 8000 + sizeof(struct cgc__header),
	                2 * (sizeof(struct array) + 8000 + sizeof(struct cgc__header)));
	struct array *large = cgc_new_n(&array_type, 1000000);
	assert_in_range(GROWN(bytes_live) - small, 8000000, 9000000);
	cgc_publish(large);
	cgc_release(large);
	cgc_collect(2);
	assert_int_equal(GROWN(bytes_live), small);
	cgc_release(array); /* published too: it survived generation 1 */
	cgc_collect(2);
	assert_int_equal(GROWN(bytes_live), 0);
}

/* Large objects do not stay reserved for ever. */
static void memory_that_was_given_back_can_be_used_again(UNUSED void **state)
{
	uint64_t reserved = 0;
	for (int i = 0; i < 200; i++) {
		cgc_release(cgc_new_n(&array_type, 100000));
		struct array *array = cgc_new_n(&array_type, 100000);
		cgc_publish(array);
		cgc_release(array);
		cgc_release(make_chain(1000));
		struct node *chain = make_chain(1000);
		cgc_publish(chain);
		cgc_release(chain);
		cgc_collect(2);
		if (i == 10)
			reserved = stats_now().bytes_reserved;
	}
	assert_true(stats_now().bytes_reserved <= 2 * reserved);
}

static void the_longest_stall_can_be_reset(UNUSED void **state)
{
	for (int i = 0; i < 1000; i++)
		cgc_store_consume(CGC_ROOT, &root, make_chain(100));
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_collect(2);
	cgc_reset_longest_stall();
	assert_int_equal(stats_now().longest_stall_nanoseconds, 0);
}

static void time_is_counted_where_it_is_spent(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	struct node *ring = make_ring(10000);
	cgc_collect(0);
	cgc_collect(1);
	cgc_release(ring);
	cgc_collect(2);
	for (int i = 0; i < 3; i++)
		assert_true(GROWN(generation[i].nanoseconds) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(allocations_are_counted),
		TEST(every_object_dies_in_exactly_one_way),
		TEST(publications_are_counted_once_for_each_object),
		TEST(each_generation_counts_its_own_collections),
		TEST(each_generation_counts_what_it_looked_at_and_freed),
		TEST(resurrected_objects_are_counted),
		TEST(what_waits_for_a_grace_period_is_counted_until_it_is_over),
		TEST(suspects_are_counted_until_the_detector_has_looked),
		TEST(attached_threads_are_counted),
		TEST(the_numbers_of_a_thread_outlive_it),
		TEST(bytes_count_headers_and_trailing_references),
		TEST(memory_that_was_given_back_can_be_used_again),
		TEST(the_longest_stall_can_be_reset),
		TEST(time_is_counted_where_it_is_spent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
