/* SPDX-License-Identifier: MIT
 *
 * Published objects that were never in a field and never had a weak reference: nobody can come upon them, so they die
 * with their last handle, at once, wherever that is released. What was in a field waits for readers.
 * Model: tests/model/handoff.pml.
 */
#include "heap.h"
#include "pass.h"

static node_ref root;

static bool is_exposed(const struct node *node)
{
	return (atomic_load(&cgc__header_of(node)->shared) & CGC__EXPOSED) != 0;
}

static void *release(void *node)
{
	cgc_release(node);
	return NULL;
}

/* ---------------------------------------------------------------------------------------------
 * At once
 * ------------------------------------------------------------------------------------------- */

static void what_is_published_dies_with_its_owners_handle(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_publish(node);
	cgc_retain(node);
	cgc_release(node);
	assert_int_equal(count_of(&destroyed), 0);
	cgc_release(node);
	assert_int_equal(count_of(&destroyed), 1);
}

/* On the thread that has it last. */
static void what_is_handed_over_dies_with_the_others_handle(UNUSED void **state)
{
	uint64_t waiting = stats_now().objects_waiting;
	for (int i = 0; i < 1000; i++) {
		struct node *node = make(i);
		cgc_transfer(node);
		if (i % 100 == 0)
			in_thread(release, node);
		else
			cgc_release(node);
		assert_int_equal(count_of(&destroyed), i + 1);
	}
	assert_int_equal(stats_now().objects_waiting, waiting);
	assert_int_equal(live(), 0);
}

/* Held by a private object, it goes with that. */
static void what_a_private_object_holds_dies_with_that(UNUSED void **state)
{
	struct node *held = make(1), *holder = make(2);
	cgc_publish(held);
	cgc_store_consume(holder, &holder->slot[0], held);
	assert_false(is_exposed(held));
	cgc_release(holder);
	assert_int_equal(count_of(&destroyed), 2);
	assert_int_equal(live(), 0);
}

static void a_private_ring_takes_along_what_it_holds(UNUSED void **state)
{
	struct node *held = make(1), *ring = make_ring(3);
	cgc_publish(held);
	cgc_store_consume(ring, &ring->slot[1], held);
	cgc_release(ring);
	assert_int_equal(count_of(&destroyed), 0);
	assert_int_equal(cgc_collect(0), 4);
	assert_int_equal(count_of(&destroyed), 4);
}

static void save(struct node *self)
{
	cgc_store(CGC_ROOT, &root, self);
}

static void its_finalizer_may_bring_it_back(UNUSED void **state)
{
	struct node *node = make_of(&active_type, 1);
	node->on_finalize = save;
	cgc_transfer(node);
	in_thread(release, node);
	assert_int_equal(count_of(&finalized), 1);
	assert_int_equal(count_of(&destroyed), 0);
	node = cgc_load(CGC_ROOT, &root);
	node_check(node);
	assert_true(is_exposed(node));
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_release(node);
	settle();
	assert_int_equal(count_of(&finalized), 1);
	assert_int_equal(count_of(&destroyed), 1);
}

/* ---------------------------------------------------------------------------------------------
 * Later
 * ------------------------------------------------------------------------------------------- */

static void nothing_dies_at_once_in_a_read_section(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_transfer(node);
	cgc_read_lock();
	cgc_release(node);
	assert_int_equal(count_of(&destroyed), 0);
	cgc_read_unlock();
	settle();
	assert_int_equal(count_of(&destroyed), 1);
}

enum way { STORED, CONSUMED, EXCHANGED, COMPARED, IN_A_GRAPH, IN_A_GRAPH_PRIVATE, WEAK, WAYS };

/* Puts it where others come upon it. */
static void place(enum way way, struct node *node, struct node *holder)
{
	switch (way) {
	case STORED:
		cgc_store(CGC_ROOT, &root, node);
		break;
	case CONSUMED:
		cgc_store_consume(CGC_ROOT, &root, cgc_retain(node));
		break;
	case EXCHANGED:
		assert_null(cgc_exchange(CGC_ROOT, &root, cgc_retain(node)));
		break;
	case COMPARED:
		assert_true(cgc_compare_exchange(CGC_ROOT, &root, NULL, node));
		break;
	case IN_A_GRAPH:
	case IN_A_GRAPH_PRIVATE:
		cgc_store(holder, &holder->slot[0], node);
		cgc_publish(holder);
		break;
	default:
		cgc_weak_free(cgc_weak_new(node, NULL, NULL));
	}
}

static void what_others_may_come_upon_waits_for_readers(UNUSED void **state)
{
	for (enum way way = STORED; way < WAYS; way++)
		for (int owner = 0; owner < 2; owner++) {
			struct node *node = make(1), *holder = make(2);
			if (way != IN_A_GRAPH_PRIVATE)
				cgc_publish(node);
			if (owner == 0 && way != IN_A_GRAPH_PRIVATE)
				cgc_transfer(node);
			place(way, node, holder);
			if (!is_exposed(node))
				fail_msg("way %d, owner %d: not exposed", way, owner);
			cgc_release(holder);
			cgc_store(CGC_ROOT, &root, NULL);
			settle_own_queue();
			count_clear(&destroyed);
			cgc_release(node);
			assert_int_equal(count_of(&destroyed), 0);
			settle();
		}
	assert_int_equal(live(), 0);
}

/* The holder counts for the collector like any other. */
static void what_is_handed_over_in_a_graph_dies_with_it(UNUSED void **state)
{
	enum { LENGTH = 100000 };
	struct node *chain = make_chain(LENGTH);
	cgc_transfer(chain);
	in_thread(release, chain);
	settle();
	assert_int_equal(count_of(&destroyed), LENGTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_published_dies_with_its_owners_handle),
		TEST(what_is_handed_over_dies_with_the_others_handle),
		TEST(what_a_private_object_holds_dies_with_that),
		TEST(a_private_ring_takes_along_what_it_holds),
		TEST(its_finalizer_may_bring_it_back),
		TEST(nothing_dies_at_once_in_a_read_section),
		TEST(what_others_may_come_upon_waits_for_readers),
		TEST(what_is_handed_over_in_a_graph_dies_with_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
