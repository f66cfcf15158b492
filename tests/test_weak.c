/* SPDX-License-Identifier: MIT
 *
 * Weak references: what they answer in life and after, and when their callbacks run.
 */
#include "node.h"

static node_ref root;
static pthread_barrier_t barrier;

static struct cgc_weak *weak_to(struct node *node)
{
	struct cgc_weak *weak = cgc_weak_new(node, count_callback, NULL);
	assert_non_null(weak);
	return weak;
}

/* Every way to die; the caller's reference goes. */
enum death { BY_COUNT, BY_FOREIGN_COUNT, IN_A_RING, IN_A_CHAIN, DEATHS };

static void *release_it(void *argument)
{
	cgc_release(argument);
	return NULL;
}

static void die(struct node *node, enum death death)
{
	switch (death) {
	case BY_COUNT:
		cgc_release(node);
		break;
	case BY_FOREIGN_COUNT:
		in_thread(release_it, node);
		break;
	case IN_A_RING: {
		struct node *other = make(50);
		cgc_store(other, &other->slot[2], node);
		cgc_store_consume(node, &node->slot[2], other);
		cgc_release(node);
		break;
	}
	default: {
		struct node *chain = make_chain(20);
		struct node *second = peek(chain, 0);
		cgc_store_consume(second, &second->slot[2], node);
		cgc_publish(chain);
		cgc_release(chain);
		break;
	}
	}
	cgc_collect(2);
}

static void a_weak_reference_answers_the_living_object_owned(UNUSED void **state)
{
	struct node *node = make(1);
	struct cgc_weak *weak = weak_to(node);
	assert_int_equal(cgc_reference_count(node), 1);
	struct node *same = cgc_weak_load(weak);
	assert_ptr_equal(same, node);
	assert_int_equal(cgc_reference_count(node), 2);
	cgc_release(node);
	cgc_collect(2);
	node_check(same);
	assert_true(is_alive(weak));
	assert_int_equal(count_of(&called_back), 0);
	cgc_release(same);
	cgc_collect(2);
	assert_null(cgc_weak_load(weak));
	assert_int_equal(count_of(&called_back), 1);
	cgc_weak_free(weak);
	assert_int_equal(live(), 0);
}

static void making_a_weak_reference_publishes(UNUSED void **state)
{
	struct node *ring = make_ring(3);
	struct cgc_weak *weak = cgc_weak_new(ring, NULL, NULL);
	assert_int_equal(cgc_generation(ring), 2);
	assert_int_equal(cgc_generation(peek(ring, 0)), 2);
	cgc_release(ring);
	/* Not even now does a young collection touch it. */
	assert_int_equal(cgc_collect(1), 0);
	assert_true(is_alive(weak));
	assert_int_equal(cgc_collect(2), 3);
	assert_null(cgc_weak_load(weak));
	cgc_weak_free(weak);
}

static void a_weak_reference_answers_null_after_every_death(UNUSED void **state)
{
	for (enum death death = BY_COUNT; death < DEATHS; death++) {
		count_clear(&called_back);
		struct node *node = make(1);
		struct cgc_weak *weak = weak_to(node), *silent = cgc_weak_new(node, NULL, NULL);
		die(node, death);
		assert_null(cgc_weak_load(weak));
		assert_null(cgc_weak_load(silent));
		assert_int_equal(count_of(&called_back), 1);
		assert_int_equal(live(), 0);
		assert_null(cgc_weak_load(weak));
		cgc_weak_free(weak);
		cgc_weak_free(silent);
		cgc_collect(2);
		assert_int_equal(count_of(&called_back), 1);
	}
}

/* In which order callbacks came: ids of their arguments. */
enum { MANY = 20 };
static struct cgc_weak *many[MANY];
static struct cgc_weak **order[MANY];
static int order_length;

static void note_order(struct cgc_weak *weak, void *argument)
{
	struct cgc_weak **place = argument;
	MUST(*place == weak);
	/* All answer NULL before the first callback. */
	for (int i = 0; i < MANY; i++)
		MUST(many[i] == NULL || cgc_weak_load(many[i]) == NULL);
	order[order_length++] = place;
}

/* CPython: multiple_callbacks, multiple_selfref_callbacks */
static void callbacks_run_once_and_the_most_recent_first(UNUSED void **state)
{
	for (enum death death = BY_COUNT; death < DEATHS; death++) {
		struct node *node = make(1);
		order_length = 0;
		for (int i = 0; i < MANY; i++)
			many[i] = cgc_weak_new(node, i % 5 == 4 ? NULL : note_order, &many[i]);
		die(node, death);
		assert_int_equal(order_length, MANY - MANY / 5);
		for (int i = 1; i < order_length; i++)
			assert_true(order[i] < order[i - 1]);
		for (int i = 0; i < MANY; i++) {
			cgc_weak_free(many[i]);
			many[i] = NULL;
		}
	}
}

/* All of a ring: no callback may find another member alive. */
static struct cgc_weak *ring_weak[5];

static void see_all_dead(UNUSED struct cgc_weak *weak, UNUSED void *argument)
{
	for (int i = 0; i < 5; i++)
		MUST(cgc_weak_load(ring_weak[i]) == NULL);
	count_up(&called_back);
}

/* CPython: test_bug1055820b */
static void all_weak_references_to_a_ring_answer_null_before_its_first_callback(UNUSED void **state)
{
	struct node *ring = make_ring(5), *node = ring;
	for (int i = 0; i < 5; i++, node = peek(node, 0))
		ring_weak[i] = cgc_weak_new(node, see_all_dead, NULL);
	cgc_release(ring);
	assert_int_equal(cgc_collect(2), 5);
	assert_int_equal(count_of(&called_back), 5);
	for (int i = 0; i < 5; i++)
		cgc_weak_free(ring_weak[i]);
}

static void a_freed_weak_reference_is_not_called_back(UNUSED void **state)
{
	struct node *node = make(1);
	struct cgc_weak *first = weak_to(node), *second = weak_to(node), *third = weak_to(node);
	cgc_weak_free(second);
	cgc_weak_free(NULL);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(count_of(&called_back), 2);
	cgc_weak_free(first);
	cgc_weak_free(third);
	node = make(2);
	cgc_weak_free(weak_to(node));
	cgc_weak_free(weak_to(node));
	node_check(node);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(count_of(&called_back), 2);
	assert_int_equal(live(), 0);
}

/* In the middle, at the ends, in any order: the others stay. */
static void weak_references_may_be_freed_in_any_order(UNUSED void **state)
{
	struct node *node = make(1);
	for (unsigned seed = 1; seed < 50; seed++) {
		unsigned random = seed;
		int left = MANY;
		for (int i = 0; i < MANY; i++)
			many[i] = cgc_weak_new(node, NULL, NULL);
		while (left > 0) {
			random = random * 1103515245u + 12345u;
			int i = (int)(random >> 16) % MANY;
			if (many[i] == NULL)
				continue;
			cgc_weak_free(many[i]);
			many[i] = NULL;
			left--;
			for (int j = 0; j < MANY; j++)
				assert_true(many[j] == NULL || is_alive(many[j]));
		}
	}
	assert_int_equal(cgc_reference_count(node), 1);
	cgc_release(node);
}

static void free_itself(struct cgc_weak *weak, void *argument)
{
	struct cgc_weak **slot = argument;
	MUST(*slot == weak);
	*slot = NULL;
	cgc_weak_free(weak);
	count_up(&called_back);
}

static void free_all_others(struct cgc_weak *weak, UNUSED void *argument)
{
	for (int i = 0; i < MANY; i++)
		if (many[i] != weak) {
			cgc_weak_free(many[i]);
			many[i] = NULL;
		}
	count_up(&called_back);
}

static void a_callback_may_free_its_weak_reference(UNUSED void **state)
{
	struct node *node = make(1);
	for (int i = 0; i < MANY; i++)
		many[i] = cgc_weak_new(node, free_itself, &many[i]);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(count_of(&called_back), MANY);
	for (int i = 0; i < MANY; i++)
		assert_null(many[i]);
}

/* Those freed before their turn are not called any more. */
static void a_callback_may_free_the_other_weak_references(UNUSED void **state)
{
	struct node *node = make(1);
	for (int i = 0; i < MANY; i++)
		many[i] = cgc_weak_new(node, free_all_others, NULL);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(count_of(&called_back), 1);
	cgc_weak_free(many[MANY - 1]);
	many[MANY - 1] = NULL;
}

static struct cgc_weak *made_in_callback;

static void make_another(UNUSED struct cgc_weak *weak, void *argument)
{
	struct node *other = argument;
	struct node *fresh = make_ring(2);
	made_in_callback = cgc_weak_new(fresh, count_callback, NULL);
	MUST(made_in_callback != NULL);
	cgc_store_consume(other, &other->slot[0], fresh);
	count_up(&called_back);
}

/* CPython: callbacks_on_callback, callback_gcs */
static void a_callback_may_use_the_library(UNUSED void **state)
{
	struct node *other = make(2), *node = make(1);
	cgc_publish(other);
	struct cgc_weak *weak = cgc_weak_new(node, make_another, other);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(count_of(&called_back), 1);
	assert_int_equal(live(), 3);
	assert_true(is_alive(made_in_callback));
	cgc_store(other, &other->slot[0], NULL);
	assert_int_equal(cgc_collect(2), 2);
	assert_int_equal(count_of(&called_back), 2);
	cgc_weak_free(made_in_callback);
	cgc_weak_free(weak);
	cgc_release(other);
}

/* A weak reference counts for nothing, but an upgraded one does. */
static void a_ring_lives_while_an_upgraded_reference_holds_it(UNUSED void **state)
{
	struct node *ring = make_ring(4);
	struct cgc_weak *weak = weak_to(peek(ring, 0));
	cgc_release(ring);
	struct node *second = cgc_weak_load(weak);
	assert_non_null(second);
	for (int i = 0; i < 5; i++)
		assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(second->id, 1);
	assert_int_equal(live(), 4);
	cgc_release(second);
	assert_int_equal(cgc_collect(2), 4);
	assert_null(cgc_weak_load(weak));
	cgc_weak_free(weak);
}

/* Leaves cannot be in a ring, but they can die. */
static void an_acyclic_object_may_have_weak_references(UNUSED void **state)
{
	struct leaf *leaf = cgc_new(&leaf_type);
	struct cgc_weak *weak = cgc_weak_new(leaf, count_callback, NULL);
	assert_true(is_alive(weak));
	cgc_release(leaf);
	cgc_collect(2);
	assert_int_equal(count_of(&called_back), 1);
	assert_null(cgc_weak_load(weak));
	cgc_weak_free(weak);
}

static void a_weak_reference_to_an_immortal_object_always_answers(UNUSED void **state)
{
	struct node *node = make(1);
	struct cgc_weak *before = weak_to(node);
	cgc_immortalize(node);
	live_before++;
	struct cgc_weak *after = weak_to(node);
	cgc_collect(2);
	assert_ptr_equal(cgc_weak_load(before), node);
	assert_ptr_equal(cgc_weak_load(after), node);
	cgc_weak_free(before);
	cgc_weak_free(after);
	assert_int_equal(count_of(&called_back), 0);
}

static void *make_weak_and_end(void *argument)
{
	struct node *node = argument;
	return cgc_weak_new(node, count_callback, NULL);
}

static void a_weak_reference_outlives_the_thread_that_made_it(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_publish(node);
	struct cgc_weak *weak = in_thread(make_weak_and_end, node);
	assert_true(is_alive(weak));
	cgc_release(node);
	cgc_collect(2);
	assert_null(cgc_weak_load(weak));
	assert_int_equal(count_of(&called_back), 1);
	cgc_weak_free(weak);
}

/* Owner and others load while the last reference goes. */
static struct cgc_weak *raced;

static void *load_often(void *argument)
{
	int times = *(int *)argument;
	meet(&barrier);
	for (int i = 0; i < times; i++) {
		struct node *node = cgc_weak_load(raced);
		if (node == NULL)
			break;
		node_check(node);
		cgc_release(node);
	}
	return NULL;
}

/* Each upgrade may put death off, so they come to an end. */
static void upgrades_race_with_the_last_release(UNUSED void **state)
{
	enum { ROUNDS = 300 };
	pthread_barrier_init(&barrier, NULL, 3);
	for (int round = 0; round < ROUNDS; round++) {
		int times = round % 40 * 5;
		struct node *node = round % 2 == 0 ? make(1) : make_ring(3);
		raced = weak_to(node);
		pthread_t one = thread_start(load_often, &times), other = thread_start(load_often, &times);
		meet(&barrier);
		cgc_release(node);
		cgc_collect(2);
		thread_join(one);
		thread_join(other);
		cgc_collect(2);
		assert_null(cgc_weak_load(raced));
		assert_int_equal(count_of(&called_back), round + 1);
		assert_int_equal(live(), 0);
		cgc_weak_free(raced);
	}
	pthread_barrier_destroy(&barrier);
}

/* One of the members keeps the others: the window that condemned them all must give them back. */
static void *hold_through_upgrade(UNUSED void *argument)
{
	meet(&barrier);
	struct node *node = cgc_weak_load(raced);
	meet(&barrier);
	if (node != NULL) {
		struct node *member = node;
		for (int i = 0; i < 50; i++) {
			node_check(member);
			member = peek(member, 0);
		}
		MUST(member == node);
		cgc_release(node);
	}
	return NULL;
}

static void an_upgrade_saves_a_whole_ring_or_finds_it_dead(UNUSED void **state)
{
	enum { ROUNDS = 200 };
	pthread_barrier_init(&barrier, NULL, 2);
	for (int round = 0; round < ROUNDS; round++) {
		struct node *ring = make_ring(50);
		raced = weak_to(ring);
		pthread_t thread = thread_start(hold_through_upgrade, NULL);
		cgc_release(ring);
		meet(&barrier);
		long collected = cgc_collect(2);
		meet(&barrier);
		thread_join(thread);
		if (collected == 0)
			collected = cgc_collect(2);
		assert_int_equal(collected, 50);
		assert_int_equal(count_of(&called_back), round + 1);
		assert_null(cgc_weak_load(raced));
		cgc_weak_free(raced);
		assert_int_equal(live(), 0);
	}
	pthread_barrier_destroy(&barrier);
}

/* A cache that does not keep what is in it. */
static void weak_references_by_the_thousand_are_all_cleared(UNUSED void **state)
{
	enum { ITEMS = 5000 };
	static struct cgc_weak *cache[ITEMS];
	struct array *array = cgc_new_n(&array_type, ITEMS);
	for (int i = 0; i < ITEMS; i++) {
		struct node *node = i % 2 == 0 ? make_ring(2) : make(i);
		cache[i] = weak_to(node);
		cgc_store_consume(array, &array->items[i], node);
	}
	for (int i = 0; i < ITEMS; i++)
		assert_true(is_alive(cache[i]));
	for (int i = 0; i < ITEMS; i += 3)
		cgc_store(array, &array->items[i], NULL);
	cgc_collect(2);
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(is_alive(cache[i]), i % 3 != 0);
	cgc_store_consume(CGC_ROOT, &root, make(1));
	cgc_release(array);
	cgc_collect(2);
	cgc_collect(2);
	assert_int_equal(count_of(&called_back), ITEMS);
	for (int i = 0; i < ITEMS; i++)
		cgc_weak_free(cache[i]);
	cgc_store(CGC_ROOT, &root, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_weak_reference_answers_the_living_object_owned),
		TEST(making_a_weak_reference_publishes),
		TEST(a_weak_reference_answers_null_after_every_death),
		TEST(callbacks_run_once_and_the_most_recent_first),
		TEST(all_weak_references_to_a_ring_answer_null_before_its_first_callback),
		TEST(a_freed_weak_reference_is_not_called_back),
		TEST(weak_references_may_be_freed_in_any_order),
		TEST(a_callback_may_free_its_weak_reference),
		TEST(a_callback_may_free_the_other_weak_references),
		TEST(a_callback_may_use_the_library),
		TEST(a_ring_lives_while_an_upgraded_reference_holds_it),
		TEST(an_acyclic_object_may_have_weak_references),
		TEST(a_weak_reference_to_an_immortal_object_always_answers),
		TEST(a_weak_reference_outlives_the_thread_that_made_it),
		TEST(upgrades_race_with_the_last_release),
		TEST(an_upgrade_saves_a_whole_ring_or_finds_it_dead),
		TEST(weak_references_by_the_thousand_are_all_cleared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
