/* SPDX-License-Identifier: MIT
 *
 * An object with more references than its header can count is never freed, rather than freed early.
 */
#include "pass.h"

#define MORE_THAN_FIT (36 * 1000000) /* 2^24 are counted, 2^25 would overflow */

static void *retain_and_release_as_often(void *node)
{
	for (int i = 0; i < MORE_THAN_FIT; i++)
		cgc_retain(node);
	for (int i = 0; i < MORE_THAN_FIT; i++)
		cgc_release(node);
	return NULL;
}

static void too_many_references_make_an_object_immortal(UNUSED void **state)
{
	if (IS_SANITIZED)
		skip(); /* takes minutes */
	struct node *node = make(1);
	cgc_transfer(node);
	live_before++; /* for the rest of the program */
	in_thread(retain_and_release_as_often, node);
	node_check(node);
	cgc_release(node);
	pass_grace_periods();
	assert_int_equal(cgc_collect(2), 0);
	node_check(node);
	assert_int_equal(count_of(&destroyed), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(too_many_references_make_an_object_immortal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
