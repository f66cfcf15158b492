/* SPDX-License-Identifier: MIT
 *
 * What the detector copies while slots and counts move under it: docs/ordering.md, pairs MOVE, EDGE, COUNT,
 * SUSPECT, GENERATION and WINDOW.
 *
 * Most scenes have a ring P <-> Q that a root holds, and X in a slot of P, which the director holds as well. The
 * root is cleared while A has borrowed P: what the detector then sees is garbage, and X must not be taken for a
 * part of it.
 */
#include "hold.h"

static struct node *p, *q, *x;

/* The detector copies in the order of addresses: P first. */
static void make_ring_with_x(void)
{
	struct node *first = make(0), *second = make(0);
	assert_ptr_equal(cgc__slab_of(first), cgc__slab_of(second));
	p = first < second ? first : second;
	q = first < second ? second : first;
	x = make(2);
	q->id = 1;
	cgc_store(p, &p->slot[1], q);
	cgc_store_consume(q, &q->slot[1], cgc_retain(p));
	cgc_store(p, &p->slot[0], x);
	cgc_release(q);
	handle[0] = p;
	put_root(0);
	handle[1] = x;
}

/* Lost a reference, not the last. */
static void make_suspect(struct node *node)
{
	cgc_transfer(cgc_retain(node));
	cgc_release(node);
}

static void open_window(bool whole, const char *point)
{
	if (whole) {
		look_until(point, 1);
	} else {
		make_suspect(p);
		look_at_suspects_until(point, 1);
	}
}

static void close_window(bool whole)
{
	if (whole)
		end_look();
	else
		let_go(ROLE_DETECTOR);
	collect(2);
}

/* A borrows P, and nobody else can reach it from here on. */
static void cut_off_p(void)
{
	act(ROLE_A, borrow_root, 0);
	clear_root(0);
}

static void suspect_x(UNUSED int unused)
{
	cgc_retain(x);
	cgc_release(x);
}

static void take_x_from_p(UNUSED int unused)
{
	handle[2] = cgc_exchange(p, &p->slot[0], NULL);
}

static void put_x_into_q(UNUSED int unused)
{
	cgc_store_consume(q, &q->slot[0], handle[2]);
	handle[2] = NULL;
}

static void clear_p(UNUSED int unused)
{
	cgc_store(p, &p->slot[0], NULL);
}

/* Detector: sees X in P. A: takes it out of P and puts it into Q. Detector: sees X in Q. Two slots explain the two
 * references to X, but it was one reference, and the director has the other. */
static void one_reference_in_two_slots(bool whole)
{
	make_ring_with_x();
	open_window(whole, "window.copy_due");
	act(ROLE_B, suspect_x, 0); /* or putting it into Q would change its word */
	cut_off_p();
	go_to(ROLE_DETECTOR, "window.edge_read");
	act(ROLE_A, take_x_from_p, 0);
	act(ROLE_A, put_x_into_q, 0);
	act(ROLE_A, leave, 0);
	close_window(whole);
	assert_int_equal(count_of(&destroyed), 2);
	assert_intact(x, 2);
	assert_int_equal(cgc_reference_count(x), 1);
	release_handle(1);
	assert_ended(3, 0);
}

static void what_an_exchange_took_is_not_counted_twice(UNUSED void **state)
{
	one_reference_in_two_slots(true);
}

static void what_an_exchange_took_is_not_counted_twice_from_suspects(UNUSED void **state)
{
	one_reference_in_two_slots(false);
}

/* A: takes X, which nothing else holds, and is not yet at the version. The detector has seen P, Q and X,
 * garbage all three. It looks again only when A's section is over. */
static void what_an_exchange_takes_is_looked_at_again_after_its_section(UNUSED void **state)
{
	make_ring_with_x();
	release_handle(1);
	look_until("window.copy_due", 1);
	cut_off_p();
	go_to(ROLE_DETECTOR, "verdict.condemned");
	hold_at(ROLE_A, "slot.exchange_swapped", 1);
	ask(ROLE_A, take_x_from_p, 0);
	wait_held(ROLE_A);
	assert_cannot_go_to(ROLE_DETECTOR, "verdict.second_look_due");
	let_go(ROLE_A);
	done(ROLE_A);
	act(ROLE_A, leave, 0);
	wait_held(ROLE_DETECTOR);
	end_look();
	assert_int_equal(count_of(&destroyed), 2);
	assert_intact(handle[2], 2);
	release_handle(2);
	assert_ended(3, 0);
}

/* A: about to take X. Detector: copies the words and sees X in P. A: takes it, and its version moves after that. */
static void a_version_moves_after_the_slot(UNUSED void **state)
{
	make_ring_with_x();
	release_handle(1);
	look_until("window.copy_due", 1);
	cut_off_p();
	hold_at(ROLE_A, "slot.put_counted", 1);
	ask(ROLE_A, take_x_from_p, 0);
	wait_held(ROLE_A);
	go_to(ROLE_DETECTOR, "verdict.condemned");
	let_go(ROLE_A);
	done(ROLE_A);
	act(ROLE_A, leave, 0);
	end_look();
	assert_int_equal(count_of(&destroyed), 2);
	assert_intact(handle[2], 2);
	release_handle(2);
	assert_ended(3, 0);
}

/* A: empties P's slot, and is not yet at the count of X. Detector: reads the count, two, and no slot. */
static void a_slot_is_emptied_before_its_reference_is_discounted(UNUSED void **state)
{
	make_ring_with_x();
	look_until("window.copy_due", 1);
	cut_off_p();
	hold_at(ROLE_A, "slot.store_swapped", 1);
	ask(ROLE_A, clear_p, 0);
	wait_held(ROLE_A);
	go_to(ROLE_DETECTOR, "verdict.condemned");
	let_go(ROLE_A);
	done(ROLE_A);
	act(ROLE_A, leave, 0);
	end_look();
	assert_int_equal(count_of(&destroyed), 2);
	assert_intact(x, 2);
	release_handle(1);
	assert_ended(3, 0);
}

/* Detector: reads P's slot. A: empties it, X has one reference left, the director's. Detector: reads the
 * count, one. The slot it has read does not explain that one. */
static void a_slot_is_read_once_more_after_the_words(UNUSED void **state)
{
	make_ring_with_x();
	open_window(false, "window.copy_due");
	cut_off_p();
	go_to(ROLE_DETECTOR, "window.slot_read");
	act(ROLE_A, clear_p, 0);
	act(ROLE_A, leave, 0);
	close_window(false);
	assert_int_equal(count_of(&destroyed), 2);
	assert_intact(x, 2);
	release_handle(1);
	assert_ended(3, 0);
}

static void borrow_q(UNUSED int unused)
{
	cgc_read_lock();
	borrowed[3] = cgc_borrow(&p->slot[1]);
}

/* A: holds P, borrows Q through it, drops P. Detector: copies, judges, all garbage. A: counts Q up. The second look
 * waits for A's section and finds Q changed: the ring lives. */
static void a_member_borrowed_before_the_verdict_saves_its_ring(UNUSED void **state)
{
	make_ring_with_x();
	release_handle(1);
	act(ROLE_A, take_root, 0);
	look_until("window.copy_due", 1);
	act(ROLE_A, borrow_q, 0);
	act(ROLE_A, release_handle, 0);
	go_to(ROLE_DETECTOR, "verdict.condemned");
	assert_cannot_go_to(ROLE_DETECTOR, "verdict.second_look_due");
	act(ROLE_A, retain_borrowed, 3);
	act(ROLE_A, leave, 0);
	wait_held(ROLE_DETECTOR);
	end_look();
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[3], 1);
	assert_intact(p, 0);
	assert_intact(x, 2);
	act(ROLE_A, release_handle, 3);
	assert_ended(3, 0);
}

/* The same, and what changed is a suspect again: its ring is found without a look at all. */
static void what_a_second_look_saves_is_looked_at_again(UNUSED void **state)
{
	make_ring_with_x();
	release_handle(1);
	open_window(false, "window.copy_due");
	act(ROLE_A, take_root, 0);
	act(ROLE_A, borrow_q, 0);
	act(ROLE_A, release_handle, 0);
	go_to(ROLE_DETECTOR, "verdict.condemned");
	act(ROLE_A, retain_borrowed, 3);
	act(ROLE_A, release_handle, 3); /* Q's word is another, and no reference is left */
	act(ROLE_A, leave, 0);
	let_go(ROLE_DETECTOR);
	wait_destroyed(3);
	assert_ended(3, 0);
}

/* Detector: has taken P as a suspect, its flag is clear. A: drops the last handle. A new entry is due, because the
 * copy may have read the count before that. */
static void a_reference_lost_after_the_suspects_were_taken_leaves_another(UNUSED void **state)
{
	make_ring_with_x();
	release_handle(1);
	act(ROLE_A, take_root, 0);
	open_window(false, "window.copy_due");
	go_to(ROLE_DETECTOR, "window.close_due");
	act(ROLE_A, release_handle, 0);
	let_go(ROLE_DETECTOR);
	wait_destroyed(3);
	assert_ended(3, 0);
}

/* A: lowers P's count, has seen the flag set, so somebody else's entry will do. The detector takes that entry,
 * and copies only when A's section is over. */
static void suspects_are_copied_after_the_sections_that_saw_their_flag(UNUSED void **state)
{
	make_ring_with_x();
	release_handle(1);
	load_root(0);
	clear_root(0); /* a suspect */
	look_at_suspects_until("window.memory_kept", 1);
	hold_at(ROLE_A, "count.shared_down", 1);
	ask(ROLE_A, release_handle, 0);
	wait_held(ROLE_A);
	go_to(ROLE_DETECTOR, "window.suspects_taken");
	assert_cannot_go_to(ROLE_DETECTOR, "window.copy_due");
	let_go(ROLE_A);
	done(ROLE_A);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	wait_destroyed(3);
	assert_ended(3, 0);
}

static void make_ring_owned_twice(UNUSED int unused)
{
	make_owned(0);
	handle[1] = cgc_retain(handle[0]);
	cgc_store(handle[0], &handle[0]->slot[0], handle[0]);
}

static void suspect_0(UNUSED int unused)
{
	cgc_retain(handle[0]);
	cgc_release(handle[0]);
}

/* The same for an owner, who lowers local and then looks at the flag. */
static void suspects_are_copied_after_the_sections_of_their_owners(UNUSED void **state)
{
	act(ROLE_A, make_ring_owned_twice, 0);
	act(ROLE_B, suspect_0, 0);
	look_at_suspects_until("window.memory_kept", 1);
	hold_at(ROLE_A, "count.local_down", 1);
	ask(ROLE_A, release_handle, 1);
	wait_held(ROLE_A);
	go_to(ROLE_DETECTOR, "window.suspects_taken");
	assert_cannot_go_to(ROLE_DETECTOR, "window.copy_due");
	let_go(ROLE_A);
	done(ROLE_A);
	act(ROLE_A, release_handle, 0);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	wait_destroyed(1);
	assert_ended(1, 0);
}

static void close_ring(UNUSED int unused)
{
	struct node *node = handle[0];
	handle[0] = NULL;
	cgc_store_consume(node, &node->slot[0], node);
}

/* A: moves its only handle into a slot of the object itself; between the store and the look at the flag the
 * detector takes the suspects. The ring is closed by a store that lowered no count, and is found all the same. */
static void a_ring_closed_while_suspects_are_taken_is_found(UNUSED void **state)
{
	handle[0] = make(0);
	put_root(0);
	act(ROLE_A, take_root, 0);
	make_suspect(handle[0]);
	look_at_suspects_until("window.memory_kept", 1);
	hold_at(ROLE_A, "slot.put_swapped", 1);
	ask(ROLE_A, close_ring, 0);
	wait_held(ROLE_A);
	go_to(ROLE_DETECTOR, "window.suspects_taken");
	assert_cannot_go_to(ROLE_DETECTOR, "window.copy_due");
	let_go(ROLE_A);
	done(ROLE_A);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	wait_destroyed(1);
	assert_ended(1, 0);
}

/* The same after the copy: the detector has seen the handle, not the slot. */
static void a_ring_closed_after_the_copy_is_found(UNUSED void **state)
{
	handle[0] = make(0);
	put_root(0);
	act(ROLE_A, take_root, 0);
	make_suspect(handle[0]);
	look_at_suspects_until("window.close_due", 1);
	act(ROLE_A, close_ring, 0);
	let_go(ROLE_DETECTOR);
	wait_destroyed(1);
	assert_ended(1, 0);
}

static void publish_chain(UNUSED int unused)
{
	struct node *parent = make(0);
	cgc_store_consume(parent, &parent->slot[0], make(1));
	cgc_store_consume(CGC_ROOT, &root[0], parent);
}

/* A: publishes a parent and is about to publish its child. The detector copies everything: the parent, if at
 * all, with its final words, and a child that it does not find is no edge. */
static void half_a_publication_is_no_garbage(UNUSED void **state)
{
	for (unsigned step = 1; step <= 2; step++) {
		hold_at(ROLE_A, "publish.words_written", step);
		ask(ROLE_A, publish_chain, 0);
		wait_held(ROLE_A);
		act(ROLE_C, collect, 2);
		let_go(ROLE_A);
		done(ROLE_A);
		assert_int_equal(count_of(&destroyed), 0);
		load_root(0);
		assert_intact(handle[0], 0);
		assert_intact(peek(handle[0], 0), 1);
		release_handle(0);
		clear_root(0);
		assert_ended(2, 0);
		count_clear(&destroyed);
	}
}

static void publish_one(UNUSED int unused)
{
	cgc_store_consume(CGC_ROOT, &root[0], make(0));
}

/* A: has listed what it is going to publish. The words of the list are scratch: MERGED with a count of zero,
 * for one who reads them as counts. */
static void what_is_listed_for_publication_is_not_found(UNUSED void **state)
{
	hold_at(ROLE_A, "publish.listed", 1);
	ask(ROLE_A, publish_one, 0);
	wait_held(ROLE_A);
	act(ROLE_C, collect, 2);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(count_of(&destroyed), 0);
	clear_root(0);
	assert_ended(1, 0);
}

/* B must not see in the root what A has not published to the end. */
static void no_slot_shows_what_is_not_published(UNUSED void **state)
{
	hold_at(ROLE_A, "publish.words_written", 2);
	ask(ROLE_A, publish_chain, 0);
	wait_held(ROLE_A);
	act(ROLE_B, load_root, 0);
	assert_null(handle[0]);
	let_go(ROLE_A);
	done(ROLE_A);
	act(ROLE_B, load_root, 0);
	assert_intact(handle[0], 0);
	release_handle(0);
	clear_root(0);
	assert_ended(2, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(what_an_exchange_took_is_not_counted_twice),
		SCENE(what_an_exchange_took_is_not_counted_twice_from_suspects),
		SCENE(what_an_exchange_takes_is_looked_at_again_after_its_section),
		SCENE(a_version_moves_after_the_slot),
		SCENE(a_slot_is_emptied_before_its_reference_is_discounted),
		SCENE(a_slot_is_read_once_more_after_the_words),
		SCENE(a_member_borrowed_before_the_verdict_saves_its_ring),
		SCENE(what_a_second_look_saves_is_looked_at_again),
		SCENE(a_reference_lost_after_the_suspects_were_taken_leaves_another),
		SCENE(suspects_are_copied_after_the_sections_that_saw_their_flag),
		SCENE(suspects_are_copied_after_the_sections_of_their_owners),
		SCENE(a_ring_closed_while_suspects_are_taken_is_found),
		SCENE(a_ring_closed_after_the_copy_is_found),
		SCENE(half_a_publication_is_no_garbage),
		SCENE(what_is_listed_for_publication_is_not_found),
		SCENE(no_slot_shows_what_is_not_published),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
