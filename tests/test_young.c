/* SPDX-License-Identifier: MIT
 *
 * The local collection's own accounts: what counts as young, and that a collection without memory has not been.
 */
#include "heap.h"
#include "pass.h"

static void plain_objects_that_die_count_no_more(UNUSED void **state)
{
	size_t before[3], count[3];
	cgc_collect(2);
	cgc_get_count(before);
	for (int i = 0; i < 100; i++)
		cgc_release(make_of(&plain_type, i));
	cgc_get_count(count);
	assert_int_equal(count[0], before[0]);
	for (int i = 0; i < 100; i++)
		cgc_release(cgc_new(&leaf_type)); /* of no cyclic type */
	cgc_get_count(count);
	assert_int_equal(count[0], before[0]);
}

#define MANY 20000

/* Its array has to grow for so many, and cannot. */
static void a_collection_without_memory_leaves_everything_as_it_was(UNUSED void **state)
{
	cgc_release(make_ring(3));
	assert_int_equal(cgc_collect(0), 3);
	struct node *chain = make_chain(MANY);
	cgc_release(make_ring(MANY));
	cgc__memory_fail_at(2);
	assert_int_equal(cgc_collect(0), 0);
	cgc__memory_fail_at(0);
	assert_int_equal(live(), 2 * MANY);
	assert_int_equal(cgc_generation(chain), 0);
	/* Publication reaches all of it. */
	cgc_publish(chain);
	int length = 0;
	for (struct node *node = chain; node != NULL; node = peek(node, 0), length++) {
		node_check(node);
		assert_int_equal(cgc_generation(node), 2);
		assert_int_equal(cgc_reference_count(node), 1);
	}
	assert_int_equal(length, MANY);
	assert_int_equal(cgc_collect(0), MANY);
	cgc_release(chain);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain_objects_that_die_count_no_more),
		TEST(a_collection_without_memory_leaves_everything_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
