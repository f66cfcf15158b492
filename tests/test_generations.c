/* SPDX-License-Identifier: MIT
 *
 * The life of an object from generation 0 to 2: what moves it on, and what is collected where.
 */
#include <errno.h>

#include "node.h"

static void a_survivor_moves_on_by_one_generation(UNUSED void **state)
{
	struct node *node = make(1);
	assert_int_equal(cgc_generation(node), 0);
	assert_int_equal(cgc_collect(0), 0);
	assert_int_equal(cgc_generation(node), 1);
	assert_int_equal(cgc_collect(0), 0);
	assert_int_equal(cgc_generation(node), 1);
	assert_int_equal(cgc_collect(1), 0);
	assert_int_equal(cgc_generation(node), 2);
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(cgc_generation(node), 2);
	assert_int_equal(cgc_reference_count(node), 1);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

static void a_survivor_of_generation_1_is_published_with_all_it_reaches(UNUSED void **state)
{
	struct node *chain = make_chain(5);
	cgc_collect(0);
	/* Young, and referred to by what is about to be published. */
	struct node *young = make_ring(3);
	struct node *last = chain;
	while (peek(last, 0) != NULL)
		last = peek(last, 0);
	cgc_store(last, &last->slot[1], young);
	cgc_release(young);
	assert_int_equal(cgc_collect(1), 0);
	for (struct node *node = chain; node != NULL; node = peek(node, 0))
		assert_int_equal(cgc_generation(node), 2);
	assert_int_equal(cgc_generation(young), 2);
	assert_int_equal(cgc_generation(peek(young, 0)), 2);
	cgc_release(chain);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

/* Every way to make an object reachable by others, with a graph of all shapes below it. */
enum way { STORE, STORE_CONSUME, EXCHANGE, COMPARE_EXCHANGE, PUBLISH, TRANSFER, WEAK, IMMORTAL, WAYS };

static void publish_by(enum way way, struct node *published, struct node *node)
{
	switch (way) {
	case STORE:
		cgc_store(published, &published->slot[0], node);
		break;
	case STORE_CONSUME:
		cgc_store_consume(published, &published->slot[0], cgc_retain(node));
		break;
	case EXCHANGE:
		assert_null(cgc_exchange(published, &published->slot[0], cgc_retain(node)));
		break;
	case COMPARE_EXCHANGE:
		assert_true(cgc_compare_exchange(published, &published->slot[0], NULL, node));
		break;
	case PUBLISH:
		cgc_publish(node);
		break;
	case TRANSFER:
		cgc_transfer(node);
		break;
	case WEAK: {
		struct cgc_weak *weak = cgc_weak_new(node, NULL, NULL);
		assert_non_null(weak);
		cgc_weak_free(weak);
		break;
	}
	default:
		cgc_immortalize(cgc_retain(node));
		break;
	}
}

static void publication_is_transitive(UNUSED void **state)
{
	for (enum way way = STORE; way < WAYS; way++) {
		struct node *published = make(0);
		cgc_publish(published);
		struct node *node = make(1), *ring = make_ring(10), *chain = make_chain(100);
		struct leaf *leaf = cgc_new(&leaf_type);
		struct array *array = cgc_new_n(&array_type, 10);
		cgc_store(node, &node->slot[0], ring);
		cgc_store(node, &node->slot[1], chain);
		cgc_store(ring, &ring->slot[1], node);
		/* One that is older than the others. */
		cgc_collect(0);
		struct node *young = make(2);
		cgc_store(chain, &chain->slot[2], young);
		cgc_store(array, &array->items[9], node); /* refers to the graph, not the other way round */

		publish_by(way, published, node);

		assert_int_equal(cgc_generation(node), 2);
		assert_int_equal(cgc_generation(young), 2);
		struct node *next = ring;
		do {
			assert_int_equal(cgc_generation(next), 2);
			next = peek(next, 0);
		} while (next != ring);
		for (next = chain; next != NULL; next = peek(next, 0))
			assert_int_equal(cgc_generation(next), 2);
		assert_true(cgc_generation(array) < 2);
		assert_true(cgc_generation(leaf) < 2);
		/* The counts have come along. */
		assert_int_equal(cgc_reference_count(ring), 3);
		assert_int_equal(cgc_reference_count(chain), 2);
		assert_int_equal(cgc_reference_count(young), 2);

		cgc_store(node, &node->slot[0], NULL);
		cgc_store(node, &node->slot[1], NULL);
		cgc_release(leaf);
		cgc_release(array);
		cgc_release(young);
		cgc_release(chain);
		cgc_release(ring);
		cgc_release(node);
		cgc_release(published);
		cgc_collect(2);
		if (way == IMMORTAL)
			live_before++;
		assert_int_equal(live(), 0);
	}
}

static void a_store_into_a_private_object_publishes_nothing(UNUSED void **state)
{
	struct node *one = make(1), *two = make(2);
	cgc_store(one, &one->slot[0], two);
	cgc_release(cgc_exchange(one, &one->slot[1], cgc_retain(two)));
	assert_true(cgc_compare_exchange(one, &one->slot[2], NULL, two));
	assert_int_equal(cgc_generation(one), 0);
	assert_int_equal(cgc_generation(two), 0);
	cgc_release(one);
	cgc_release(two);
	assert_int_equal(live(), 0);
}

static void a_failed_compare_exchange_may_publish_but_loses_nothing(UNUSED void **state)
{
	struct node *one = make(1), *two = make(2);
	cgc_publish(one);
	assert_false(cgc_compare_exchange(one, &one->slot[0], two, two));
	assert_int_equal(cgc_reference_count(two), 1);
	cgc_release(one);
	cgc_release(two);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

static void a_ring_of_private_objects_dies_in_the_local_collection(UNUSED void **state)
{
	cgc_release(make_ring(10));
	assert_int_equal(live(), 10);
	assert_int_equal(cgc_collect(0), 10);
	assert_int_equal(count_of(&destroyed), 10);
	assert_int_equal(live(), 0);
	assert_int_equal(cgc_collect(0), 0);
}

static void a_ring_of_generation_1_dies_in_its_collection_only(UNUSED void **state)
{
	struct node *ring = make_ring(10);
	assert_int_equal(cgc_collect(0), 0);
	assert_int_equal(cgc_generation(ring), 1);
	cgc_release(ring);
	assert_int_equal(cgc_collect(0), 0);
	assert_int_equal(live(), 10);
	assert_int_equal(cgc_collect(1), 10);
	assert_int_equal(live(), 0);
}

/* The cells of a slab remember the generation of what is in them, not of what was. */
static void memory_of_an_older_object_is_young_again(UNUSED void **state)
{
	for (int round = 0; round < 3; round++) {
		/* All generations, and ways to die, in turn. */
		struct node *ring = make_ring(500), *chain = make_chain(500);
		for (struct node *node = chain; node != NULL; node = peek(node, 0))
			assert_int_equal(cgc_generation(node), 0);
		struct node *member = ring;
		do {
			assert_int_equal(cgc_generation(member), 0);
			member = peek(member, 0);
		} while (member != ring);
		cgc_collect(0);
		if (round == 2)
			cgc_collect(1);
		cgc_release(chain);
		cgc_release(ring);
		assert_int_equal(cgc_collect(round < 2 ? 1 : 2), 500);
		assert_int_equal(live(), 0);
	}
	cgc_release(make_ring(1500));
	assert_int_equal(cgc_collect(0), 1500);
}

static void a_ring_across_both_young_generations_dies_with_the_older(UNUSED void **state)
{
	struct node *old = make(1);
	cgc_collect(0);
	struct node *young = make(2);
	cgc_store(old, &old->slot[0], young);
	cgc_store(young, &young->slot[0], old);
	cgc_release(young);
	cgc_release(old);
	/* The older one keeps it: it is not looked at. */
	assert_int_equal(cgc_collect(0), 0);
	assert_int_equal(cgc_collect(1), 2);
	assert_int_equal(live(), 0);
}

static void collecting_2_collects_the_young_too(UNUSED void **state)
{
	struct node *ring = make_ring(3);
	cgc_collect(0);
	cgc_release(ring);
	cgc_release(make_ring(5));
	struct node *published = make_ring(7);
	cgc_publish(published);
	cgc_release(published);
	assert_int_equal(cgc_collect(2), 15);
	assert_int_equal(live(), 0);
}

static void what_is_referred_to_from_outside_of_the_generation_survives(UNUSED void **state)
{
	struct node *held = make_ring(4); /* by C code */
	struct node *inner = make_ring(3);
	cgc_store_consume(held, &held->slot[1], inner); /* by a survivor only */
	struct node *old = make(0);
	cgc_collect(0);
	struct node *young = make_ring(2);
	cgc_store_consume(old, &old->slot[0], young); /* by an older generation */
	assert_int_equal(cgc_collect(0), 0);
	assert_int_equal(live(), 10);
	node_check(young);
	node_check(peek(held, 1));
	cgc_release(held);
	cgc_release(old);
	assert_int_equal(live(), 9);
	/* One collection of 1 frees all, wherever the pieces are. */
	assert_int_equal(cgc_collect(1), 9);
	assert_int_equal(live(), 0);
}

/* A leaf is freed with the ring, but it is no cyclic garbage. */
struct leaf_holder {
	cgc_ref(struct leaf_holder) next;
	cgc_ref(struct leaf) leaf;
};
static struct cgc_type leaf_holder_type = {
	.name = "leaf_holder",
	.size = sizeof(struct leaf_holder),
	CGC_FIELDS(CGC_FIELD(struct leaf_holder, next), CGC_FIELD(struct leaf_holder, leaf))};

static void acyclic_objects_die_with_a_ring_uncounted(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		struct leaf_holder *one = cgc_new(&leaf_holder_type), *two = cgc_new(&leaf_holder_type);
		struct leaf *shared = cgc_new(&leaf_type);
		cgc_store_consume(one, &one->leaf, cgc_new(&leaf_type));
		cgc_store(two, &two->leaf, shared);
		cgc_store(one, &one->next, two);
		cgc_store(two, &two->next, one);
		if (published)
			cgc_publish(one);
		cgc_release(one);
		cgc_release(two);
		assert_int_equal(live(), 4);
		assert_int_equal(cgc_collect(published ? 2 : 0), 2);
		cgc_collect(2);
		assert_int_equal(live(), 1);
		assert_int_equal(cgc_reference_count(shared), 1);
		cgc_release(shared);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

/* Survivors refer to it, the published does too; the collection of the young must not miscount. */
static void published_objects_are_no_business_of_a_young_collection(UNUSED void **state)
{
	struct node *published = make_ring(3);
	cgc_publish(published);
	struct node *ring = make_ring(4);
	struct node *member = ring;
	do {
		cgc_store(member, &member->slot[1], published);
		member = peek(member, 0);
	} while (member != ring);
	assert_int_equal(cgc_reference_count(published), 6);
	cgc_release(ring);
	assert_int_equal(cgc_collect(0), 4);
	assert_int_equal(cgc_reference_count(published), 2);
	cgc_release(published);
	assert_int_equal(cgc_collect(1), 0);
	assert_int_equal(cgc_collect(2), 3);
}

static void another_generation_is_refused(UNUSED void **state)
{
	assert_int_equal(cgc_collect(3), -EINVAL);
	assert_int_equal(cgc_collect(-1), -EINVAL);
	assert_int_equal(cgc_collect(1000), -EINVAL);
}

/* A young collection concerns its own thread alone. */
static void *make_private_ring(void *argument)
{
	pthread_barrier_t *barrier = argument;
	cgc_release(make_ring(10));
	meet(barrier);
	meet(barrier);
	MUST(live() == 10);
	MUST(cgc_collect(0) == 10);
	return NULL;
}

static void a_thread_collects_its_own_young_and_no_others(UNUSED void **state)
{
	pthread_barrier_t barrier;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t thread = thread_start(make_private_ring, &barrier);
	meet(&barrier);
	assert_int_equal(cgc_collect(0), 0);
	assert_int_equal(cgc_collect(1), 0);
	assert_int_equal(live(), 10);
	meet(&barrier);
	thread_join(thread);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_survivor_moves_on_by_one_generation),
		TEST(a_survivor_of_generation_1_is_published_with_all_it_reaches),
		TEST(publication_is_transitive),
		TEST(a_store_into_a_private_object_publishes_nothing),
		TEST(a_failed_compare_exchange_may_publish_but_loses_nothing),
		TEST(a_ring_of_private_objects_dies_in_the_local_collection),
		TEST(a_ring_of_generation_1_dies_in_its_collection_only),
		TEST(memory_of_an_older_object_is_young_again),
		TEST(a_ring_across_both_young_generations_dies_with_the_older),
		TEST(collecting_2_collects_the_young_too),
		TEST(what_is_referred_to_from_outside_of_the_generation_survives),
		TEST(acyclic_objects_die_with_a_ring_uncounted),
		TEST(published_objects_are_no_business_of_a_young_collection),
		TEST(another_generation_is_refused),
		TEST(a_thread_collects_its_own_young_and_no_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
