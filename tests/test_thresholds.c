/* SPDX-License-Identifier: MIT
 *
 * Automatic collection of the young: thresholds, counts, switching it on and off.
 */
#include "node.h"

static void enabling_and_disabling_return_what_held_before(UNUSED void **state)
{
	assert_true(cgc_is_enabled());
	assert_true(cgc_disable());
	assert_false(cgc_is_enabled());
	assert_false(cgc_disable());
	assert_false(cgc_enable());
	assert_true(cgc_is_enabled());
	assert_true(cgc_enable());
}

static void thresholds_are_those_set_last(UNUSED void **state)
{
	unsigned threshold[3];
	cgc_get_threshold(threshold);
	assert_int_equal(threshold[0], 10000);
	assert_int_equal(threshold[1], 2);
	assert_int_equal(threshold[2], 0);
	const unsigned other[3] = {123, 4, 5};
	cgc_set_threshold(other);
	cgc_get_threshold(threshold);
	assert_int_equal(threshold[0], 123);
	assert_int_equal(threshold[1], 4);
	assert_int_equal(threshold[2], 5);
}

static void thresholds_can_be_given_as_options(UNUSED void **state)
{
	unsigned threshold[3];
	assert_int_equal(cgc_stop(), live_before);
	assert_int_equal(start_with("threshold0=77,threshold1=8,threshold2=9,enable=0"), 0);
	cgc_get_threshold(threshold);
	assert_int_equal(threshold[0], 77);
	assert_int_equal(threshold[1], 8);
	assert_int_equal(threshold[2], 9);
	assert_false(cgc_is_enabled());
}

/* CPython: test_get_count */
static void the_count_of_0_is_that_of_net_allocations(UNUSED void **state)
{
	size_t before[3], count[3];
	cgc_collect(2);
	cgc_get_count(before);
	assert_int_equal(before[1], 0);
	assert_int_equal(before[2], 0);
	struct node *chain = make_chain(50);
	cgc_get_count(count);
	assert_int_equal(count[0], before[0] + 50);
	cgc_release(chain);
	cgc_get_count(count);
	assert_int_equal(count[0], before[0]);
}

/* CPython: test_collect_generations */
static void the_counts_of_1_and_2_are_those_of_collections(UNUSED void **state)
{
	size_t count[3];
	cgc_collect(2);
	cgc_collect(0);
	cgc_get_count(count);
	assert_int_equal(count[1], 1);
	assert_int_equal(count[2], 0);
	cgc_collect(1);
	cgc_get_count(count);
	assert_int_equal(count[1], 0);
	assert_int_equal(count[2], 1);
	cgc_collect(2);
	cgc_get_count(count);
	assert_int_equal(count[1], 0);
	assert_int_equal(count[2], 0);
}

static void garbage_never_exceeds_the_threshold_by_much(UNUSED void **state)
{
	const unsigned threshold[3] = {100, 10, 10};
	cgc_set_threshold(threshold);
	struct cgc_stats before = stats_now();
	for (int i = 0; i < 10000; i++) {
		cgc_release(make_ring(1));
		if (live() > 110)
			fail_msg("%d rings of garbage with a threshold of 100", (int)live());
	}
	struct cgc_stats after = stats_now();
	assert_true(after.generation[0].collections - before.generation[0].collections >= 80);
	/* Every eleventh or so is one of generation 1. */
	assert_true(after.generation[1].collections > before.generation[1].collections);
	assert_int_equal(after.objects_freed_by_detector, before.objects_freed_by_detector);
	cgc_collect(1);
	assert_int_equal(count_of(&destroyed), 10000);
}

/* What dies by counting is no reason to collect: only the net matters. */
static void objects_that_die_by_counting_start_no_collection(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	for (int i = 0; i < 20000; i++)
		cgc_release(make(i));
	struct cgc_stats after = stats_now();
	assert_int_equal(after.generation[0].collections, before.generation[0].collections);
}

static void a_threshold_of_0_means_never(UNUSED void **state)
{
	const unsigned threshold[3] = {0, 10, 10};
	cgc_set_threshold(threshold);
	struct cgc_stats before = stats_now();
	for (int i = 0; i < 10000; i++)
		cgc_release(make_ring(1));
	assert_int_equal(live(), 10000);
	assert_int_equal(stats_now().generation[0].collections, before.generation[0].collections);
	assert_int_equal(cgc_collect(0), 10000);
}

/* CPython: test_indirect_calls_with_gc_disabled */
static void nothing_is_collected_while_disabled(UNUSED void **state)
{
	const unsigned threshold[3] = {1000, 10, 10};
	cgc_set_threshold(threshold);
	cgc_disable();
	struct cgc_stats before = stats_now();
	for (int i = 0; i < 10001; i++)
		cgc_release(make_ring(1));
	assert_int_equal(live(), 10001);
	assert_int_equal(stats_now().generation[0].collections, before.generation[0].collections);
	cgc_enable();
	for (int i = 0; i < 10000 && live() > 10000; i++)
		cgc_release(make_ring(1));
	assert_true(live() <= 10000);
	/* An explicit one always works. */
	cgc_disable();
	cgc_release(make_ring(1));
	cgc_collect(1);
	assert_int_equal(live(), 0);
}

/* Also when it is this allocation that starts a collection. */
static void a_new_object_is_young_and_private(UNUSED void **state)
{
	const unsigned threshold[3] = {3, 1, 1};
	cgc_set_threshold(threshold);
	struct array *array = cgc_new_n(&array_type, 200);
	for (int i = 0; i < 200; i++) {
		struct node *node = make(i);
		assert_int_equal(cgc_generation(node), 0);
		assert_int_equal(cgc_reference_count(node), 1);
		cgc_store_consume(array, &array->items[i], node);
	}
	assert_int_equal(cgc_generation(array), 2);
	cgc_release(array);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ENABLED(enabling_and_disabling_return_what_held_before),
		TEST_ENABLED(thresholds_are_those_set_last),
		TEST(thresholds_can_be_given_as_options),
		TEST(the_count_of_0_is_that_of_net_allocations),
		TEST(the_counts_of_1_and_2_are_those_of_collections),
		TEST_ENABLED(garbage_never_exceeds_the_threshold_by_much),
		TEST_ENABLED(objects_that_die_by_counting_start_no_collection),
		TEST_ENABLED(a_threshold_of_0_means_never),
		TEST_ENABLED(nothing_is_collected_while_disabled),
		TEST_ENABLED(a_new_object_is_young_and_private),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
