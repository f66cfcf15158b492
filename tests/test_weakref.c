/* SPDX-License-Identifier: MIT
 *
 * CPython's Lib/test/test_weakref.py, as far as it has a meaning here; the name of the ported test stands above
 * each. What test_weak.c ports already is not repeated.
 *
 * Different by design: a weak reference belongs to who made it, not to the heap, so its callback runs also if
 * what owns it is part of the same garbage, unless the reference was freed before.
 */
#include "node.h"

static node_ref root;
static pthread_barrier_t barrier;

/* An object that owns a weak reference; see CPython's objects with a weakref in an attribute. */
static void free_owned_weak(struct node *node)
{
	cgc_weak_free(node->extra);
}

static struct node *make_owner_of_weak(struct node *target, atomic_int *callbacks)
{
	struct node *owner = make(0);
	owner->on_destroy = free_owned_weak;
	owner->extra = cgc_weak_new(target, count_callback, callbacks);
	MUST(owner->extra != NULL);
	return owner;
}

/* test_callback_in_cycle, test_callback_different_classes: all of it is garbage */
static void a_weak_reference_owned_by_garbage_does_no_harm(UNUSED void **state)
{
	atomic_int callbacks = 0;
	struct node *target = make_ring(3);
	struct node *owner = make_owner_of_weak(target, &callbacks);
	cgc_store(owner, &owner->slot[0], target);
	cgc_store(target, &target->slot[1], owner);
	cgc_release(owner);
	cgc_release(target);
	assert_int_equal(cgc_collect(2), 4);
	assert_true(count_of(&callbacks) <= 1);
	assert_int_equal(live(), 0);
}

/* test_callback_reachable_one_way: the owner reaches the target, and outlives it */
static void the_owner_of_a_weak_reference_may_outlive_its_target(UNUSED void **state)
{
	atomic_int callbacks = 0;
	struct node *target = make_ring(2);
	struct node *owner = make_owner_of_weak(target, &callbacks);
	cgc_store(owner, &owner->slot[0], target);
	cgc_release(target);
	assert_int_equal(cgc_collect(2), 0);
	cgc_store(owner, &owner->slot[0], NULL);
	assert_int_equal(cgc_collect(2), 2);
	assert_int_equal(count_of(&callbacks), 1);
	cgc_release(owner);
	cgc_collect(2);
	assert_int_equal(count_of(&callbacks), 1);
	assert_int_equal(live(), 0);
}

/* The other way: the owner dies first, the callback is never called. */
static void the_target_of_a_weak_reference_may_outlive_its_owner(UNUSED void **state)
{
	atomic_int callbacks = 0;
	struct node *target = make(1);
	cgc_release(make_owner_of_weak(target, &callbacks));
	cgc_collect(2);
	node_check(target);
	cgc_release(target);
	cgc_collect(2);
	assert_int_equal(count_of(&callbacks), 0);
	assert_int_equal(live(), 0);
}

/* test_callback_in_cycle_resurrection: the callback of a reference from outside, to garbage that comes back */
static void save(struct node *node)
{
	cgc_store(CGC_ROOT, &root, node);
}

static void the_callback_of_what_was_resurrected_runs_once_in_all(UNUSED void **state)
{
	struct node *ring = make_ring_of(&active_type, 3);
	ring->on_finalize = save;
	struct cgc_weak *weak = cgc_weak_new(peek(ring, 0), count_callback, NULL);
	cgc_release(ring);
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(live(), 3);
	assert_null(cgc_weak_load(weak));
	cgc_store(CGC_ROOT, &root, NULL);
	assert_int_equal(cgc_collect(2), 3);
	assert_null(cgc_weak_load(weak));
	assert_int_equal(count_of(&called_back), 1);
	cgc_weak_free(weak);
}

static void collect_in_callback(struct cgc_weak *weak, UNUSED void *argument)
{
	for (int i = 0; i < 3; i++)
		cgc_collect(i);
	MUST(cgc_weak_load(weak) == NULL);
	count_up(&called_back);
}

/* test_sf_bug_840829: a collection while the object is being freed */
static void a_callback_may_collect_what_is_being_freed(UNUSED void **state)
{
	struct cgc_weak *weak[10];
	struct node *chain = make_chain(10), *node = chain;
	for (int i = 0; i < 10; i++, node = peek(node, 0))
		weak[i] = cgc_weak_new(node, collect_in_callback, NULL);
	cgc_release(chain);
	cgc_collect(2);
	assert_int_equal(count_of(&called_back), 10);
	assert_int_equal(count_of(&destroyed), 10);
	for (int i = 0; i < 10; i++)
		cgc_weak_free(weak[i]);
}

/* test_gc_during_ref_creation: every allocation collects */
static void collections_may_run_while_weak_references_are_made(UNUSED void **state)
{
	const unsigned threshold[3] = {1, 1, 1};
	cgc_set_threshold(threshold);
	for (int i = 0; i < 300; i++) {
		struct node *ring = make_ring(2);
		struct cgc_weak *one = cgc_weak_new(ring, count_callback, NULL);
		struct cgc_weak *other = cgc_weak_new(ring, NULL, NULL);
		cgc_release(make_ring(2));
		assert_true(is_alive(one));
		cgc_release(ring);
		cgc_weak_free(other);
		if (i % 10 == 0)
			cgc_collect(2);
		/* Called back by now, or never. */
		cgc_weak_free(one);
	}
}

/* test_trashcan_16602: a weak reference to an object whose count is zero, in a long chain that is being freed */
static struct cgc_weak *to_chain[100];

static void look_down_the_chain(struct node *node)
{
	for (int i = node->id; i < 100; i++) {
		struct node *other = cgc_weak_load(to_chain[i]);
		if (other != NULL)
			node_check(other);
		MUST(i != node->id || other == NULL);
		cgc_release(other);
	}
}

static void no_weak_reference_answers_a_dying_link_of_a_chain(UNUSED void **state)
{
	struct node *first = NULL;
	for (int i = 99; i >= 0; i--) {
		struct node *node = make_of(&active_type, i);
		node->on_finalize = look_down_the_chain;
		to_chain[i] = cgc_weak_new(node, count_callback, NULL);
		cgc_store_consume(node, &node->slot[0], first);
		first = node;
	}
	cgc_release(first);
	cgc_collect(2);
	cgc_collect(2);
	assert_int_equal(count_of(&finalized), 100);
	assert_int_equal(count_of(&destroyed), 100);
	assert_int_equal(count_of(&called_back), 100);
	for (int i = 0; i < 100; i++)
		cgc_weak_free(to_chain[i]);
}

/* test_no_memory_when_clearing (gh-118331) */
static void clearing_weak_references_needs_no_memory(UNUSED void **state)
{
	for (int request = 1; request < 30; request++) {
		char options[64];
		struct cgc_weak *weak[50];
		struct node *ring = make_ring(50), *node = ring;
		for (int i = 0; i < 50; i++, node = peek(node, 0))
			weak[i] = cgc_weak_new(node, count_callback, NULL);
		cgc_stop();
		snprintf(options, sizeof(options), "enable=0,poison=1,fail=%d", request);
		assert_int_equal(cgc_start(options), 0);
		cgc_release(ring);
		/* The look that had no memory may have found nothing. */
		cgc_collect(2);
		cgc_collect(2);
		assert_int_equal(count_of(&called_back), 50 * request);
		for (int i = 0; i < 50; i++) {
			assert_null(cgc_weak_load(weak[i]));
			cgc_weak_free(weak[i]);
		}
		/* A failure that nobody has met must not hit the next round. */
		cgc_stop();
		assert_int_equal(cgc_start("enable=0,poison=1"), 0);
	}
}

/* test_subclass_refs_with_cycle: what owns the weak reference also holds its target */
static void dropping_the_owner_of_both_calls_nothing_back(UNUSED void **state)
{
	atomic_int callbacks = 0;
	struct node *target = make(1);
	struct node *owner = make_owner_of_weak(target, &callbacks);
	/* The reference goes with the destructor of the owner, before the target is released. */
	cgc_store_consume(owner, &owner->slot[0], target);
	cgc_release(owner);
	cgc_collect(2);
	assert_int_equal(count_of(&callbacks), 0);
	assert_int_equal(count_of(&destroyed), 2);
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * A table of weak references: WeakValueDictionary, WeakSet
 * ------------------------------------------------------------------------------------------- */

enum { ITEMS = 1000 };
static struct cgc_weak *table[ITEMS];
static int removed;

static void remove_from_table(struct cgc_weak *weak, void *argument)
{
	struct cgc_weak **place = argument;
	MUST(*place == weak);
	*place = NULL;
	cgc_weak_free(weak);
	removed++;
}

static int table_length(void)
{
	int length = 0;
	for (int i = 0; i < ITEMS; i++)
		length += table[i] != NULL;
	return length;
}

/* test_weak_set_gc, test_len_cycles, weak_destroy_while_iterating: in this order nothing races */
static void a_table_empties_itself_as_its_items_die(UNUSED void **state)
{
	struct node *items[ITEMS];
	removed = 0;
	for (int i = 0; i < ITEMS; i++) {
		items[i] = i % 2 == 0 ? make(i) : make_ring(2);
		table[i] = cgc_weak_new(items[i], remove_from_table, &table[i]);
	}
	assert_int_equal(table_length(), ITEMS);
	/* An iteration that holds what it is at. */
	for (int i = 0; i < ITEMS; i++) {
		struct node *item = cgc_weak_load(table[i]);
		assert_ptr_equal(item, items[i]);
		cgc_release(items[i]);
		cgc_collect(i % 100 == 0 ? 2 : 0);
		node_check(item);
		cgc_release(item);
	}
	cgc_collect(2);
	assert_int_equal(table_length(), 0);
	assert_int_equal(removed, ITEMS);
	assert_int_equal(live(), 0);
}

/* weak_valued_consistency (bpo-28427): a freed reference must not remove what took its place */
static void a_callback_is_that_of_its_own_reference(UNUSED void **state)
{
	removed = 0;
	for (int i = 0; i < 300; i++) {
		struct node *item = make(i);
		struct cgc_weak *weak = cgc_weak_new(item, remove_from_table, &table[i % 3]);
		table[i % 3] = weak;
		if (i % 4 == 0) {
			cgc_release(item);
			cgc_collect(2);
			assert_null(table[i % 3]);
		} else {
			assert_true(is_alive(weak));
			cgc_weak_free(weak);
			table[i % 3] = NULL;
			cgc_release(item);
		}
	}
	cgc_collect(2);
	assert_int_equal(removed, 75);
}

static atomic_int over;

static void *collect_all_the_time(UNUSED void *argument)
{
	meet(&barrier);
	while (count_of(&over) == 0)
		cgc_collect(2);
	return NULL;
}

/* test_threaded_weak_valued_consistency, _setdefault, _pop: what is held is never missing */
static void a_weak_reference_to_what_is_held_always_answers(UNUSED void **state)
{
	enum { ROUNDS = IS_SANITIZED ? 2000 : 20000 };
	count_clear(&over);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t thread = thread_start(collect_all_the_time, NULL);
	meet(&barrier);
	for (int i = 0; i < ROUNDS; i++) {
		struct node *node = i % 2 == 0 ? make(i) : make_ring(2);
		struct cgc_weak *weak = cgc_weak_new(node, NULL, NULL);
		struct node *same = cgc_weak_load(weak);
		assert_ptr_equal(same, node);
		cgc_release(node);
		node = cgc_weak_load(weak);
		assert_ptr_equal(node, same);
		cgc_release(same);
		node_check(node);
		cgc_release(node);
		cgc_weak_free(weak);
	}
	count_up(&over);
	thread_join(thread);
	pthread_barrier_destroy(&barrier);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

/* weakref.finalize, test_order: records of what to do at an object's death, the last one first */
static int log_length, logged[10];

static void log_number(struct cgc_weak *weak, void *argument)
{
	MUST(cgc_weak_load(weak) == NULL);
	logged[log_length++] = *(int *)argument;
}

static void what_is_to_be_done_at_death_is_done_in_reverse_order(UNUSED void **state)
{
	static int numbers[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
	struct cgc_weak *weak[10];
	struct node *node = make(1);
	log_length = 0;
	for (int i = 0; i < 10; i++)
		weak[i] = cgc_weak_new(node, log_number, &numbers[i]);
	/* Detached ones are skipped. */
	cgc_weak_free(weak[3]);
	cgc_weak_free(weak[9]);
	cgc_release(node);
	cgc_collect(2);
	static const int expected[] = {8, 7, 6, 5, 4, 2, 1, 0};
	assert_int_equal(log_length, 8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(logged[i], expected[i]);
	for (int i = 0; i < 9; i++)
		if (i != 3)
			cgc_weak_free(weak[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_weak_reference_owned_by_garbage_does_no_harm),
		TEST(the_owner_of_a_weak_reference_may_outlive_its_target),
		TEST(the_target_of_a_weak_reference_may_outlive_its_owner),
		TEST(the_callback_of_what_was_resurrected_runs_once_in_all),
		TEST(a_callback_may_collect_what_is_being_freed),
		TEST_ENABLED(collections_may_run_while_weak_references_are_made),
		TEST(no_weak_reference_answers_a_dying_link_of_a_chain),
		TEST(clearing_weak_references_needs_no_memory),
		TEST(dropping_the_owner_of_both_calls_nothing_back),
		TEST(a_table_empties_itself_as_its_items_die),
		TEST(a_callback_is_that_of_its_own_reference),
		TEST(a_weak_reference_to_what_is_held_always_answers),
		TEST(what_is_to_be_done_at_death_is_done_in_reverse_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
