/* SPDX-License-Identifier: MIT
 *
 * What the detector must not take for garbage although every reference it sees is in a field: an object whose
 * owner counts it up in local meanwhile, and one that somebody else is about to find dead by counting.
 */
#include "hold.h"

/* The reference that A counts goes into the object itself, by another thread. */
static void close_ring(int i)
{
	struct node *node = handle[i];
	handle[i] = NULL;
	cgc_store_consume(node, &node->slot[0], node);
}

/* A: has made the object, borrows it, and counts it up after the copy: only local shows that. */
static void what_its_owner_counts_up_lives(UNUSED void **state)
{
	act(ROLE_A, make_owned, 0);
	store_root(0);
	act(ROLE_B, close_ring, 0);
	look_until("window.copy_due", 1);
	act(ROLE_A, borrow_root, 0);
	clear_root(0);
	go_to(ROLE_DETECTOR, "verdict.condemned");
	act(ROLE_A, retain_borrowed, 0);
	act(ROLE_A, leave, 0);
	end_look();
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[0], 0);
	assert_int_equal(cgc_reference_count(handle[0]), 2);
	act(ROLE_A, release_handle, 0);
	assert_ended(1, 0);
}

/* A: has taken the entry, and not yet looked at the object, whose count is zero. Detector: a look at everything. */
static void what_is_queued_dies_by_its_entry(UNUSED void **state)
{
	make_owned(0);
	put_root(0);
	park_detector();
	act(ROLE_A, clear_root, 0);
	pass_grace();
	hold_at(ROLE_A, "pending.taken", 1);
	ask(ROLE_A, settle_own, 0);
	wait_held(ROLE_A);
	let_go(ROLE_DETECTOR);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 0);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_ended_by_count(1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(what_its_owner_counts_up_lives),
		SCENE(what_is_queued_dies_by_its_entry),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
