/* SPDX-License-Identifier: MIT
 *
 * Two counts of one object, local and shared: the merge, the revocation of a bias, and references that go from
 * the one to the other. docs/ordering.md, pairs COUNT and REVOKE.
 */
#include "hold.h"

/* handle[1] is a second handle that its owner has counted. */
static void make_owned_twice(UNUSED int unused)
{
	make_owned(0);
	handle[1] = cgc_retain(handle[0]);
}

static void retain_0(int i)
{
	handle[i] = cgc_retain(handle[0]);
}

static void transfer_0(UNUSED int unused)
{
	cgc_transfer(handle[0]);
}

/* A: owner, has looked at the bias, and is about to write local. B has released a handle of A's, so the
 * detector takes the bias away; it adds local to shared only when A's section is over. */
static void a_revocation_waits_for_what_the_owner_is_counting(UNUSED void **state)
{
	act(ROLE_A, make_owned_twice, 0);
	park_detector();
	act(ROLE_B, release_handle, 1);
	pass_grace();
	hold_at(ROLE_A, "count.local_up_due", 1);
	ask(ROLE_A, retain_0, 2);
	wait_held(ROLE_A);
	assert_cannot_go_to(ROLE_DETECTOR, "pending.revoked");
	let_go(ROLE_A);
	done(ROLE_A);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	act(ROLE_C, collect, 2);
	assert_int_equal(cgc_reference_count(handle[0]), 2);
	act(ROLE_A, release_handle, 0);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[2], 0);
	act(ROLE_A, release_handle, 2);
	assert_ended_by_count(1, 0);
}

/* B: settles the entry, has raised shared, and not yet emptied local. The total is too high by then, never too
 * low, and the detector sees no garbage. */
static void a_revocation_raises_before_it_lowers(UNUSED void **state)
{
	act(ROLE_A, make_owned_twice, 0);
	park_detector();
	act(ROLE_B, release_handle, 1);
	pass_grace();
	act(ROLE_B, settle_own, 0); /* takes the bias away, and queues it anew */
	pass_grace();
	act(ROLE_B, settle_own, 0);
	pass_grace();
	hold_at(ROLE_B, "pending.revoke_raised", 1);
	ask(ROLE_B, settle_own, 0);
	wait_held(ROLE_B);
	assert_true(cgc_reference_count(handle[0]) >= 1);
	let_go(ROLE_DETECTOR);
	act(ROLE_C, collect, 2);
	let_go(ROLE_B);
	done(ROLE_B);
	assert_int_equal(cgc_reference_count(handle[0]), 1);
	assert_intact(handle[0], 0);
	act(ROLE_A, release_handle, 0);
	assert_ended_by_count(1, 0);
}

/* A: has seen that the object is biased to it, and is not yet in the section that protects this. B has released a
 * handle of A's, and the bias is taken away meanwhile: A looks again, or it counts down in a word that is frozen. */
static void a_bias_seen_outside_of_the_section_is_looked_at_again(UNUSED void **state)
{
	act(ROLE_A, make_owned_twice, 0);
	act(ROLE_A, retain_0, 2);
	park_detector(); /* or the bias may be gone before A sees it */
	act(ROLE_B, release_handle, 1);
	hold_at(ROLE_A, "count.bias_seen", 1);
	ask(ROLE_A, release_handle, 0);
	wait_held(ROLE_A);
	let_go(ROLE_DETECTOR);
	act(ROLE_C, collect, 2);
	assert_int_equal(cgc_reference_count(handle[2]), 2);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(cgc_reference_count(handle[2]), 1);
	act(ROLE_A, release_handle, 2);
	assert_ended_by_count(1, 0);
}

/* B has released a handle of A's: below zero. A takes a reference out of a root, so that its last handle is
 * the last in local too. A: local is zero, and shared does not say so yet. Detector: takes the bias away,
 * waits for A's section. */
static void an_owner_may_merge_what_is_being_revoked(UNUSED void **state)
{
	act(ROLE_A, make_owned_twice, 0);
	park_detector();
	act(ROLE_B, release_handle, 1);
	handle[3] = handle[0];
	act(ROLE_A, store_root, 3);
	act(ROLE_A, take_root, 3);
	act(ROLE_A, release_handle, 3);
	pass_grace();
	hold_at(ROLE_A, "count.merge_local_zero", 1);
	ask(ROLE_A, release_handle, 0);
	wait_held(ROLE_A);
	assert_cannot_go_to(ROLE_DETECTOR, "collector.round_waited");
	assert_int_equal(count_of(&destroyed), 0);
	let_go(ROLE_A);
	done(ROLE_A);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(1, 0);
}

/* A: its last local reference is gone, and shared does not say so yet. B: takes the last shared one away,
 * which leaves zero in a word that is not merged: nobody's business. A, merging, finds the zero. */
static void who_merges_finds_the_zero_that_others_left(UNUSED void **state)
{
	act(ROLE_A, make_owned, 0);
	act(ROLE_A, store_root, 0);
	hold_at(ROLE_A, "count.merge_local_zero", 1);
	ask(ROLE_A, release_handle, 0);
	wait_held(ROLE_A);
	act(ROLE_B, clear_root, 0);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_ended_by_count(1, 0);
}

/* One step later: B finds the zero, and A makes a suspect of what B has queued. */
static void who_comes_after_the_merge_finds_the_zero(UNUSED void **state)
{
	act(ROLE_A, make_owned, 0);
	act(ROLE_A, store_root, 0);
	hold_at(ROLE_A, "count.merge_flagged", 1);
	ask(ROLE_A, release_handle, 0);
	wait_held(ROLE_A);
	act(ROLE_B, clear_root, 0);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_ended_by_count(1, 0);
}

/* A: moves its handle from local to shared, in between it is counted twice, not never. */
static void a_transfer_raises_before_it_lowers(UNUSED void **state)
{
	act(ROLE_A, make_owned, 0);
	hold_at(ROLE_A, "count.transfer_raised", 1);
	ask(ROLE_A, transfer_0, 0);
	wait_held(ROLE_A);
	assert_int_equal(cgc_reference_count(handle[0]), 2);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(cgc_reference_count(handle[0]), 1);
	act(ROLE_B, release_handle, 0);
	assert_ended_by_count(1, 0);
}

/* A: has stored it, and the director's handle is the other reference. B takes the stored one out and releases
 * it, the director releases its own: neither may find a count that A has not raised yet. */
static void a_reference_is_counted_before_it_is_placed(UNUSED void **state)
{
	make_owned(0);
	handle[1] = handle[0];
	hold_at(ROLE_A, "slot.store_swapped", 1);
	ask(ROLE_A, store_root, 1);
	wait_held(ROLE_A);
	act(ROLE_B, take_root, 1);
	assert_int_equal(cgc_reference_count(handle[0]), 2);
	act(ROLE_B, release_handle, 1);
	assert_int_equal(cgc_reference_count(handle[0]), 1);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_intact(handle[0], 0);
	release_handle(0);
	assert_ended_by_count(1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(a_revocation_waits_for_what_the_owner_is_counting),
		SCENE(a_revocation_raises_before_it_lowers),
		SCENE(a_bias_seen_outside_of_the_section_is_looked_at_again),
		SCENE(an_owner_may_merge_what_is_being_revoked),
		SCENE(who_merges_finds_the_zero_that_others_left),
		SCENE(who_comes_after_the_merge_finds_the_zero),
		SCENE(a_transfer_raises_before_it_lowers),
		SCENE(a_reference_is_counted_before_it_is_placed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
