/* SPDX-License-Identifier: MIT
 *
 * Weak references upgraded while their objects die, by counting and by the detector's verdict: one of the two
 * wins, for the whole of a ring. docs/ordering.md, pairs DEAD, HAS_WEAK, UPGRADE, CONDEMNED and VERDICT.
 */
#include "hold.h"

static void make_weak_in_root(void)
{
	handle[0] = make(0);
	weak[0] = cgc_weak_new(handle[0], count_callback, NULL);
	put_root(0);
}

/* Dead by counting as soon as the detector settles A's entry; it stops at that point. */
static void settle_until(const char *point)
{
	park_detector();
	act(ROLE_A, clear_root, 0);
	pass_grace();
	go_to(ROLE_DETECTOR, point);
}

/* Detector: zero for a whole grace period, about to set DEAD. B: upgrades. */
static void an_upgrade_before_death_saves_the_object(UNUSED void **state)
{
	make_weak_in_root();
	settle_until("pending.zero_due");
	act(ROLE_B, upgrade, 0);
	let_go(ROLE_DETECTOR);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[0], 0);
	assert_true(is_alive(weak[0]));
	act(ROLE_B, release_handle, 0);
	assert_ended_by_count(1, 0);
	assert_int_equal(count_of(&called_back), 1);
}

/* B: has read the word, about to count up. Detector: DEAD. */
static void an_upgrade_that_death_overtakes_finds_nothing(UNUSED void **state)
{
	make_weak_in_root();
	settle_until("pending.zero_due");
	hold_at(ROLE_B, "weak.upgrade_due", 1);
	ask(ROLE_B, upgrade, 0);
	wait_held(ROLE_B);
	go_to(ROLE_DETECTOR, "pending.zero_dead");
	let_go(ROLE_B);
	done(ROLE_B);
	assert_null(handle[0]);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(1, 0);
	assert_int_equal(count_of(&called_back), 1);
}

/* DEAD, and the weak reference still points to it. */
static void an_upgrade_after_death_finds_nothing(UNUSED void **state)
{
	make_weak_in_root();
	settle_until("pending.zero_dead");
	act(ROLE_B, upgrade, 0);
	assert_null(handle[0]);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(1, 0);
	assert_int_equal(count_of(&called_back), 1);
}

static void make_weak_of_borrowed(int i)
{
	weak[i] = cgc_weak_new(borrowed[i], count_callback, NULL);
}

/* The count is zero, the entry queued; B, who has borrowed it, makes a weak reference. */
static void a_weak_reference_made_at_the_last_moment_is_cleared(UNUSED void **state)
{
	handle[0] = make(0);
	put_root(0);
	act(ROLE_B, borrow_root, 0);
	act(ROLE_A, clear_root, 0);
	act(ROLE_B, make_weak_of_borrowed, 0);
	act(ROLE_B, leave, 0);
	act(ROLE_C, collect, 2);
	assert_null(cgc_weak_load(weak[0]));
	assert_ended_by_count(1, 0);
	assert_int_equal(count_of(&called_back), 1);
}

/* ---------------------------------------------------------------------------------------------
 * The verdict
 * ------------------------------------------------------------------------------------------- */

static struct node *make_weak_ring_of(struct cgc_type *type)
{
	struct node *first = make_ring_of(type, 2), *second = peek(first, 0);
	weak[0] = cgc_weak_new(first, count_callback, NULL);
	weak[1] = cgc_weak_new(second, count_callback, NULL);
	return first;
}

static void make_weak_ring(void)
{
	cgc_release(make_weak_ring_of(&node_type));
}

static void assert_ring_lives(int i)
{
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[i], i);
	assert_intact(peek(handle[i], 0), 1 - i);
}

static void assert_ring_ended(int finalizations)
{
	assert_ended(2, finalizations);
	assert_int_equal(count_of(&called_back), 2);
}

/* Condemned; B upgrades one, and the ring lives. */
static void an_upgrade_before_the_second_look_saves_the_ring(UNUSED void **state)
{
	make_weak_ring();
	look_until("verdict.condemned", 1);
	act(ROLE_B, upgrade, 0);
	end_look();
	assert_ring_lives(0);
	assert_true(is_alive(weak[1]));
	act(ROLE_B, release_handle, 0);
	assert_ring_ended(0);
}

/* The second look is over, nothing has changed; B upgrades. The verdict is not the detector's any more, and it
 * looks again: in this look still. */
static void an_upgrade_before_the_commit_saves_the_ring(UNUSED void **state)
{
	uint64_t aborted = stats_now().windows_aborted;
	make_weak_ring();
	look_until("verdict.commit_due", 1);
	act(ROLE_B, upgrade, 0);
	end_look();
	assert_ring_lives(0);
	act(ROLE_B, release_handle, 0);
	assert_ring_ended(0);
	assert_int_equal(stats_now().windows_aborted - aborted, 0);
}

/* B and A: both have read PENDING. B aborts, A finds that done. */
static void two_upgrades_of_one_ring_both_succeed(UNUSED void **state)
{
	make_weak_ring();
	look_until("verdict.commit_due", 1);
	hold_at(ROLE_A, "weak.verdict_read", 1);
	hold_at(ROLE_B, "weak.verdict_read", 1);
	ask(ROLE_A, upgrade, 0);
	ask(ROLE_B, upgrade, 1);
	wait_held(ROLE_A);
	wait_held(ROLE_B);
	let_go(ROLE_B);
	done(ROLE_B);
	let_go(ROLE_A);
	done(ROLE_A);
	end_look();
	assert_ring_lives(0);
	assert_ring_lives(1);
	act(ROLE_A, release_handle, 0);
	act(ROLE_C, collect, 2);
	assert_ring_lives(1);
	act(ROLE_B, release_handle, 1);
	assert_ring_ended(0);
}

/* B: has read PENDING. Detector: commits. The ring is dead, for B and for A, who asks for the other one. */
static void an_upgrade_that_the_commit_overtakes_finds_nothing(UNUSED void **state)
{
	make_weak_ring();
	look_until("verdict.commit_due", 1);
	hold_at(ROLE_B, "weak.verdict_read", 1);
	ask(ROLE_B, upgrade, 0);
	wait_held(ROLE_B);
	go_to(ROLE_DETECTOR, "verdict.committed");
	let_go(ROLE_B);
	done(ROLE_B);
	act(ROLE_A, upgrade, 1);
	assert_null(handle[0]);
	assert_null(handle[1]);
	end_look();
	assert_ring_ended(0);
}

/* B: about to count up a word that was not condemned when it was read. Detector: condemns. */
static void an_upgrade_that_meets_the_flag_late_saves_the_ring(UNUSED void **state)
{
	make_weak_ring();
	look_until("window.copy_due", 1);
	hold_at(ROLE_B, "weak.upgrade_due", 1);
	ask(ROLE_B, upgrade, 0);
	wait_held(ROLE_B);
	go_to(ROLE_DETECTOR, "verdict.condemned");
	let_go(ROLE_B);
	done(ROLE_B);
	end_look();
	assert_ring_lives(0);
	act(ROLE_B, release_handle, 0);
	assert_ring_ended(0);
}

static void borrow_next_of_0(UNUSED int unused)
{
	cgc_read_lock();
	borrowed[3] = cgc_borrow(&handle[0]->slot[0]);
}

/* Two rings, one look. A counts a member of the first up that it had borrowed: that ring is saved, the other
 * is dead. B: has read that the first is condemned, and PENDING. Detector: clears the flag of the saved,
 * commits. COMMITTED does not mean that B's object is dead. */
static void an_upgrade_of_what_the_second_look_saved_succeeds(UNUSED void **state)
{
	handle[0] = make_weak_ring_of(&node_type);
	put_root(0);
	struct node *other = make_ring_of(&node_type, 2);
	cgc_publish(other);
	cgc_release(other);
	act(ROLE_A, take_root, 0);
	look_until("window.copy_due", 1);
	act(ROLE_A, borrow_next_of_0, 0);
	act(ROLE_A, release_handle, 0);
	go_to(ROLE_DETECTOR, "verdict.condemned");
	act(ROLE_A, retain_borrowed, 3);
	act(ROLE_A, leave, 0);
	go_to(ROLE_DETECTOR, "verdict.second_look_due");
	hold_at(ROLE_B, "weak.verdict_read", 1);
	ask(ROLE_B, upgrade, 0);
	wait_held(ROLE_B);
	go_to(ROLE_DETECTOR, "verdict.committed");
	let_go(ROLE_B);
	done(ROLE_B);
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[0], 0);
	end_look();
	assert_int_equal(count_of(&destroyed), 2);
	assert_intact(handle[3], 1);
	act(ROLE_A, release_handle, 3);
	act(ROLE_B, release_handle, 0);
	assert_ended(4, 0);
	assert_int_equal(count_of(&called_back), 2);
}

/* B: has read the weak reference, before it is cleared. Detector: marks the dead, one flag and then the other.
 * B finds the one or the other. */
static void an_upgrade_finds_condemned_or_dead(UNUSED void **state)
{
	make_weak_ring();
	look_until("verdict.committed", 1);
	hold_at(ROLE_A, "weak.target_read", 1);
	hold_at(ROLE_B, "weak.target_read", 1);
	ask(ROLE_A, upgrade, 0);
	ask(ROLE_B, upgrade, 1);
	wait_held(ROLE_A);
	wait_held(ROLE_B);
	go_to(ROLE_DETECTOR, "verdict.dead_marked"); /* one of the two */
	go_to(ROLE_DETECTOR, "verdict.dead_marked");
	let_go(ROLE_A);
	let_go(ROLE_B);
	done(ROLE_A);
	done(ROLE_B);
	assert_null(handle[0]);
	assert_null(handle[1]);
	end_look();
	assert_ring_ended(0);
}

/* The same, after all is marked; and the memory stays for B. */
static void an_upgrade_after_the_verdict_finds_nothing(UNUSED void **state)
{
	make_weak_ring();
	look_until("verdict.committed", 1);
	hold_at(ROLE_B, "weak.target_read", 1);
	ask(ROLE_B, upgrade, 0);
	wait_held(ROLE_B);
	assert_cannot_go_to(ROLE_DETECTOR, "reclaim.gone");
	assert_int_equal(count_of(&destroyed), 2);
	let_go(ROLE_B);
	done(ROLE_B);
	assert_null(handle[0]);
	wait_held(ROLE_DETECTOR);
	end_look();
	assert_ring_ended(0);
}

/* Kept alive for finalizers, and the flag has to go. B, who has read the weak reference before it was cleared,
 * must still find the flag. */
static void an_upgrade_does_not_find_what_is_alive_for_finalizers(UNUSED void **state)
{
	cgc_release(make_weak_ring_of(&active_type));
	look_until("verdict.committed", 1);
	hold_at(ROLE_B, "weak.target_read", 1);
	ask(ROLE_B, upgrade, 0);
	wait_held(ROLE_B);
	assert_cannot_go_to(ROLE_DETECTOR, "verdict.dead_all");
	let_go(ROLE_B);
	done(ROLE_B);
	assert_null(handle[0]);
	wait_held(ROLE_DETECTOR);
	end_look();
	assert_ring_ended(2);
}

static void show_in_root_2(struct node *node)
{
	if (node->id == 0)
		cgc_store(CGC_ROOT, &root[2], node);
}

/* A finalizer shows its object in a root, and B takes it from there before the detector has let go of its own
 * reference. The ring lives; the old weak references stay cleared. */
static void a_ring_that_a_finalizer_brings_back_lives(UNUSED void **state)
{
	struct node *first = make_weak_ring_of(&active_type);
	first->on_finalize = show_in_root_2;
	cgc_release(first);
	look_until("verdict.finalized", 1);
	act(ROLE_B, take_root, 2);
	act(ROLE_A, upgrade, 0);
	assert_null(handle[0]);
	end_look();
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[2], 0);
	assert_intact(peek(handle[2], 0), 1);
	assert_false(is_alive(weak[0]));
	act(ROLE_B, release_handle, 2);
	assert_ring_ended(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(an_upgrade_before_death_saves_the_object),
		SCENE(an_upgrade_that_death_overtakes_finds_nothing),
		SCENE(an_upgrade_after_death_finds_nothing),
		SCENE(a_weak_reference_made_at_the_last_moment_is_cleared),
		SCENE(an_upgrade_before_the_second_look_saves_the_ring),
		SCENE(an_upgrade_before_the_commit_saves_the_ring),
		SCENE(two_upgrades_of_one_ring_both_succeed),
		SCENE(an_upgrade_that_the_commit_overtakes_finds_nothing),
		SCENE(an_upgrade_that_meets_the_flag_late_saves_the_ring),
		SCENE(an_upgrade_of_what_the_second_look_saved_succeeds),
		SCENE(an_upgrade_finds_condemned_or_dead),
		SCENE(an_upgrade_after_the_verdict_finds_nothing),
		SCENE(an_upgrade_does_not_find_what_is_alive_for_finalizers),
		SCENE(a_ring_that_a_finalizer_brings_back_lives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
