/* SPDX-License-Identifier: MIT
 *
 * CPython's Lib/test/test_gc.py (3.13, and what 3.14 and test_free_threading added), as far as it has a meaning
 * here; the name of the ported test stands above each. What other test programs port already is not repeated.
 *
 * Different by design: weak references answer NULL before finalizers run; there is no list of uncollectable
 * objects, for there are none; freezing, callbacks of the collector and lists of objects do not exist.
 */
#include <sched.h>

#include "node.h"

static node_ref root;
static pthread_barrier_t barrier;

static void drop(struct node *node, bool published)
{
	if (published)
		cgc_publish(node);
	cgc_release(node);
}

/* A private ring is garbage of the young, a published one of the detector. */
#define FOR_BOTH(published) for (int published = 0; published < 2; published++)

static struct node *make_active(int id, void (*on_finalize)(struct node *node))
{
	struct node *node = make_of(&active_type, id);
	node->on_finalize = on_finalize;
	return node;
}

/* test_list */
static void a_node_that_contains_itself_is_one_piece_of_garbage(UNUSED void **state)
{
	FOR_BOTH(published)
	{
		drop(make_ring(1), published);
		assert_int_equal(cgc_collect(2), 1);
	}
}

/* test_dict: through a container of another type */
static void a_container_in_a_ring_is_part_of_the_garbage(UNUSED void **state)
{
	FOR_BOTH(published)
	{
		struct array *array = cgc_new_n(&array_type, 2);
		struct node *node = make(1);
		node_ref *back = &node->slot[0];
		cgc_store(array, &array->items[1], node);
		cgc_store(node, back, (struct node *)(void *)array);
		cgc_release(array);
		drop(node, published);
		assert_int_equal(cgc_collect(2), 2);
		assert_int_equal(live(), 0);
	}
}

/* test_tuple */
static void two_that_hold_each_other_are_two_pieces_of_garbage(UNUSED void **state)
{
	FOR_BOTH(published)
	{
		drop(make_ring(2), published);
		assert_int_equal(cgc_collect(2), 2);
	}
}

/* test_class, test_newstyleclass, test_instance, test_newinstance: a ring that represents a type, in slot 0, and
 * its instances, which refer to it by slot 1 */
static void a_ring_lives_until_its_last_instance_dies(UNUSED void **state)
{
	FOR_BOTH(published)
	{
		struct node *class = make_ring(3), *instances[5];
		for (int i = 0; i < 5; i++) {
			instances[i] = make(i);
			cgc_store(instances[i], &instances[i]->slot[1], class);
			cgc_store(instances[i], &instances[i]->slot[2], instances[i]);
		}
		drop(class, published);
		for (int i = 0; i < 5; i++) {
			assert_int_equal(cgc_collect(2), 0);
			cgc_release(instances[i]);
			if (i < 4)
				assert_int_equal(cgc_collect(2), 1);
		}
		assert_int_equal(cgc_collect(2), 1 + 3);
		assert_int_equal(cgc_collect(2), 0);
		assert_int_equal(live(), 0);
	}
}

static struct cgc_weak *to_cycle_mate;

static void make_weak_to_mate(struct node *node)
{
	struct node *mate = cgc_load(node, &node->slot[0]);
	MUST(mate != NULL);
	cgc_weak_free(to_cycle_mate);
	to_cycle_mate = cgc_weak_new(mate, NULL, NULL);
	cgc_release(mate);
}

static void load_weak_to_mate(UNUSED struct node *node)
{
	if (to_cycle_mate == NULL)
		return;
	struct node *mate = cgc_weak_load(to_cycle_mate);
	if (mate != NULL) {
		/* Whole, or not at all. */
		node_check(mate);
		MUST(peek(mate, 0) != NULL);
		node_check(peek(mate, 0));
	}
	cgc_release(mate);
}

/* test_function_tp_clear_leaves_consistent_state (gh-91636) */
static void a_weak_reference_to_garbage_shows_nothing_half_cleared(UNUSED void **state)
{
	FOR_BOTH(published)
	{
		struct node *ring = make_ring_of(&active_type, 6), *node = ring;
		for (int i = 0; i < 6; i++, node = peek(node, 0))
			node->on_finalize = i % 2 == 0 ? make_weak_to_mate : load_weak_to_mate;
		drop(ring, published);
		/* A weak reference that is loaded may bring the set back, once. */
		cgc_collect(2);
		cgc_collect(2);
		cgc_collect(2);
		assert_int_equal(live(), 0);
		assert_int_equal(count_of(&destroyed), 6 * (published + 1));
		assert_null(cgc_weak_load(to_cycle_mate));
		cgc_weak_free(to_cycle_mate);
		to_cycle_mate = NULL;
	}
}

static void allocate(UNUSED struct node *node)
{
	cgc_release(make_ring(1));
}

/* test_del, test_del_newclass */
static void a_finalizer_may_start_the_collection_it_runs_in(UNUSED void **state)
{
	const unsigned threshold[3] = {1, 1, 1};
	cgc_set_threshold(threshold);
	for (int i = 0; i < 200; i++) {
		struct node *node = make_active(i, allocate);
		if (i % 2 == 0)
			cgc_store(node, &node->slot[0], node);
		cgc_release(node);
	}
	cgc_collect(2);
	cgc_collect(2);
	assert_int_equal(count_of(&finalized), 200);
}

static int finalizers_run;

static void collect_every_17th(UNUSED struct node *node)
{
	if (++finalizers_run % 17 == 0)
		cgc_collect(2);
}

/* test_trashcan */
static void a_collection_may_run_in_the_middle_of_a_deep_death(UNUSED void **state)
{
	finalizers_run = 0;
	for (int round = 0; round < 2; round++)
		for (int kind = 0; kind < 3; kind++) {
			struct node *nest = NULL;
			for (int i = 0; i < 150; i++) {
				struct node *outer = make_active(i, collect_every_17th);
				cgc_store_consume(outer, &outer->slot[kind], nest);
				nest = outer;
			}
			cgc_release(nest);
		}
	settle(); /* the first collection published what was left of its nest */
	assert_int_equal(finalizers_run, 900);
	assert_int_equal(count_of(&destroyed), 900);
}

static atomic_int inits;

static void yield(UNUSED struct node *node)
{
	sched_yield();
}

static void *build_and_drop(UNUSED void *argument)
{
	for (int i = 0; i < 100; i++) {
		struct node *nest = NULL;
		for (int j = 0; j < 60; j++) {
			struct node *outer = make_active(j, yield);
			count_up(&inits);
			cgc_store_consume(outer, &outer->slot[0], nest);
			nest = outer;
		}
		drop(nest, i % 2 == 0);
	}
	return NULL;
}

/* test_trashcan_threads */
static void as_many_die_as_were_made_when_two_threads_drop_nests(UNUSED void **state)
{
	count_clear(&inits);
	pthread_t one = thread_start(build_and_drop, NULL), other = thread_start(build_and_drop, NULL);
	thread_join(one);
	thread_join(other);
	cgc_collect(2);
	assert_int_equal(count_of(&inits), 12000);
	assert_int_equal(count_of(&destroyed), 12000);
	assert_int_equal(count_of(&finalized), 12000);
}

static void unlink_next(struct node *node)
{
	cgc_store(node, &node->slot[0], NULL);
}

/* test_boom, test_boom2 */
static void a_ring_that_a_finalizer_cuts_is_garbage_all_the_same(UNUSED void **state)
{
	FOR_BOTH(published)
	{
		struct node *ring = make_ring_of(&active_type, 2);
		ring->on_finalize = unlink_next;
		drop(ring, published);
		assert_int_equal(cgc_collect(2), 2);
		assert_int_equal(live(), 0);
	}
}

/* test_bug1055820c, test_bug1055820d: an old object c0, kept only by the young ring c1, looks at the young ring c2
 * when it dies by the same collection. */
static struct cgc_weak *to_c2;

static void look_at_c2(UNUSED struct node *node)
{
	struct node *c2 = cgc_weak_load(to_c2);
	if (c2 != NULL) {
		node_check(c2);
		node_check(peek(c2, 0));
	}
	cgc_release(c2);
	count_up(&called_back);
}

static void look_at_c2_in_callback(struct cgc_weak *weak, UNUSED void *argument)
{
	MUST(cgc_weak_load(weak) == NULL);
	look_at_c2(NULL);
}

static void garbage_is_not_seen_half_cleared_by_what_dies_with_it(UNUSED void **state)
{
	for (int by_finalizer = 0; by_finalizer < 2; by_finalizer++) {
		count_clear(&called_back);
		struct node *c0 = make_active(0, by_finalizer ? look_at_c2 : NULL);
		cgc_store(c0, &c0->slot[0], c0);
		cgc_collect(2); /* c0 is old now */
		struct node *c1 = make_ring(1), *c2 = make_ring(1);
		cgc_store(c1, &c1->slot[1], c0);
		cgc_store(c0, &c0->slot[0], NULL);
		cgc_release(c0);
		to_c2 = cgc_weak_new(c2, NULL, NULL);
		struct cgc_weak *to_c0 = cgc_weak_new(c0, by_finalizer ? NULL : look_at_c2_in_callback, NULL);
		cgc_release(c1);
		cgc_release(c2);
		cgc_collect(2);
		cgc_collect(2);
		assert_int_equal(count_of(&called_back), 1);
		assert_null(cgc_weak_load(to_c2));
		assert_null(cgc_weak_load(to_c0));
		cgc_weak_free(to_c0);
		cgc_weak_free(to_c2);
		assert_int_equal(live(), 0);
	}
}

/* test_garbage_at_shutdown, test_gc_main_module_at_shutdown */
static void garbage_is_finalized_when_the_library_stops(UNUSED void **state)
{
	FOR_BOTH(published)
	{
		drop(make_ring_of(&active_type, 3), published);
		assert_int_equal(cgc_stop(), live_before);
		assert_int_equal(count_of(&finalized), 3);
		assert_int_equal(count_of(&destroyed), 3);
		assert_int_equal(start_with("enable=0,poison=1"), 0);
	}
}

/* test_get_objects_generations */
static void an_object_is_in_one_generation_at_a_time(UNUSED void **state)
{
	struct node *node = make_ring(2);
	static const int collect[] = {0, 1, 2}, expected[] = {1, 2, 2};
	assert_int_equal(cgc_generation(node), 0);
	for (int i = 0; i < 3; i++) {
		cgc_collect(collect[i]);
		assert_int_equal(cgc_generation(node), expected[i]);
		assert_int_equal(cgc_generation(peek(node, 0)), expected[i]);
	}
	cgc_release(node);
}

/* test_ast_fini: the last instance frees its type; the destructor must not touch what is gone */
static void free_extra(struct node *node)
{
	MUST(*(uint64_t *)node->extra == NODE_MAGIC);
	free(node->extra);
}

static void a_destructor_has_its_own_memory_whatever_died_before(UNUSED void **state)
{
	FOR_BOTH(published)
	{
		struct node *ring = make_ring(20), *node = ring;
		do {
			uint64_t *memory = malloc(sizeof(*memory));
			*memory = NODE_MAGIC;
			node->extra = memory;
			node->on_destroy = free_extra;
			node = peek(node, 0);
		} while (node != ring);
		drop(ring, published);
		assert_int_equal(cgc_collect(2), 20);
	}
}

/* _test_gc_fast_cycles: doubly linked rings of 20, some of them attached to a long list that lives */
static void the_heap_stays_small_under_a_stream_of_garbage(UNUSED void **state)
{
	enum { ROUNDS = IS_SANITIZED ? 2000 : 20000, LENGTH = 20, BATCH = 50 };
	struct node *list = make_chain(1000), *batch[BATCH] = {NULL};
	uint64_t most = 0;
	for (int round = 0; round < ROUNDS; round++) {
		struct node *ring = make_ring(LENGTH), *node = ring;
		do {
			struct node *next = peek(node, 0);
			cgc_store(next, &next->slot[1], node);
			node = next;
		} while (node != ring);
		if (round % 3 == 0)
			cgc_store(ring, &ring->slot[2], list);
		cgc_release(batch[round % BATCH]);
		batch[round % BATCH] = ring;
		if (live() > most)
			most = live();
		if (live() > 200000)
			sched_yield();
	}
	for (int i = 0; i < BATCH; i++)
		cgc_release(batch[i]);
	cgc_release(list);
	cgc_collect(2);
	assert_int_equal(live(), 0);
	/* Not a bound on time: all in all there were LENGTH * ROUNDS. */
	if (!IS_SANITIZED)
		assert_in_range(most, 1, LENGTH * ROUNDS * 3 / 4);
}

static struct node *handed;

static void *drop_the_last_reference(UNUSED void *argument)
{
	cgc_release(handed);
	cgc_collect(2);
	cgc_collect(2);
	return NULL;
}

/* FT test_freeze_object_in_brc_queue (gh-142975), without freezing: the owner is asked to merge what is dead */
static void an_object_that_waits_for_its_owner_is_freed_once(UNUSED void **state)
{
	for (int i = 0; i < 50; i++) {
		handed = make(1);
		if (i % 2 == 0)
			cgc_store(handed, &handed->slot[0], handed);
		cgc_publish(handed);
		in_thread(drop_the_last_reference, NULL);
		cgc_collect(2);
		assert_int_equal(count_of(&destroyed), i + 1);
	}
}

static atomic_int allocators;

static void *make_self_rings(UNUSED void *argument)
{
	meet(&barrier);
	for (int i = 0; i < 20000; i++)
		cgc_release(make_ring(1));
	count_up(&allocators);
	return NULL;
}

/* FT test_set_threshold (gh-148613) */
static void thresholds_may_change_while_threads_allocate(UNUSED void **state)
{
	enum { ALLOCATORS = 4 };
	pthread_t threads[ALLOCATORS];
	count_clear(&allocators);
	pthread_barrier_init(&barrier, NULL, ALLOCATORS + 1);
	for (int i = 0; i < ALLOCATORS; i++)
		threads[i] = thread_start(make_self_rings, NULL);
	meet(&barrier);
	for (unsigned i = 0; count_of(&allocators) < ALLOCATORS; i++) {
		const unsigned threshold[3] = {i % 2000, 1 + i % 10, 1 + i % 7};
		unsigned read[3];
		cgc_set_threshold(threshold);
		cgc_get_threshold(read);
		assert_int_equal(read[0], threshold[0]);
		sched_yield();
	}
	for (int i = 0; i < ALLOCATORS; i++)
		thread_join(threads[i]);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(count_of(&destroyed), 20000 * ALLOCATORS);
}

static void count_referent(UNUSED void *referent, void *argument)
{
	++*(int *)argument;
}

static void *look_at_references(UNUSED void *argument)
{
	struct node *node = cgc_load(CGC_ROOT, &root);
	while (count_of(&allocators) == 0) {
		int count = 0;
		cgc_visit_references(node, count_referent, &count);
		MUST(count <= NODE_SLOTS);
	}
	cgc_release(node);
	return NULL;
}

/* FT test_get_objects, test_get_referrers: looking at objects that change */
static void references_may_be_visited_while_they_change(UNUSED void **state)
{
	count_clear(&allocators);
	struct node *node = make(0);
	cgc_store(CGC_ROOT, &root, node);
	pthread_t thread = thread_start(look_at_references, NULL);
	for (int i = 0; i < 20000; i++)
		cgc_store_consume(node, &node->slot[i % NODE_SLOTS], i % 5 == 0 ? NULL : make_ring(2));
	count_up(&allocators);
	thread_join(thread);
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_release(node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_node_that_contains_itself_is_one_piece_of_garbage),
		TEST(a_container_in_a_ring_is_part_of_the_garbage),
		TEST(two_that_hold_each_other_are_two_pieces_of_garbage),
		TEST(a_ring_lives_until_its_last_instance_dies),
		TEST(a_weak_reference_to_garbage_shows_nothing_half_cleared),
		TEST_ENABLED(a_finalizer_may_start_the_collection_it_runs_in),
		TEST(a_collection_may_run_in_the_middle_of_a_deep_death),
		TEST(as_many_die_as_were_made_when_two_threads_drop_nests),
		TEST(a_ring_that_a_finalizer_cuts_is_garbage_all_the_same),
		TEST(garbage_is_not_seen_half_cleared_by_what_dies_with_it),
		TEST(garbage_is_finalized_when_the_library_stops),
		TEST(an_object_is_in_one_generation_at_a_time),
		TEST(a_destructor_has_its_own_memory_whatever_died_before),
		TEST_ENABLED(the_heap_stays_small_under_a_stream_of_garbage),
		TEST(an_object_that_waits_for_its_owner_is_freed_once),
		TEST_ENABLED(thresholds_may_change_while_threads_allocate),
		TEST_ENABLED(references_may_be_visited_while_they_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
