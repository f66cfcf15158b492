/* SPDX-License-Identifier: MIT
 *
 * Finalizers and destructors: each once in a life, the finalizer with everything intact, and with the power to
 * bring back; what was brought back dies later without another call.
 */
#include "node.h"

static node_ref saved, saved_too;

static struct node *make_active(int id, void (*on_finalize)(struct node *node))
{
	struct node *node = make_of(&active_type, id);
	node->on_finalize = on_finalize;
	return node;
}

/* Private and published, by counting and in a ring: every finalizer has to hold in all of them. */
enum death { PRIVATE_COUNT, PUBLISHED_COUNT, PRIVATE_RING, PUBLISHED_RING, DEATHS };
#define IS_RING(death) ((death) >= PRIVATE_RING)
#define FOR_EACH_DEATH(death) for (enum death death = PRIVATE_COUNT; death < DEATHS; death++)

/* The caller's only reference to `node` goes. */
static void die(struct node *node, enum death death)
{
	count_clear(&finalized);
	count_clear(&destroyed);
	if (IS_RING(death))
		cgc_store(node, &node->slot[2], node);
	if (death == PUBLISHED_COUNT || death == PUBLISHED_RING)
		cgc_publish(node);
	cgc_release(node);
	if (death == PRIVATE_RING)
		cgc_collect(0);
	else if (death != PRIVATE_COUNT)
		cgc_collect(2);
}

static void empty(node_ref *place)
{
	cgc_store(CGC_ROOT, place, NULL);
	/* A ring that only a dead object held may be garbage to the second look only. */
	cgc_collect(2);
	cgc_collect(2);
}

/* CPython: SimpleFinalizationTest.test_simple */
static void a_finalizer_and_a_destructor_run_once(UNUSED void **state)
{
	FOR_EACH_DEATH(death)
	{
		die(make_active(1, NULL), death);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 1);
		cgc_collect(2);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 1);
		assert_int_equal(live(), 0);
	}
}

/* What it refers to is still there, whole, and not finalized behind its back. */
static void look_around(struct node *node)
{
	struct node *next = cgc_load(node, &node->slot[0]);
	MUST(next != NULL);
	node_check(next);
	MUST(cgc_type_of(next) == &node_type);
	MUST(next->id == 7);
	struct node *further = cgc_load(next, &next->slot[0]);
	MUST(further != NULL && further->id == 8);
	cgc_release(further);
	cgc_release(next);
	MUST(cgc_is_finalized(node));
	MUST(count_of(&destroyed) == 0);
}

static void a_finalizer_sees_everything_intact(UNUSED void **state)
{
	FOR_EACH_DEATH(death)
	{
		struct node *node = make_active(1, look_around), *next = make(7);
		assert_false(cgc_is_finalized(node));
		cgc_store_consume(next, &next->slot[0], make(8));
		cgc_store_consume(node, &node->slot[0], next);
		die(node, death);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 3);
		assert_int_equal(live(), 0);
	}
}

static struct cgc_weak *watching;

static void find_weak_dead(UNUSED struct node *node)
{
	MUST(cgc_weak_load(watching) == NULL);
}

static void weak_references_answer_null_to_the_finalizer(UNUSED void **state)
{
	for (enum death death = PUBLISHED_COUNT; death < DEATHS; death += PUBLISHED_RING - PUBLISHED_COUNT) {
		struct node *node = make_active(1, find_weak_dead);
		watching = cgc_weak_new(node, count_callback, NULL);
		die(node, death);
		assert_int_equal(count_of(&finalized), 1);
		assert_null(cgc_weak_load(watching));
		assert_int_equal(live(), 0);
		cgc_weak_free(watching);
	}
	assert_int_equal(count_of(&called_back), 2);
}

/* ---------------------------------------------------------------------------------------------
 * Resurrection
 * ------------------------------------------------------------------------------------------- */

static void store_itself(struct node *node)
{
	cgc_store(CGC_ROOT, &saved, node);
}

/* CPython: test_simple_resurrect, test_resurrection_only_happens_once_per_object */
static void an_object_can_be_resurrected_once(UNUSED void **state)
{
	FOR_EACH_DEATH(death)
	{
		struct node *node = make_active(1, store_itself);
		die(node, death);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 0);
		assert_int_equal(live(), 1);
		node_check(node);
		assert_true(cgc_is_finalized(node));
		assert_int_equal(cgc_generation(node), 2);
		assert_int_equal(cgc_reference_count(node), IS_RING(death) ? 2 : 1);
		assert_int_equal(cgc_collect(2), 0);
		assert_int_equal(live(), 1);
		empty(&saved);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 1);
		assert_int_equal(live(), 0);
	}
}

/* By a reference that no field holds. */
static struct node *kept;

static void retain_itself(struct node *node)
{
	kept = cgc_retain(node);
}

static void a_retained_object_is_resurrected(UNUSED void **state)
{
	FOR_EACH_DEATH(death)
	{
		die(make_active(1, retain_itself), death);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 0);
		node_check(kept);
		assert_int_equal(cgc_collect(2), 0);
		node_check(kept);
		cgc_release(kept);
		cgc_collect(2);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 1);
		assert_int_equal(live(), 0);
	}
}

/* A finalizer that takes and gives back resurrects nothing. */
static void retain_and_release_itself(struct node *node)
{
	cgc_release(cgc_retain(node));
	cgc_store(CGC_ROOT, &saved, node);
	cgc_store(CGC_ROOT, &saved, NULL);
	cgc_store(node, &node->slot[0], node);
	cgc_store(node, &node->slot[0], NULL);
}

static void a_reference_given_back_in_the_finalizer_resurrects_nothing(UNUSED void **state)
{
	FOR_EACH_DEATH(death)
	{
		die(make_active(1, retain_and_release_itself), death);
		cgc_collect(2);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 1);
		assert_int_equal(live(), 0);
	}
}

/* CPython: test_resurrection_is_transitive */
static void resurrection_is_transitive(UNUSED void **state)
{
	FOR_EACH_DEATH(death)
	{
		struct node *node = make_active(1, store_itself), *cargo = make_ring(3);
		cgc_store(cargo, &cargo->slot[1], node);
		cgc_store_consume(cargo, &cargo->slot[2], make_chain(5));
		cgc_store_consume(node, &node->slot[0], cargo);
		if (!IS_RING(death))
			cgc_store(cargo, &cargo->slot[1], NULL);
		die(node, death);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 0);
		assert_int_equal(live(), 9);
		assert_ptr_equal(peek(node, 0), cargo);
		int length = 0;
		for (struct node *link = peek(cargo, 2); link != NULL; link = peek(link, 0), length++)
			node_check(link);
		assert_int_equal(length, 5);
		assert_int_equal(cgc_collect(2), 0);
		empty(&saved);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 9);
		assert_int_equal(live(), 0);
	}
}

static void store_next(struct node *node)
{
	cgc_store_consume(CGC_ROOT, &saved_too, cgc_load(node, &node->slot[0]));
}

/* The one that saves goes, the one that is saved stays. */
static void a_finalizer_may_save_what_it_refers_to(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		struct node *node = make_active(1, store_next);
		cgc_store_consume(node, &node->slot[0], make_active(2, NULL));
		die(node, published ? PUBLISHED_COUNT : PRIVATE_COUNT);
		assert_int_equal(count_of(&finalized), 1);
		assert_int_equal(count_of(&destroyed), 1);
		assert_int_equal(live(), 1);
		empty(&saved_too);
		assert_int_equal(count_of(&finalized), 2);
		assert_int_equal(count_of(&destroyed), 2);
		assert_int_equal(live(), 0);
	}
}

/* CPython: test_resurrection_does_not_block_cleanup_of_other_objects */
static void resurrection_does_not_hold_up_other_garbage(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		struct cgc_stats before = stats_now();
		struct node *resurrecting = make_active(0, store_itself);
		cgc_store(resurrecting, &resurrecting->slot[0], resurrecting);
		if (published)
			cgc_publish(resurrecting);
		cgc_release(resurrecting);
		for (int i = 0; i < 100; i++) {
			struct node *ring = make_ring_of(&active_type, 1);
			if (published)
				cgc_publish(ring);
			cgc_release(ring);
		}
		int generation = published ? 2 : 0;
		assert_int_equal(cgc_collect(generation), 100);
		assert_int_equal(live(), 1);
		struct cgc_stats after = stats_now();
		assert_int_equal(
			after.generation[generation].collected - before.generation[generation].collected, 100);
		assert_true(after.generation[generation].resurrected >
		            before.generation[generation].resurrected);
		cgc_store(CGC_ROOT, &saved, NULL);
		assert_int_equal(cgc_collect(2), 1);
		assert_int_equal(live(), 0);
	}
}

/* ---------------------------------------------------------------------------------------------
 * Rings of finalizers
 * ------------------------------------------------------------------------------------------- */

static void check_neighbour(struct node *node)
{
	struct node *next = cgc_load(node, &node->slot[0]);
	MUST(next != NULL);
	node_check(next);
	cgc_release(next);
	/* All finalizers come before the first destructor of the set. */
	MUST(count_of(&destroyed) == 0);
}

static struct node *make_ring_with(int length, void (*on_finalize)(struct node *node))
{
	struct node *ring = make_ring_of(&active_type, length), *node = ring;
	do {
		node->on_finalize = on_finalize;
		node = peek(node, 0);
	} while (node != ring);
	return ring;
}

static void drop_ring(struct node *ring, bool published)
{
	count_clear(&finalized);
	count_clear(&destroyed);
	if (published)
		cgc_publish(ring);
	cgc_release(ring);
}

static void a_ring_of_finalizers_is_finalized_as_a_whole_before_any_of_it_is_destroyed(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		drop_ring(make_ring_with(10, check_neighbour), published);
		assert_int_equal(cgc_collect(published ? 2 : 0), 10);
		assert_int_equal(count_of(&finalized), 10);
		assert_int_equal(count_of(&destroyed), 10);
		assert_int_equal(live(), 0);
	}
}

static void cut_next(struct node *node)
{
	cgc_store(node, &node->slot[0], NULL);
}

/* CPython: test_simple_suicide, test_boom, test_bug21435 */
static void finalizers_may_take_the_ring_apart(UNUSED void **state)
{
	for (int published = 0; published < 2; published++)
		for (int length = 1; length <= 5; length++) {
			drop_ring(make_ring_with(length, cut_next), published);
			cgc_collect(published ? 2 : 0);
			cgc_collect(2);
			assert_int_equal(count_of(&finalized), length);
			assert_int_equal(count_of(&destroyed), length);
			assert_int_equal(live(), 0);
		}
}

/* One of two separate rings comes back; the other goes. */
static void only_the_resurrected_part_lives_on(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		struct node *front = make_ring_with(3, check_neighbour), *back = make_ring_with(4, NULL);
		/* front reaches back, back does not reach front; one of back saves itself. */
		cgc_store(front, &front->slot[1], back);
		peek(back, 0)->on_finalize = store_itself;
		cgc_release(back);
		drop_ring(front, published);
		assert_int_equal(cgc_collect(published ? 2 : 0), 3);
		assert_int_equal(count_of(&finalized), 7);
		assert_int_equal(count_of(&destroyed), 3);
		assert_int_equal(live(), 4);
		empty(&saved);
		assert_int_equal(count_of(&finalized), 7);
		assert_int_equal(count_of(&destroyed), 7);
		assert_int_equal(live(), 0);
	}
}

/* ---------------------------------------------------------------------------------------------
 * What finalizers may do besides
 * ------------------------------------------------------------------------------------------- */

static struct cgc_weak *made_by_finalizer;

static void make_weak_to_itself(struct node *node)
{
	made_by_finalizer = cgc_weak_new(node, NULL, NULL);
}

/* CPython: ref_created_during_del */
static void a_weak_reference_made_by_a_finalizer_does_not_dangle(UNUSED void **state)
{
	FOR_EACH_DEATH(death)
	{
		made_by_finalizer = NULL;
		die(make_active(1, make_weak_to_itself), death);
		cgc_collect(2);
		assert_int_equal(count_of(&destroyed), 1);
		assert_int_equal(live(), 0);
		if (made_by_finalizer != NULL) {
			assert_null(cgc_weak_load(made_by_finalizer));
			cgc_weak_free(made_by_finalizer);
		}
	}
}

static void make_garbage(UNUSED struct node *node)
{
	cgc_release(make_chain(10));
	cgc_release(make_ring(10));
	struct node *ring = make_ring(10);
	cgc_publish(ring);
	cgc_release(ring);
}

static void a_finalizer_may_make_objects_and_garbage(UNUSED void **state)
{
	FOR_EACH_DEATH(death)
	{
		die(make_active(1, make_garbage), death);
		cgc_collect(2);
		cgc_collect(2);
		assert_int_equal(count_of(&finalized), 1);
		/* Rings made on another thread wait for that thread's own collection. */
		assert_in_range(count_of(&destroyed), 21, 31);
	}
}

/* A successor for each that dies, up to a limit. */
static void make_successor(struct node *node)
{
	if (node->id < 1000) {
		struct node *successor = make_active(node->id + 1, make_successor);
		cgc_release(successor);
	}
}

static void a_finalizer_may_be_called_by_what_another_one_releases(UNUSED void **state)
{
	cgc_release(make_active(0, make_successor));
	assert_int_equal(count_of(&finalized), 1001);
	assert_int_equal(count_of(&destroyed), 1001);
	assert_int_equal(live(), 0);
}

/* What is not an object goes with the destructor. */
static void free_memory(struct node *node)
{
	free(node->extra);
}

static void a_destructor_gives_back_what_is_not_an_object(UNUSED void **state)
{
	FOR_EACH_DEATH(death)
	{
		struct node *node = make(1);
		node->extra = malloc(100);
		node->on_destroy = free_memory;
		die(node, death);
		assert_int_equal(count_of(&destroyed), 1);
	}
}

/* A chain in which each is finalized; none of them may be skipped for being freed by another one's death. */
static void every_link_of_a_chain_is_finalized(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		struct node *first = NULL;
		for (int i = 0; i < 5000; i++) {
			struct node *node = make_active(i, NULL);
			cgc_store_consume(node, &node->slot[0], first);
			first = node;
		}
		die(first, published ? PUBLISHED_COUNT : PRIVATE_COUNT);
		assert_int_equal(count_of(&finalized), 5000);
		assert_int_equal(count_of(&destroyed), 5000);
		assert_int_equal(live(), 0);
	}
}

static void types_without_finalizer_are_never_finalized(UNUSED void **state)
{
	struct node *node = make(1);
	assert_false(cgc_is_finalized(node));
	cgc_release(node);
	assert_int_equal(count_of(&finalized), 0);
	assert_int_equal(count_of(&destroyed), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_finalizer_and_a_destructor_run_once),
		TEST(a_finalizer_sees_everything_intact),
		TEST(weak_references_answer_null_to_the_finalizer),
		TEST(an_object_can_be_resurrected_once),
		TEST(a_retained_object_is_resurrected),
		TEST(a_reference_given_back_in_the_finalizer_resurrects_nothing),
		TEST(resurrection_is_transitive),
		TEST(a_finalizer_may_save_what_it_refers_to),
		TEST(resurrection_does_not_hold_up_other_garbage),
		TEST(a_ring_of_finalizers_is_finalized_as_a_whole_before_any_of_it_is_destroyed),
		TEST(finalizers_may_take_the_ring_apart),
		TEST(only_the_resurrected_part_lives_on),
		TEST(a_weak_reference_made_by_a_finalizer_does_not_dangle),
		TEST(a_finalizer_may_make_objects_and_garbage),
		TEST(a_finalizer_may_be_called_by_what_another_one_releases),
		TEST(a_destructor_gives_back_what_is_not_an_object),
		TEST(every_link_of_a_chain_is_finalized),
		TEST(types_without_finalizer_are_never_finalized),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
