/* SPDX-License-Identifier: MIT
 *
 * Death by counting alone, with the automatic collection off and nobody asking for one: whichever word counted the last
 * reference, and although there was no memory for the queue.
 */
#include "heap.h"
#include "pass.h"

static node_ref root, other_root;

static void what_only_fields_held_dies_by_counting(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	struct node *node = make(1);
	cgc_store_consume(node, &node->slot[0], make(2));
	cgc_store_consume(CGC_ROOT, &root, node);
	cgc_store(CGC_ROOT, &root, NULL);
	pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 2);
	assert_int_equal(stats_now().objects_freed_by_detector, before.objects_freed_by_detector);
}

static void a_suspect_dies_by_counting(UNUSED void **state)
{
	cgc_store_consume(CGC_ROOT, &root, make(1));
	cgc_store_consume(CGC_ROOT, &other_root, cgc_load(CGC_ROOT, &root));
	cgc_store(CGC_ROOT, &root, NULL);
	assert_int_equal(stats_now().suspects, 1);
	cgc_store(CGC_ROOT, &other_root, NULL);
	pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 1);
	cgc_collect(2); /* its memory waits for its entry in the queue of suspects */
}

/* Every thread settles its own queue at each opportunity. */
static int setup_prompt(void **state)
{
	(void)state;
	return start_with("enable=0,poison=1,pending=1");
}

static sem_t blocked, go;

static void block_the_background_thread(UNUSED struct node *self)
{
	sem_post(&blocked);
	wait_for(&go);
}

static void *drop_a_blocker(UNUSED void *unused)
{
	struct node *blocker = make(0);
	blocker->on_destroy = block_the_background_thread;
	cgc_publish(blocker);
	cgc_release(blocker);
	return NULL;
}

/* More than a thread destroys at one go. The background thread would, so it is kept busy until the list's grace
 * period is over and its owner has come to it. */
static void a_long_list_dies_wherever_its_thread_stops(UNUSED void **state)
{
	sem_init(&blocked, 0, 0);
	sem_init(&go, 0, 0);
	struct node *list = make_chain(20000);
	cgc_publish(list);
	drop_a_blocker(NULL);
	wait_for(&blocked);
	in_thread(drop_a_blocker, NULL);
	cgc_release(list);
	sem_post(&go);
	wait_for(&blocked);
	settle_own_queue();
	sem_post(&go);
	for (int i = 0; i < 100 && count_of(&destroyed) < 20002; i++)
		pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 20002);
}

/* ---------------------------------------------------------------------------------------------
 * Released by others than counted it
 * ------------------------------------------------------------------------------------------- */

static void *release(void *node)
{
	cgc_release(node);
	return NULL;
}

static void *release_without_memory(void *node)
{
	cgc_thread_attach();
	cgc__memory_fail_at(1);
	cgc_release(node);
	cgc__memory_fail_at(0);
	return NULL;
}

static void a_revoked_count_is_exact(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_publish(node);
	for (int i = 0; i < 4; i++)
		cgc_retain(node);
	in_thread(release, node);
	pass_grace_periods();
	assert_int_equal(cgc_reference_count(node), 4);
	cgc_retain(node);
	assert_int_equal(cgc_reference_count(node), 5);
	for (int i = 0; i < 5; i++)
		cgc_release(node);
	pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 1);
	cgc_collect(2);
}

/* Every entry needs a request for memory. */
static int setup_scarce(void **state)
{
	(void)state;
	return start_with("enable=0,poison=1,chunk=1");
}

/* The sum of both words becomes zero where nobody sees it; a collection settles that, as the death by counting
 * that it is. */
static void a_count_below_zero_without_memory_is_settled_by_a_collection(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	struct node *node = make(1);
	cgc_publish(node);
	cgc_retain(node);
	in_thread(release_without_memory, node);
	cgc_release(node);
	pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 0);
	assert_int_equal(cgc_collect(2), 0);
	pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 1);
	assert_int_equal(stats_now().objects_freed_by_detector, before.objects_freed_by_detector);
	cgc_collect(2);
}

#define TEST_PROMPT(function) cmocka_unit_test_setup_teardown(function, setup_prompt, teardown)
#define TEST_SCARCE(function) cmocka_unit_test_setup_teardown(function, setup_scarce, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: the other thread's queue must be new, or it has room for an entry. */
		TEST_SCARCE(a_count_below_zero_without_memory_is_settled_by_a_collection),
		TEST(what_only_fields_held_dies_by_counting),
		TEST(a_suspect_dies_by_counting),
		TEST_PROMPT(a_long_list_dies_wherever_its_thread_stops),
		TEST(a_revoked_count_is_exact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
