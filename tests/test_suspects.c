/* SPDX-License-Identifier: MIT
 *
 * What may have become a ring that nobody holds is a suspect, in whichever way it lost its reference, and what cannot
 * have is none. The automatic collection is off where suspects are counted.
 */
#include <time.h>

#include "heap.h"
#include "pass.h"

static node_ref root;
static uint64_t suspects_before;

static void begin_counting(void)
{
	suspects_before = stats_now().suspects;
}

static void assert_suspects(uint64_t count)
{
	assert_int_equal(stats_now().suspects - suspects_before, count);
}

static void *release(void *node)
{
	cgc_release(node);
	return NULL;
}

static void its_owners_release_makes_a_suspect(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_publish(node);
	begin_counting();
	cgc_release(cgc_retain(node));
	assert_suspects(1);
	cgc_release(cgc_retain(node));
	assert_suspects(1); /* it has an entry */
	cgc_release(node);
}

static void another_threads_release_makes_a_suspect(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_store_consume(CGC_ROOT, &root, node);
	begin_counting();
	in_thread(release, cgc_load(CGC_ROOT, &root));
	assert_suspects(1);
	cgc_store(CGC_ROOT, &root, NULL);
}

static void a_field_that_loses_it_makes_a_suspect(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_store_consume(CGC_ROOT, &root, make(1));
	cgc_store_consume(node, &node->slot[0], cgc_load(CGC_ROOT, &root));
	cgc_store_consume(node, &node->slot[1], cgc_load(CGC_ROOT, &root));
	cgc_publish(node);
	begin_counting();
	cgc_store(node, &node->slot[0], NULL);
	assert_suspects(1);
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_release(node);
}

/* Nothing is released: the handle becomes the field's. */
static void the_last_handle_in_a_field_makes_a_suspect(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_publish(node);
	begin_counting();
	cgc_store_consume(node, &node->slot[0], node);
	assert_suspects(1);
	assert_int_equal(cgc_reference_count(node), 1);
	node = make(2);
	cgc_transfer(node);
	cgc_store_consume(node, &node->slot[0], node);
	assert_suspects(2);
	assert_int_equal(cgc_reference_count(node), 1);
	assert_int_equal(cgc_collect(2), 2);
}

/* A new object that refers to an old one, and goes into it. */
static void a_new_object_that_closes_a_ring_is_a_suspect(UNUSED void **state)
{
	struct node *old = make(1);
	cgc_store_consume(CGC_ROOT, &root, old);
	begin_counting();
	struct node *node = make(2);
	cgc_store_consume(node, &node->slot[0], cgc_exchange(CGC_ROOT, &root, NULL));
	cgc_store_consume(old, &old->slot[0], node);
	assert_suspects(1);
	assert_int_equal(cgc_collect(2), 2);
}

static void the_child_of_a_dead_object_is_a_suspect(UNUSED void **state)
{
	struct node *parent = make(1);
	cgc_store_consume(CGC_ROOT, &root, make(2));
	cgc_store_consume(parent, &parent->slot[0], cgc_load(CGC_ROOT, &root));
	cgc_publish(parent);
	begin_counting();
	cgc_release(parent);
	pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 1);
	assert_suspects(1);
	cgc_store(CGC_ROOT, &root, NULL);
}

static void acyclic_objects_are_never_suspects(UNUSED void **state)
{
	struct leaf *leaf = cgc_new(&leaf_type);
	static cgc_ref(struct leaf) leaves;
	cgc_publish(leaf);
	begin_counting();
	cgc_release(cgc_retain(leaf));
	in_thread(release, cgc_retain(leaf));
	pass_grace_periods();
	cgc_store(CGC_ROOT, &leaves, leaf);
	cgc_store(CGC_ROOT, &leaves, NULL);
	cgc_store(CGC_ROOT, &leaves, leaf);
	cgc_store_consume(CGC_ROOT, &leaves, leaf);
	assert_suspects(0);
	cgc_store(CGC_ROOT, &leaves, NULL);
	assert_suspects(0);
}

/* ---------------------------------------------------------------------------------------------
 * Found by the detector itself
 * ------------------------------------------------------------------------------------------- */

/* The bound only ends a test that hangs. */
static void wait_until_destroyed(int number)
{
	time_t begun = time(NULL);
	while (count_of(&destroyed) < number) {
		if (time(NULL) - begun > 30)
			fail_msg("%d objects destroyed, not %d", count_of(&destroyed), number);
		sched_yield();
	}
	assert_int_equal(count_of(&destroyed), number);
}

static void a_ring_that_survived_a_look_is_found_by_a_later_one(UNUSED void **state)
{
	for (int i = 0; i < 5; i++) {
		struct node *ring = make_ring(3);
		cgc_publish(ring);
		uint64_t windows = stats_now().windows;
		cgc_release(cgc_retain(ring));
		while (stats_now().windows == windows || stats_now().suspects > 0)
			sched_yield();
		cgc_release(ring);
		wait_until_destroyed(3 * (i + 1));
	}
}

/* The suspects of a look that had no memory are in no queue any more. */
static void a_look_without_memory_is_made_up_for(UNUSED void **state)
{
	cgc_collect(2); /* the arrays for a small heap are there */
	struct node *ring = make_ring(100000);
	cgc_publish(ring);
	cgc_release(cgc_retain(ring));
	cgc_release(ring);
	uint64_t aborted = stats_now().windows_aborted;
	cgc__memory_fail_count(UINT64_MAX);
	cgc__memory_fail_at(1);
	cgc_enable();
	while (stats_now().windows_aborted == aborted)
		sched_yield();
	cgc__memory_fail_at(0);
	wait_until_destroyed(100000);
}

#define DEEPEST 4 /* as many as the local collection does not get to the end of */

/* Leaves a ring of garbage with the same finalizer behind. */
static void leave_another(struct node *self)
{
	if (self->id == DEEPEST)
		return;
	struct node *node = make_of(&active_type, self->id + 1);
	node->on_finalize = leave_another;
	cgc_store_consume(node, &node->slot[0], node);
}

/* A local collection gives up after some rounds; the rest grows old, without having lost a reference since. */
static void finalizers_that_make_garbage_leave_none_behind(UNUSED void **state)
{
	struct node *node = make_of(&active_type, 0);
	node->on_finalize = leave_another;
	cgc_store_consume(node, &node->slot[0], node);
	cgc_collect(1);
	assert_int_equal(live(), DEEPEST + 1);
	assert_int_equal(count_of(&finalized), DEEPEST);
	cgc_enable();
	wait_until_destroyed(DEEPEST + 1);
	assert_int_equal(count_of(&finalized), DEEPEST + 1);
}

static int setup_eager(void **state)
{
	(void)state;
	return start_with("enable=1,eager=1,poison=1");
}

#define TEST_EAGER(function) cmocka_unit_test_setup_teardown(function, setup_eager, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(its_owners_release_makes_a_suspect),
		TEST(another_threads_release_makes_a_suspect),
		TEST(a_field_that_loses_it_makes_a_suspect),
		TEST(the_last_handle_in_a_field_makes_a_suspect),
		TEST(a_new_object_that_closes_a_ring_is_a_suspect),
		TEST(the_child_of_a_dead_object_is_a_suspect),
		TEST(acyclic_objects_are_never_suspects),
		TEST_EAGER(a_ring_that_survived_a_look_is_found_by_a_later_one),
		TEST(a_look_without_memory_is_made_up_for),
		TEST(finalizers_that_make_garbage_leave_none_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
