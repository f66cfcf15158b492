/* SPDX-License-Identifier: MIT
 *
 * Death by counting while others count: the pending queues. docs/ordering.md, pairs QUEUED, SEAL, GRACE,
 * CONSUME, OVERFLOW and TYPE.
 */
#include "hold.h"

/* One that only the root holds. */
static void make_in_root(int i)
{
	handle[i] = make(i);
	put_root(i);
}

/* A: has read a count of two. B: one, and borrows it still. A: zero, and has only now to say that it is queued. */
static void zero_that_is_not_queued_yet(void)
{
	make_in_root(0);
	act(ROLE_B, borrow_root, 0);
	act(ROLE_B, retain_borrowed, 0);
	hold_at(ROLE_A, "count.down_read", 1);
	ask(ROLE_A, clear_root, 0);
	wait_held(ROLE_A);
	act(ROLE_B, release_handle, 0);
	go_to(ROLE_A, "count.queue_due");
}

/* A: has read a count of one, so its reference looks like the last. B, who has borrowed it, counts it up. A must not
 * queue it. */
static void what_looked_like_the_last_reference_is_not_queued(UNUSED void **state)
{
	make_in_root(0);
	act(ROLE_B, borrow_root, 0);
	hold_at(ROLE_A, "count.down_read", 1);
	ask(ROLE_A, clear_root, 0);
	wait_held(ROLE_A);
	act(ROLE_B, retain_borrowed, 0);
	act(ROLE_B, leave, 0);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(stats_now().objects_waiting, 0);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[0], 0);
	act(ROLE_B, release_handle, 0);
	assert_ended_by_count(1, 0);
}

/* A story of the past. A: lowers the count to zero, and is about to queue. B, who has borrowed it, counts it
 * up. A: set QUEUED on the word as it was by then, a count of one, and queued that. Nothing moved for a grace
 * period, so the entry's word was still the object's, and "the same word" was taken for "dead": under B's
 * handle. */
static void no_entry_is_made_of_a_word_above_zero(UNUSED void **state)
{
	zero_that_is_not_queued_yet();
	act(ROLE_B, retain_borrowed, 0);
	act(ROLE_B, leave, 0);
	let_go(ROLE_A);
	done(ROLE_A);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[0], 0);
	act(ROLE_B, release_handle, 0);
	assert_ended_by_count(1, 0);
}

/* A: zero, about to queue. B: counts up and down, sees zero too, and queues. One entry, one death. */
static void two_who_see_zero_make_one_entry(UNUSED void **state)
{
	zero_that_is_not_queued_yet();
	act(ROLE_B, retain_borrowed, 0);
	act(ROLE_B, release_handle, 0);
	assert_int_equal(stats_now().objects_waiting, 1);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(stats_now().objects_waiting, 1);
	act(ROLE_B, leave, 0);
	assert_ended_by_count(1, 0);
}

/* B borrows; A takes the last reference away and settles what it can; the entry waits for B's section. B
 * counts up from zero, and later down to zero: that needs an entry again. */
static void a_borrow_counted_up_from_zero_lives(UNUSED void **state)
{
	make_in_root(0);
	act(ROLE_B, borrow_root, 0);
	hold_at(ROLE_DETECTOR, "collector.round_waited", 1);
	act(ROLE_A, clear_root, 0);
	act(ROLE_A, settle_own, 0);
	act(ROLE_A, settle_own, 0);
	assert_stays_out(ROLE_DETECTOR);
	act(ROLE_A, settle_own, 0);
	assert_int_equal(count_of(&destroyed), 0);
	act(ROLE_B, retain_borrowed, 0);
	act(ROLE_B, leave, 0);
	wait_held(ROLE_DETECTOR);
	go_to(ROLE_DETECTOR, "pending.again_cleared");
	let_go(ROLE_DETECTOR);
	assert_intact(handle[0], 0);
	act(ROLE_B, release_handle, 0);
	assert_ended_by_count(1, 0);
}

/* A: has read the root, and not yet counted. The director clears the root: zero, queued. A counts from zero,
 * inside of the section that the entry waits for. */
static void a_load_counted_up_from_zero_lives(UNUSED void **state)
{
	make_in_root(0);
	hold_at(ROLE_A, "slot.load_read", 1);
	ask(ROLE_A, load_root, 0);
	wait_held(ROLE_A);
	hold_at(ROLE_DETECTOR, "collector.round_waited", 1);
	clear_root(0);
	assert_stays_out(ROLE_DETECTOR);
	let_go(ROLE_A);
	done(ROLE_A);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	act(ROLE_C, collect, 2);
	assert_intact(handle[0], 0);
	act(ROLE_A, release_handle, 0);
	assert_ended_by_count(1, 0);
}

static void replace_root_0(int i)
{
	MUST(cgc_compare_exchange(CGC_ROOT, &root[0], borrowed[0], handle[i]) == (i == 1));
}

/* A: has replaced what was in the root, and not yet discounted it. B comes too late, and gives back what it
 * had counted; the director counts up what it had borrowed there. */
static void one_of_two_compare_exchanges_wins(UNUSED void **state)
{
	make_in_root(0);
	borrow_root(0);
	make_owned(1);
	make_owned(2);
	hold_at(ROLE_A, "slot.compare_swapped", 1);
	ask(ROLE_A, replace_root_0, 1);
	wait_held(ROLE_A);
	act(ROLE_B, replace_root_0, 2);
	retain_borrowed(0);
	leave(0);
	let_go(ROLE_A);
	done(ROLE_A);
	act(ROLE_C, collect, 2);
	for (int i = 0; i < 3; i++) {
		assert_intact(handle[i], i);
		assert_int_equal(cgc_reference_count(handle[i]), i == 1 ? 2 : 1);
		release_handle(i);
	}
	clear_root(0);
	assert_ended_by_count(3, 0);
}

static void move_to_root_1(UNUSED int unused)
{
	handle[1] = handle[0];
	handle[0] = NULL;
	put_root(1);
}

/* The count goes from zero up and back to zero while the entry waits: B stores it elsewhere, C borrows it
 * there, and that reference goes too. The entry's grace period is over, but it began before C's section. */
static void an_entry_does_not_kill_what_has_moved_since(UNUSED void **state)
{
	make_in_root(0);
	park_detector();
	act(ROLE_B, borrow_root, 0);
	act(ROLE_A, clear_root, 0);
	act(ROLE_B, retain_borrowed, 0);
	act(ROLE_B, move_to_root_1, 0);
	act(ROLE_B, leave, 0);
	pass_grace();
	act(ROLE_C, borrow_root, 1);
	clear_root(1);
	assert_cannot_go_to(ROLE_DETECTOR, "pending.zero_dead");
	assert_intact(borrowed[1], 0);
	act(ROLE_C, retain_borrowed, 1);
	act(ROLE_C, leave, 0);
	never_mind(ROLE_DETECTOR);
	act(ROLE_B, collect, 2);
	assert_intact(handle[1], 0);
	act(ROLE_C, release_handle, 1);
	assert_ended_by_count(1, 0);
}

/* Detector: in a grace period. C: borrows. A: takes the last reference away. This grace period need not wait
 * for C, so A's entry counts on the next. */
static void an_entry_waits_for_a_grace_period_that_has_not_begun(UNUSED void **state)
{
	make_in_root(0);
	act(ROLE_B, enter, 0);
	struct leaf *decoy = cgc_new(&leaf_type);
	hold_at(ROLE_DETECTOR, "grace.numbered", 1);
	cgc_publish(decoy);
	cgc_release(decoy);
	wait_held(ROLE_DETECTOR);
	assert_cannot_go_to(ROLE_DETECTOR, "grace.over");
	act(ROLE_C, borrow_root, 0);
	act(ROLE_A, clear_root, 0);
	act(ROLE_B, leave, 0);
	wait_held(ROLE_DETECTOR);
	hold_at(ROLE_DETECTOR, "pending.zero_dead", 2); /* the decoy is the first */
	let_go(ROLE_DETECTOR);
	assert_stays_out(ROLE_DETECTOR);
	assert_intact(borrowed[0], 0);
	act(ROLE_C, leave, 0);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(1, 0);
}

/* Detector: the count is not zero, about to take QUEUED back. B: lowers it to zero, sees QUEUED, relies on
 * that entry. */
static void a_zero_is_not_lost_while_its_entry_is_taken_back(UNUSED void **state)
{
	make_in_root(0);
	park_detector();
	act(ROLE_B, borrow_root, 0);
	act(ROLE_A, clear_root, 0);
	act(ROLE_B, retain_borrowed, 0);
	act(ROLE_B, leave, 0);
	pass_grace();
	go_to(ROLE_DETECTOR, "pending.again_due");
	act(ROLE_B, release_handle, 0);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(1, 0);
}

/* At zero, borrowed, and closed to a ring: a suspect, but queued, so the detector leaves it alone and forgets
 * it. Who takes QUEUED back makes it a suspect again. */
static void what_was_at_zero_and_is_in_a_ring_now_is_found(UNUSED void **state)
{
	make_in_root(0);
	make_in_root(5);
	load_root(5);
	release_handle(5); /* something to look at */
	look_at_suspects_until("window.memory_kept", 1);
	act(ROLE_B, borrow_root, 0);
	act(ROLE_A, clear_root, 0);
	act(ROLE_B, retain_borrowed, 0);
	struct node *node = handle[0];
	handle[0] = NULL;
	cgc_store_consume(node, &node->slot[0], node);
	act(ROLE_B, leave, 0);
	let_go(ROLE_DETECTOR);
	wait_destroyed(1);
	clear_root(5);
	assert_ended(2, 0);
}

/* A: has counted its batch, and not yet numbered the grace period. The detector must not take that batch,
 * which no grace period has passed for. */
static void a_queue_has_one_consumer(UNUSED void **state)
{
	make_in_root(0);
	park_detector();
	act(ROLE_B, borrow_root, 0);
	hold_at(ROLE_A, "pending.seal_due", 1);
	ask(ROLE_A, clear_root, 0);
	wait_held(ROLE_A);
	hold_at(ROLE_DETECTOR, "pending.taken", 2); /* the decoy is the first */
	let_go(ROLE_DETECTOR);
	assert_stays_out(ROLE_DETECTOR);
	assert_intact(borrowed[0], 0);
	let_go(ROLE_A);
	done(ROLE_A);
	act(ROLE_B, leave, 0);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(1, 0);
}

/* A story of the past. A: the object is DEAD and A is about to destroy it. Detector: a look at everything,
 * after an entry was lost for want of memory, so it queues whatever is at zero. This one is at zero, and was
 * queued once more: it was destroyed twice. */
static void the_dead_are_not_queued_again(UNUSED void **state)
{
	make_in_root(0);
	park_detector();
	act(ROLE_A, clear_root, 0);
	pass_grace();
	hold_at(ROLE_A, "reclaim.weak_cleared", 1);
	ask(ROLE_A, settle_own, 0);
	wait_held(ROLE_A);
	atomic_store(&cgc__heap.lost_entry, true);
	let_go(ROLE_DETECTOR);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 0);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_ended_by_count(1, 0);
}

/* The next entry needs memory. */
static void fill_chunk(UNUSED int unused)
{
	while (cgc__self == NULL || cgc__self->pending.tail == NULL || cgc__self->pending.tail->limit != 1) {
		struct leaf *decoy = cgc_new(&leaf_type);
		cgc_publish(decoy);
		cgc_release(decoy);
	}
}

/* There is no memory for entries, so the objects link themselves. A: has written its link, and not yet the
 * head of the list. B puts another one in front meanwhile. */
static void of_two_who_find_no_memory_none_is_lost(UNUSED void **state)
{
	cgc__heap.chunk_entries = 1;
	for (int i = 0; i < 2; i++)
		make_in_root(i);
	act(ROLE_A, fill_chunk, 0);
	act(ROLE_B, fill_chunk, 0);
	cgc__memory_fail_at(1);
	cgc__memory_fail_count(UINT64_MAX);
	hold_at(ROLE_A, "pending.overflow_linked", 1);
	ask(ROLE_A, clear_root, 0);
	wait_held(ROLE_A);
	act(ROLE_B, clear_root, 1);
	let_go(ROLE_A);
	done(ROLE_A);
	cgc__memory_fail_at(0);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 2);
	assert_ended_by_count(2, 0);
}

static struct cgc_type new_type = {
	.name = "new", .size = sizeof(struct node), NODE_FIELDS, .destroy = node_destroy};

static void make_of_new_type(int i)
{
	handle[i] = make_of(&new_type, i);
	put_root(i);
}

/* A: uses a type for the first time, has entered it, and not yet told its number. B uses it too. */
static void a_type_has_no_number_before_it_is_entered(UNUSED void **state)
{
	hold_at(ROLE_A, "type.entered", 1);
	ask(ROLE_A, make_of_new_type, 0);
	wait_held(ROLE_A);
	hold_at(ROLE_B, "publish.listed", 1);
	ask(ROLE_B, make_of_new_type, 1);
	assert_stays_out(ROLE_B);
	let_go(ROLE_A);
	done(ROLE_A);
	wait_held(ROLE_B);
	let_go(ROLE_B);
	done(ROLE_B);
	for (int i = 0; i < 2; i++)
		clear_root(i);
	assert_ended_by_count(2, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(what_looked_like_the_last_reference_is_not_queued),
		SCENE(no_entry_is_made_of_a_word_above_zero),
		SCENE(two_who_see_zero_make_one_entry),
		SCENE(a_borrow_counted_up_from_zero_lives),
		SCENE(a_load_counted_up_from_zero_lives),
		SCENE(one_of_two_compare_exchanges_wins),
		SCENE(an_entry_does_not_kill_what_has_moved_since),
		SCENE(an_entry_waits_for_a_grace_period_that_has_not_begun),
		SCENE(a_zero_is_not_lost_while_its_entry_is_taken_back),
		SCENE(what_was_at_zero_and_is_in_a_ring_now_is_found),
		SCENE(a_queue_has_one_consumer),
		SCENE(the_dead_are_not_queued_again),
		SCENE(of_two_who_find_no_memory_none_is_lost),
		SCENE(a_type_has_no_number_before_it_is_entered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
