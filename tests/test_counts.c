/* SPDX-License-Identifier: MIT
 *
 * Biased counts: whichever thread counts, an object dies exactly when its last reference is gone, also when
 * its owner is blocked or gone.
 */
#include <sched.h>
#include <semaphore.h>
#include <time.h>

#include "node.h"

static node_ref root;
static pthread_barrier_t barrier;

/* Waits for something that must come by itself. The bound is no measure: it only ends a test that hangs. */
static bool comes_true(bool (*condition)(void))
{
	time_t begun = time(NULL);
	while (!condition()) {
		if (time(NULL) - begun > 60)
			return false;
		sched_yield();
	}
	return true;
}

static bool nothing_is_live(void)
{
	return live() == 0;
}

/* ---------------------------------------------------------------------------------------------
 * Death by counting
 * ------------------------------------------------------------------------------------------- */

static void a_private_object_dies_with_its_last_reference(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_retain(node);
	cgc_release(node);
	assert_int_equal(count_of(&destroyed), 0);
	cgc_release(node);
	assert_int_equal(count_of(&destroyed), 1);
	assert_int_equal(live(), 0);
}

static void what_only_a_dead_object_held_dies_with_it(UNUSED void **state)
{
	struct node *kept = make(99);
	struct node *chain = make_chain(10);
	struct node *fifth = peek(peek(peek(peek(chain, 0), 0), 0), 0);
	cgc_store(fifth, &fifth->slot[1], kept);
	cgc_store_consume(fifth, &fifth->slot[2], (struct node *)NULL);
	cgc_release(chain);
	assert_int_equal(count_of(&destroyed), 10);
	assert_int_equal(cgc_reference_count(kept), 1);
	cgc_release(kept);
	assert_int_equal(live(), 0);
}

/* Without any collection: counting always works. */
static void a_published_object_dies_by_itself_after_its_last_release(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_publish(node);
	cgc_release(node);
	assert_true(comes_true(nothing_is_live));
	assert_int_equal(count_of(&destroyed), 1);
	cgc_store_consume(CGC_ROOT, &root, make_chain(1000));
	cgc_store(CGC_ROOT, &root, NULL);
	assert_true(comes_true(nothing_is_live));
	assert_int_equal(count_of(&destroyed), 1001);
}

static void a_collection_reclaims_what_counting_has_found_dead(UNUSED void **state)
{
	for (int i = 0; i < 100; i++) {
		struct node *node = make_chain(10);
		cgc_publish(node);
		cgc_release(node);
	}
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(count_of(&destroyed), 1000);
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * Owner and others
 * ------------------------------------------------------------------------------------------- */

static void *retain_and_release(void *argument)
{
	struct node *node = argument;
	meet(&barrier);
	for (int i = 0; i < 20000; i++) {
		cgc_retain(node);
		node_check(node);
		if (i % 3 == 0) {
			cgc_retain(node);
			cgc_release(node);
		}
		cgc_release(node);
	}
	return NULL;
}

static void counts_of_several_threads_add_up(UNUSED void **state)
{
	pthread_t threads[3];
	struct node *node = make(1);
	cgc_publish(node);
	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 3; i++)
		threads[i] = thread_start(retain_and_release, node);
	retain_and_release(node); /* the owner */
	for (int i = 0; i < 3; i++)
		thread_join(threads[i]);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(cgc_reference_count(node), 1);
	assert_int_equal(count_of(&destroyed), 0);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(count_of(&destroyed), 1);
}

static void *retain_five_times(void *argument)
{
	for (int i = 0; i < 5; i++)
		cgc_retain(argument);
	return NULL;
}

static void *release_five_times(void *argument)
{
	for (int i = 0; i < 5; i++)
		cgc_release(argument);
	return NULL;
}

/* What one thread retains another may release, in any direction: only the sum counts. */
static void references_may_be_released_by_another_thread_than_retained_them(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_publish(node);
	in_thread(retain_five_times, node);
	assert_int_equal(cgc_reference_count(node), 6);
	release_five_times(node); /* the owner; below its own local count */
	assert_int_equal(cgc_reference_count(node), 1);
	retain_five_times(node);
	in_thread(release_five_times, node);
	assert_int_equal(cgc_reference_count(node), 1);
	cgc_collect(2);
	assert_int_equal(count_of(&destroyed), 0);
	node_check(node);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(count_of(&destroyed), 1);
}

static void *make_and_leave(void *argument)
{
	struct node *node = make_ring(3);
	cgc_retain(node);
	cgc_retain(node);
	if (argument != NULL)
		cgc_publish(node);
	return node;
}

/* All references change hands with the end of the thread, published before or by that. */
static void objects_survive_the_thread_that_made_them(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		count_clear(&destroyed);
		struct node *node = in_thread(make_and_leave, published ? &root : NULL);
		node_check(node);
		assert_int_equal(cgc_generation(node), 2);
		assert_int_equal(cgc_reference_count(node), 4);
		assert_int_equal(cgc_collect(2), 0);
		cgc_release(node);
		cgc_release(node);
		assert_int_equal(cgc_collect(2), 0);
		cgc_release(node);
		assert_int_equal(cgc_collect(2), 3);
		assert_int_equal(count_of(&destroyed), 3);
	}
}

/* A thread that follows may take the place of one that ended, but not its references. */
static void a_thread_is_not_taken_for_its_predecessor(UNUSED void **state)
{
	struct node *nodes[20];
	for (int i = 0; i < 20; i++)
		nodes[i] = in_thread(make_and_leave, i % 2 == 0 ? &root : NULL);
	for (int i = 0; i < 20; i++)
		in_thread(retain_five_times, nodes[i]);
	for (int i = 19; i >= 0; i--)
		in_thread(release_five_times, nodes[i]);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(cgc_reference_count(nodes[i]), 4);
		cgc_release(nodes[i]);
		cgc_release(nodes[i]);
		cgc_release(nodes[i]);
	}
	assert_int_equal(cgc_collect(2), 60);
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * An owner that blocks
 * ------------------------------------------------------------------------------------------- */

enum hand_over { BY_PUBLISHING, BY_TRANSFER, THROUGH_A_ROOT };

#define HANDED 1000

struct blocked {
	enum hand_over way;
	bool parks;
	struct node *nodes[HANDED];
	node_ref root;
	sem_t given, released;
};

static void *give_and_block(void *argument)
{
	struct blocked *blocked = argument;
	if (blocked->way == THROUGH_A_ROOT)
		cgc_store_consume(CGC_ROOT, &blocked->root, make_chain(HANDED));
	else
		for (int i = 0; i < HANDED; i++) {
			struct node *node = make_chain(1 + i % 2);
			if (blocked->way == BY_TRANSFER)
				cgc_transfer(node);
			else
				cgc_publish(node);
			blocked->nodes[i] = node;
		}
	if (blocked->parks)
		cgc_park();
	sem_post(&blocked->given);
	/* Without a word to the library. */
	while (sem_wait(&blocked->released) != 0)
		continue;
	if (blocked->parks)
		cgc_unpark();
	return NULL;
}

static void release_for_a_blocked_owner(enum hand_over way, bool parks, bool collects)
{
	struct blocked *blocked = calloc(1, sizeof(*blocked));
	assert_non_null(blocked);
	blocked->way = way;
	blocked->parks = parks;
	sem_init(&blocked->given, 0, 0);
	sem_init(&blocked->released, 0, 0);
	pthread_t thread = thread_start(give_and_block, blocked);
	while (sem_wait(&blocked->given) != 0)
		continue;
	if (way == THROUGH_A_ROOT) {
		assert_int_equal(live(), HANDED);
		cgc_store(CGC_ROOT, &blocked->root, NULL);
	} else {
		for (int i = 0; i < HANDED; i++) {
			node_check(blocked->nodes[i]);
			cgc_release(blocked->nodes[i]);
		}
	}
	if (collects)
		cgc_collect(2);
	bool all_freed = collects ? nothing_is_live() : comes_true(nothing_is_live);
	uint64_t left = live();
	sem_post(&blocked->released);
	thread_join(thread);
	sem_destroy(&blocked->given);
	sem_destroy(&blocked->released);
	free(blocked);
	if (!all_freed)
		fail_msg("%d objects wait for their blocked owner", (int)left);
}

static void a_blocked_owner_holds_nothing_that_it_published(UNUSED void **state)
{
	release_for_a_blocked_owner(BY_PUBLISHING, false, true);
	release_for_a_blocked_owner(BY_TRANSFER, false, true);
	release_for_a_blocked_owner(THROUGH_A_ROOT, false, true);
}

static void a_parked_owner_holds_nothing_that_it_published(UNUSED void **state)
{
	release_for_a_blocked_owner(BY_PUBLISHING, true, true);
	release_for_a_blocked_owner(BY_TRANSFER, true, true);
	release_for_a_blocked_owner(THROUGH_A_ROOT, true, true);
}

static void what_was_transferred_dies_without_owner_and_without_collection(UNUSED void **state)
{
	release_for_a_blocked_owner(BY_TRANSFER, false, false);
}

static void what_was_published_dies_without_owner_and_without_collection(UNUSED void **state)
{
	release_for_a_blocked_owner(BY_PUBLISHING, false, false);
	release_for_a_blocked_owner(THROUGH_A_ROOT, false, false);
}

static void *block_with_garbage(void *argument)
{
	struct blocked *blocked = argument;
	/* Dead by its own hand, its queues not yet looked at when it blocks. */
	for (int i = 0; i < HANDED; i++) {
		struct node *node = make_ring(2);
		cgc_publish(node);
		cgc_release(node);
		node = make(i);
		cgc_publish(node);
		cgc_release(node);
	}
	sem_post(&blocked->given);
	while (sem_wait(&blocked->released) != 0)
		continue;
	return NULL;
}

static void published_garbage_of_a_blocked_thread_is_collected_by_others(UNUSED void **state)
{
	struct blocked blocked;
	sem_init(&blocked.given, 0, 0);
	sem_init(&blocked.released, 0, 0);
	pthread_t thread = thread_start(block_with_garbage, &blocked);
	while (sem_wait(&blocked.given) != 0)
		continue;
	assert_int_equal(cgc_collect(2), 2 * HANDED);
	uint64_t left = live();
	sem_post(&blocked.released);
	thread_join(thread);
	sem_destroy(&blocked.given);
	sem_destroy(&blocked.released);
	assert_int_equal(left, 0);
}

/* Transferring and publishing may be repeated, and change the caller's reference in no way. */
static void publishing_twice_is_publishing(UNUSED void **state)
{
	struct node *node = make_ring(2);
	cgc_publish(node);
	cgc_publish(node);
	cgc_transfer(node);
	cgc_transfer(node);
	cgc_publish(node);
	assert_int_equal(cgc_generation(node), 2);
	assert_int_equal(cgc_generation(peek(node, 0)), 2);
	assert_int_equal(cgc_reference_count(node), 2);
	assert_int_equal(cgc_collect(2), 0);
	cgc_release(node);
	assert_int_equal(cgc_collect(2), 2);
}

/* ---------------------------------------------------------------------------------------------
 * Immortal objects
 * ------------------------------------------------------------------------------------------- */

static void an_immortal_object_outlives_all_its_references(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_store_consume(node, &node->slot[0], make(2));
	cgc_immortalize(node);
	live_before++; /* for the rest of the program */
	assert_int_equal(cgc_generation(node), 2);
	in_thread(release_five_times, node);
	release_five_times(node);
	assert_int_equal(cgc_collect(2), 0);
	node_check(node);
	node_check(peek(node, 0));
	in_thread(retain_five_times, node);
	retain_five_times(node);
	/* It is an object like others all the same. */
	cgc_store_consume(CGC_ROOT, &root, cgc_load(node, &node->slot[0]));
	cgc_store(node, &node->slot[0], node);
	assert_int_equal(cgc_collect(2), 0);
	cgc_store(node, &node->slot[0], NULL);
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_collect(2);
	node_check(node);
	assert_int_equal(count_of(&destroyed), 1);
	assert_int_equal(live(), 0);
}

static void an_immortal_object_keeps_what_it_refers_to(UNUSED void **state)
{
	struct node *node = make(1);
	struct node *ring = make_ring(5);
	cgc_publish(node);
	cgc_store(node, &node->slot[0], ring);
	cgc_store(ring, &ring->slot[1], node); /* a cycle through it */
	cgc_release(ring);
	cgc_immortalize(node);
	live_before++;
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(live(), 5);
	node_check(ring);
	cgc_store(node, &node->slot[0], NULL);
	assert_int_equal(cgc_collect(2), 5);
	assert_int_equal(live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_private_object_dies_with_its_last_reference),
		TEST(what_only_a_dead_object_held_dies_with_it),
		TEST(a_published_object_dies_by_itself_after_its_last_release),
		TEST(a_collection_reclaims_what_counting_has_found_dead),
		TEST(counts_of_several_threads_add_up),
		TEST(references_may_be_released_by_another_thread_than_retained_them),
		TEST(objects_survive_the_thread_that_made_them),
		TEST(a_thread_is_not_taken_for_its_predecessor),
		TEST(a_blocked_owner_holds_nothing_that_it_published),
		TEST(a_parked_owner_holds_nothing_that_it_published),
		TEST(what_was_transferred_dies_without_owner_and_without_collection),
		TEST(what_was_published_dies_without_owner_and_without_collection),
		TEST(published_garbage_of_a_blocked_thread_is_collected_by_others),
		TEST(publishing_twice_is_publishing),
		TEST(an_immortal_object_outlives_all_its_references),
		TEST(an_immortal_object_keeps_what_it_refers_to),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
