/* SPDX-License-Identifier: MIT
 *
 * References: who owns what after each call, in private and in published objects and in roots, for objects,
 * NULL and tagged immediates.
 */
#include <semaphore.h>

#include "node.h"

static node_ref root;

#define IMMEDIATE(n) ((struct node *)(((uintptr_t)(n) << 1) | 1))

/* The three places that a field can be in; each test runs in all of them. */
enum place { PRIVATE, PUBLISHED, ROOT };

struct field {
	struct node *object; /* CGC_ROOT for the root */
	node_ref *field;
};

static struct field field_in(enum place place)
{
	if (place == ROOT)
		return (struct field){.object = CGC_ROOT, .field = &root};
	struct node *node = make(1000);
	if (place == PUBLISHED)
		cgc_publish(node);
	return (struct field){.object = node, .field = &node->slot[0]};
}

static void field_done(struct field field)
{
	if (field.object == CGC_ROOT)
		cgc_store(CGC_ROOT, field.field, NULL);
	else
		cgc_release(field.object);
}

#define FOR_EACH_PLACE(place) for (enum place place = PRIVATE; place <= ROOT; place++)

static void a_new_object_has_one_reference(UNUSED void **state)
{
	struct node *node = make(1);
	assert_int_equal(cgc_reference_count(node), 1);
	assert_int_equal(cgc_generation(node), 0);
	assert_false(cgc_is_finalized(node));
	assert_int_equal(live(), 1);
	cgc_release(node);
	assert_int_equal(count_of(&destroyed), 1);
	assert_int_equal(live(), 0);
}

static void retain_returns_its_argument_and_counts(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		struct node *node = make(1);
		if (published)
			cgc_publish(node);
		struct node *same = cgc_retain(node);
		assert_ptr_equal(same, node);
		assert_int_equal(cgc_reference_count(node), 2);
		cgc_release(node);
		assert_int_equal(cgc_reference_count(node), 1);
		assert_int_equal(count_of(&destroyed), published);
		cgc_release(same);
		cgc_collect(2);
		assert_int_equal(count_of(&destroyed), published + 1);
	}
}

static void nothing_and_immediates_need_no_counting(UNUSED void **state)
{
	struct node *nothing = NULL;
	assert_null(cgc_retain(nothing));
	cgc_release(nothing);
	assert_ptr_equal(cgc_retain(IMMEDIATE(21)), IMMEDIATE(21));
	cgc_release(IMMEDIATE(21));
	cgc_release(IMMEDIATE(UINTPTR_MAX));
}

static void a_store_adds_a_reference_of_its_own(UNUSED void **state)
{
	FOR_EACH_PLACE(place)
	{
		struct field at = field_in(place);
		struct node *node = make(1);
		cgc_store(at.object, at.field, node);
		assert_int_equal(cgc_reference_count(node), 2);
		assert_int_equal(cgc_generation(node), place == PRIVATE ? 0 : 2);
		cgc_release(node);
		assert_int_equal(cgc_reference_count(node), 1);
		node_check(node);
		field_done(at);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

static void a_consuming_store_takes_the_callers_reference(UNUSED void **state)
{
	FOR_EACH_PLACE(place)
	{
		struct field at = field_in(place);
		struct node *node = make(1);
		cgc_store_consume(at.object, at.field, node);
		assert_int_equal(cgc_reference_count(node), 1);
		assert_int_equal(cgc_generation(node), place == PRIVATE ? 0 : 2);
		field_done(at);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

static void a_store_releases_the_old_value(UNUSED void **state)
{
	FOR_EACH_PLACE(place)
	{
		struct field at = field_in(place);
		count_clear(&destroyed);
		cgc_store_consume(at.object, at.field, make(1));
		cgc_store_consume(at.object, at.field, make(2));
		cgc_collect(2);
		assert_int_equal(count_of(&destroyed), 1);
		cgc_store(at.object, at.field, NULL);
		cgc_collect(2);
		assert_int_equal(count_of(&destroyed), 2);
		field_done(at);
		cgc_collect(2);
	}
}

static void storing_what_is_already_there_changes_nothing(UNUSED void **state)
{
	FOR_EACH_PLACE(place)
	{
		struct field at = field_in(place);
		cgc_store_consume(at.object, at.field, make(7));
		cgc_read_lock();
		/* The field's own reference is the only one. */
		struct node *node = cgc_borrow(at.field);
		cgc_store(at.object, at.field, node);
		cgc_read_unlock();
		assert_int_equal(cgc_reference_count(node), 1);
		node_check(node);
		assert_int_equal(node->id, 7);
		cgc_store_consume(at.object, at.field, cgc_retain(node));
		assert_int_equal(cgc_reference_count(node), 1);
		field_done(at);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

static void a_load_is_owned(UNUSED void **state)
{
	FOR_EACH_PLACE(place)
	{
		struct field at = field_in(place);
		assert_null(cgc_load(at.object, at.field));
		struct node *node = make(1);
		cgc_store_consume(at.object, at.field, node);
		struct node *loaded = cgc_load(at.object, at.field);
		assert_ptr_equal(loaded, node);
		assert_int_equal(cgc_reference_count(node), 2);
		field_done(at);
		cgc_collect(2);
		node_check(loaded);
		assert_int_equal(cgc_reference_count(loaded), 1);
		cgc_release(loaded);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

static void an_exchange_moves_references_without_counting(UNUSED void **state)
{
	FOR_EACH_PLACE(place)
	{
		struct field at = field_in(place);
		struct node *one = make(1), *two = make(2);
		assert_null(cgc_exchange(at.object, at.field, one));
		assert_int_equal(cgc_reference_count(one), 1);
		struct node *old = cgc_exchange(at.object, at.field, two);
		assert_ptr_equal(old, one);
		assert_int_equal(cgc_reference_count(one), 1);
		assert_int_equal(cgc_reference_count(two), 1);
		old = cgc_exchange(at.object, at.field, one);
		assert_ptr_equal(old, two);
		cgc_release(two);
		old = cgc_exchange(at.object, at.field, NULL);
		assert_ptr_equal(old, one);
		cgc_release(one);
		field_done(at);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

static void a_compare_exchange_stores_only_where_it_matches(UNUSED void **state)
{
	FOR_EACH_PLACE(place)
	{
		struct field at = field_in(place);
		struct node *one = make(1), *two = make(2);
		assert_false(cgc_compare_exchange(at.object, at.field, one, two));
		assert_int_equal(cgc_reference_count(one), 1);
		assert_int_equal(cgc_reference_count(two), 1);
		assert_true(cgc_compare_exchange(at.object, at.field, NULL, one));
		assert_int_equal(cgc_reference_count(one), 2);
		assert_false(cgc_compare_exchange(at.object, at.field, two, NULL));
		assert_true(cgc_compare_exchange(at.object, at.field, one, two));
		assert_int_equal(cgc_reference_count(one), 1);
		assert_int_equal(cgc_reference_count(two), 2);
		assert_true(cgc_compare_exchange(at.object, at.field, two, two));
		assert_int_equal(cgc_reference_count(two), 2);
		assert_true(cgc_compare_exchange(at.object, at.field, two, NULL));
		assert_int_equal(cgc_reference_count(two), 1);
		assert_null(cgc_load(at.object, at.field));
		cgc_release(one);
		cgc_release(two);
		field_done(at);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

static void immediates_are_stored_as_they_are(UNUSED void **state)
{
	FOR_EACH_PLACE(place)
	{
		struct field at = field_in(place);
		struct node *node = make(1);
		cgc_store(at.object, at.field, IMMEDIATE(1));
		assert_ptr_equal(cgc_load(at.object, at.field), IMMEDIATE(1));
		cgc_store_consume(at.object, at.field, IMMEDIATE(2));
		cgc_read_lock();
		assert_ptr_equal(cgc_borrow(at.field), IMMEDIATE(2));
		cgc_read_unlock();
		assert_ptr_equal(cgc_exchange(at.object, at.field, IMMEDIATE(3)), IMMEDIATE(2));
		assert_false(cgc_compare_exchange(at.object, at.field, IMMEDIATE(4), node));
		assert_true(cgc_compare_exchange(at.object, at.field, IMMEDIATE(3), node));
		assert_int_equal(cgc_reference_count(node), 2);
		assert_true(cgc_compare_exchange(at.object, at.field, node, IMMEDIATE(5)));
		assert_int_equal(cgc_reference_count(node), 1);
		/* Neither publishing nor a collection looks behind one. */
		if (at.object != CGC_ROOT)
			cgc_publish(at.object);
		assert_int_equal(cgc_collect(2), 0);
		assert_ptr_equal(cgc_load(at.object, at.field), IMMEDIATE(5));
		cgc_release(node);
		field_done(at);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

static void an_object_may_refer_to_itself(UNUSED void **state)
{
	FOR_EACH_PLACE(place)
	{
		if (place == ROOT)
			continue;
		struct field at = field_in(place);
		cgc_store(at.object, at.field, at.object);
		assert_int_equal(cgc_reference_count(at.object), 2);
		cgc_store(at.object, at.field, NULL);
		assert_int_equal(cgc_reference_count(at.object), 1);
		field_done(at);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

/* Dropping the field that holds the container itself. */
static void a_store_may_drop_the_last_reference_to_a_whole_structure(UNUSED void **state)
{
	struct node *chain = make_chain(1000);
	struct node *holder = make(0);
	cgc_store_consume(holder, &holder->slot[0], chain);
	cgc_store(holder, &holder->slot[0], NULL);
	assert_int_equal(count_of(&destroyed), 1000);
	cgc_release(holder);
}

static void a_borrowed_pointer_is_valid_until_its_section_ends(UNUSED void **state)
{
	cgc_store_consume(CGC_ROOT, &root, make(5));
	cgc_read_lock();
	struct node *node = cgc_borrow(&root);
	cgc_store(CGC_ROOT, &root, NULL);
	/* Freed memory is filled. */
	node_check(node);
	assert_int_equal(node->id, 5);
	assert_int_equal(count_of(&destroyed), 0);
	cgc_read_unlock();
	cgc_collect(2);
	assert_int_equal(count_of(&destroyed), 1);
}

static void sections_nest(UNUSED void **state)
{
	cgc_store_consume(CGC_ROOT, &root, make(5));
	cgc_read_lock();
	struct node *node = cgc_borrow(&root);
	cgc_read_lock();
	cgc_read_lock();
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_read_unlock();
	cgc_read_unlock();
	node_check(node);
	assert_int_equal(count_of(&destroyed), 0);
	cgc_read_unlock();
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

static sem_t borrowed, dropped;

static void *drop_the_root(UNUSED void *argument)
{
	while (sem_wait(&borrowed) != 0)
		continue;
	cgc_store(CGC_ROOT, &root, NULL);
	/* Whatever it does besides, the section of the other thread holds the memory. */
	for (int i = 0; i < 1000; i++) {
		struct node *node = make(i);
		cgc_publish(node);
		cgc_release(node);
	}
	sem_post(&dropped);
	return NULL;
}

static void a_section_holds_what_other_threads_drop(UNUSED void **state)
{
	sem_init(&borrowed, 0, 0);
	sem_init(&dropped, 0, 0);
	cgc_store_consume(CGC_ROOT, &root, make_chain(10));
	pthread_t thread = thread_start(drop_the_root, NULL);
	cgc_read_lock();
	struct node *node = cgc_borrow(&root);
	sem_post(&borrowed);
	while (sem_wait(&dropped) != 0)
		continue;
	int length = 0;
	for (; node != NULL; node = cgc_borrow(&node->slot[0])) {
		node_check(node);
		assert_int_equal(node->id, length++);
	}
	assert_int_equal(length, 10);
	cgc_read_unlock();
	thread_join(thread);
	cgc_collect(2);
	assert_int_equal(live(), 0);
	sem_destroy(&borrowed);
	sem_destroy(&dropped);
}

static void a_borrowed_pointer_may_be_retained_even_after_its_last_release(UNUSED void **state)
{
	sem_init(&borrowed, 0, 0);
	sem_init(&dropped, 0, 0);
	cgc_store_consume(CGC_ROOT, &root, make_chain(10));
	pthread_t thread = thread_start(drop_the_root, NULL);
	cgc_read_lock();
	struct node *node = cgc_borrow(&root);
	sem_post(&borrowed);
	while (sem_wait(&dropped) != 0)
		continue;
	node = cgc_retain(node);
	cgc_read_unlock();
	thread_join(thread);
	cgc_collect(2);
	assert_int_equal(live(), 10);
	assert_int_equal(cgc_reference_count(node), 1);
	for (struct node *next = node; next != NULL; next = peek(next, 0))
		node_check(next);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(live(), 0);
	sem_destroy(&borrowed);
	sem_destroy(&dropped);
}

/* Any memory of the program may be a root, also memory that comes and goes. */
static void roots_need_no_registration(UNUSED void **state)
{
	node_ref *roots = calloc(100, sizeof(*roots));
	assert_non_null(roots);
	for (int i = 0; i < 100; i++)
		cgc_store_consume(CGC_ROOT, &roots[i], make_ring(3));
	assert_int_equal(cgc_collect(2), 0);
	for (int i = 0; i < 100; i++) {
		cgc_read_lock();
		struct node *node = cgc_borrow(&roots[i]);
		assert_int_equal(cgc_generation(node), 2);
		node_check(node);
		cgc_read_unlock();
		cgc_store(CGC_ROOT, &roots[i], NULL);
	}
	free(roots);
	assert_int_equal(cgc_collect(2), 300);
	assert_int_equal(live(), 0);
}

static node_ref counter_root;

static void *exchange_many(UNUSED void *argument)
{
	for (int i = 0; i < 2000; i++) {
		struct node *old = cgc_exchange(CGC_ROOT, &counter_root, make(i));
		if (old != NULL)
			node_check(old);
		cgc_release(old);
	}
	return NULL;
}

/* Nobody gets a reference twice, and none is lost. */
static void exchanges_of_several_threads_are_atomic(UNUSED void **state)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(exchange_many, NULL);
	for (int i = 0; i < 4; i++)
		thread_join(threads[i]);
	cgc_store(CGC_ROOT, &counter_root, NULL);
	cgc_collect(2);
	assert_int_equal(count_of(&destroyed), 8000);
	assert_int_equal(live(), 0);
}

static void *push_many(UNUSED void *argument)
{
	for (int i = 0; i < 1000; i++) {
		struct node *node = make(i);
		for (;;) {
			struct node *head = cgc_load(CGC_ROOT, &counter_root);
			cgc_store_consume(node, &node->slot[0], head);
			/* The node holds the head, so the comparison is not open to ABA. */
			if (cgc_compare_exchange(CGC_ROOT, &counter_root, head, node))
				break;
		}
		cgc_release(node);
	}
	return NULL;
}

/* A stack by compare-and-exchange: every node is in it exactly once. */
static void compare_exchanges_of_several_threads_are_atomic(UNUSED void **state)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(push_many, NULL);
	for (int i = 0; i < 4; i++)
		thread_join(threads[i]);
	int length = 0;
	cgc_read_lock();
	for (struct node *node = cgc_borrow(&counter_root); node != NULL; node = cgc_borrow(&node->slot[0])) {
		node_check(node);
		length++;
	}
	cgc_read_unlock();
	assert_int_equal(length, 4000);
	assert_int_equal(live(), 4000);
	cgc_store(CGC_ROOT, &counter_root, NULL);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_object_has_one_reference),
		TEST(retain_returns_its_argument_and_counts),
		TEST(nothing_and_immediates_need_no_counting),
		TEST(a_store_adds_a_reference_of_its_own),
		TEST(a_consuming_store_takes_the_callers_reference),
		TEST(a_store_releases_the_old_value),
		TEST(storing_what_is_already_there_changes_nothing),
		TEST(a_load_is_owned),
		TEST(an_exchange_moves_references_without_counting),
		TEST(a_compare_exchange_stores_only_where_it_matches),
		TEST(immediates_are_stored_as_they_are),
		TEST(an_object_may_refer_to_itself),
		TEST(a_store_may_drop_the_last_reference_to_a_whole_structure),
		TEST(a_borrowed_pointer_is_valid_until_its_section_ends),
		TEST(sections_nest),
		TEST(a_section_holds_what_other_threads_drop),
		TEST(a_borrowed_pointer_may_be_retained_even_after_its_last_release),
		TEST(roots_need_no_registration),
		TEST(exchanges_of_several_threads_are_atomic),
		TEST(compare_exchanges_of_several_threads_are_atomic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
