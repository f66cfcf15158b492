/* SPDX-License-Identifier: MIT
 *
 * From the last reference to the memory: children of dead parents, the stamp, finalizers, and who gives the
 * memory back. docs/ordering.md, pairs UNLINK, STAMP, DEAD, SUSPECT, GONE, WINDOW and WEAK.
 */
#include "hold.h"

/* A root holds a holder, which has two parents in its slots 0 and 1, and both have the same child. One
 * publication: nothing of it has ever been unlinked, so every stamp is old. */
static struct node *holder;

static void make_child_of_two(void)
{
	struct node *child = make(3), *parents[2] = {make(1), make(2)};
	holder = make(0);
	for (int i = 0; i < 2; i++) {
		cgc_store(parents[i], &parents[i]->slot[0], child);
		cgc_store_consume(holder, &holder->slot[i], parents[i]);
	}
	cgc_release(child);
	handle[0] = holder;
	put_root(0);
}

static void clear_holder(int slot)
{
	cgc_store(holder, &holder->slot[slot], NULL);
}

/* Both parents are at zero, and that for a grace period: one in A's queue, one in the director's. */
static void let_parents_die(void)
{
	park_detector();
	act(ROLE_A, clear_holder, 0);
	clear_holder(1);
	pass_grace();
}

/* A story of the past. A: destroys one parent, takes the child's count from two to one. Detector: destroys the
 * other, one to zero, the child dies and its memory goes back. A: it was not the last reference, so the child
 * becomes a suspect: by an operation of its own on what was no object any more. Count and flag are one
 * exchange now. */
static void a_child_of_two_dead_parents_is_not_touched_after_its_discount(UNUSED void **state)
{
	make_child_of_two();
	let_parents_die();
	hold_at(ROLE_A, "reclaim.child_dropped", 1);
	ask(ROLE_A, settle_own, 0);
	wait_held(ROLE_A);
	go_to(ROLE_DETECTOR, "remote.returned_taken");
	assert_int_equal(count_of(&destroyed), 3);
	let_go(ROLE_A);
	done(ROLE_A);
	let_go(ROLE_DETECTOR);
	clear_root(0);
	assert_ended(4, 0);
}

/* One step earlier: A has read a count of two, and the detector lowers it first. A destroys the child. */
static void of_two_dead_parents_the_second_destroys_the_child(UNUSED void **state)
{
	make_child_of_two();
	let_parents_die();
	hold_at(ROLE_A, "reclaim.child_due", 1);
	ask(ROLE_A, settle_own, 0);
	wait_held(ROLE_A);
	go_to(ROLE_DETECTOR, "remote.returned_taken");
	assert_int_equal(count_of(&destroyed), 2);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(count_of(&destroyed), 3);
	let_go(ROLE_DETECTOR);
	clear_root(0);
	assert_ended(4, 0);
}

/* Root 0 holds the parent, and `roots` others its child; all stamps are old. */
static void make_child_in_roots(int roots)
{
	struct node *parent = make(0), *child = make(1);
	cgc_store(parent, &parent->slot[0], child);
	for (int i = 1; i <= roots; i++)
		cgc_store(CGC_ROOT, &root[i], child);
	cgc_release(child);
	handle[0] = parent;
	put_root(0);
	uint64_t now = atomic_load(&cgc__grace_done);
	while (atomic_load(&cgc__grace_done) < now + 4)
		collect(2);
}

/* The parent is dead, and nobody borrows the child through it. But B has borrowed it through a root, which was
 * cleared a moment ago: the stamp says so, and the child waits for a grace period of its own. */
static void a_child_unlinked_lately_does_not_die_with_its_parent(UNUSED void **state)
{
	make_child_in_roots(1);
	park_detector();
	act(ROLE_A, clear_root, 0);
	pass_grace();
	act(ROLE_B, borrow_root, 1);
	clear_root(1);
	assert_cannot_go_to(ROLE_DETECTOR, "collector.round_waited");
	assert_int_equal(count_of(&destroyed), 1);
	assert_intact(borrowed[1], 1);
	act(ROLE_B, leave, 0);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(2, 0);
}

/* A story of the past. Detector: the parent is dead; the child's stamp is old. B: borrows the child through a
 * root. Director: clears the root, stamps, discounts. Detector: lowers the count, finds zero, and the stamp it
 * had read was an old one: the child died under B. The stamp is read after the word it belongs to now. */
static void the_stamp_is_read_after_the_word_it_belongs_to(UNUSED void **state)
{
	make_child_in_roots(1);
	park_detector();
	act(ROLE_A, clear_root, 0);
	pass_grace();
	go_to(ROLE_DETECTOR, "reclaim.child_due");
	act(ROLE_B, borrow_root, 1);
	clear_root(1);
	assert_cannot_go_to(ROLE_DETECTOR, "collector.round_waited");
	assert_int_equal(count_of(&destroyed), 1);
	assert_intact(borrowed[1], 1);
	act(ROLE_B, leave, 0);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(2, 0);
}

/* A: unlinks the child, has read the number n of grace periods, and not yet stamped. Detector: n + 1 begins.
 * B: borrows the child through another root; the director clears that and stamps n + 1. A: stamps n. Grace
 * period n + 1, which need not wait for B, is over. C: destroys the parent; the child's stamp looks as if a
 * whole grace period had passed. */
static void one_grace_period_after_the_stamp_is_not_enough(UNUSED void **state)
{
	make_child_in_roots(2);
	park_detector();
	act(ROLE_C, clear_root, 0);
	pass_grace();
	hold_at(ROLE_C, "pending.taken", 1);
	ask(ROLE_C, settle_own, 0);
	wait_held(ROLE_C);
	hold_at(ROLE_A, "grace.stamp_read", 1);
	ask(ROLE_A, clear_root, 1);
	wait_held(ROLE_A);
	struct leaf *decoy = cgc_new(&leaf_type);
	cgc_publish(decoy);
	cgc_release(decoy);
	go_to(ROLE_DETECTOR, "grace.numbered");
	assert_cannot_go_to(ROLE_DETECTOR, "grace.over");
	act(ROLE_B, borrow_root, 2);
	clear_root(2);
	let_go(ROLE_A);
	done(ROLE_A);
	wait_held(ROLE_DETECTOR);
	go_to(ROLE_DETECTOR, "collector.round_waited");
	let_go(ROLE_C);
	done(ROLE_C);
	assert_int_equal(count_of(&destroyed), 1);
	assert_intact(borrowed[2], 1);
	act(ROLE_B, leave, 0);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(2, 0);
}

/* Detector: a grace period has begun. B borrows the child through a root, which the director clears: the stamp is newer
 * than the last grace period done. C destroys the parent. */
static void a_stamp_of_the_grace_period_that_runs_is_not_old(UNUSED void **state)
{
	make_child_in_roots(1);
	park_detector();
	act(ROLE_C, clear_root, 0);
	pass_grace();
	hold_at(ROLE_C, "pending.taken", 1);
	ask(ROLE_C, settle_own, 0);
	wait_held(ROLE_C);
	struct leaf *decoy = cgc_new(&leaf_type);
	cgc_publish(decoy);
	cgc_release(decoy);
	go_to(ROLE_DETECTOR, "grace.numbered");
	act(ROLE_B, borrow_root, 1);
	clear_root(1);
	let_go(ROLE_C);
	done(ROLE_C);
	assert_int_equal(count_of(&destroyed), 1);
	assert_intact(borrowed[1], 1);
	act(ROLE_B, leave, 0);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(2, 0);
}

/* ---------------------------------------------------------------------------------------------
 * Finalizers
 * ------------------------------------------------------------------------------------------- */

static void show_in_root_1(struct node *node)
{
	cgc_store(CGC_ROOT, &root[1], node);
}

/* The finalizer shows the object in a root. B borrows it there, and the root is cleared. The finalizer's own
 * reference is the only one again, but the word has moved: B may have it. */
static void what_a_finalizer_has_shown_is_not_dead_at_once(UNUSED void **state)
{
	handle[0] = make_of(&active_type, 0);
	handle[0]->on_finalize = show_in_root_1;
	put_root(0);
	park_detector();
	act(ROLE_A, clear_root, 0);
	pass_grace();
	go_to(ROLE_DETECTOR, "reclaim.finalizer_done");
	act(ROLE_B, borrow_root, 1);
	clear_root(1);
	assert_cannot_go_to(ROLE_DETECTOR, "collector.round_waited");
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(borrowed[1], 0);
	act(ROLE_B, retain_borrowed, 1);
	act(ROLE_B, leave, 0);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	collect(2);
	assert_intact(handle[1], 0);
	act(ROLE_B, release_handle, 1);
	assert_ended_by_count(1, 1);
}

static void make_weak_in_root(struct cgc_type *type)
{
	handle[0] = make_of(type, 0);
	weak[0] = cgc_weak_new(handle[0], count_callback, NULL);
	put_root(0);
}

/* B has read the weak reference. Detector: the object is dead, the reference cleared; the finalizer would have
 * it alive, and B would get it. So it waits for B's section. */
static void a_finalizer_waits_for_upgrades_that_come_too_late(UNUSED void **state)
{
	make_weak_in_root(&active_type);
	park_detector();
	act(ROLE_A, clear_root, 0);
	pass_grace();
	hold_at(ROLE_B, "weak.target_read", 1);
	ask(ROLE_B, upgrade, 0);
	wait_held(ROLE_B);
	assert_cannot_go_to(ROLE_DETECTOR, "reclaim.finalizer_due");
	let_go(ROLE_B);
	done(ROLE_B);
	assert_null(handle[0]);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(1, 1);
	assert_int_equal(count_of(&called_back), 1);
}

/* The same for the memory: B is about to look at the header. */
static void memory_waits_for_upgrades_that_come_too_late(UNUSED void **state)
{
	make_weak_in_root(&node_type);
	park_detector();
	act(ROLE_A, clear_root, 0);
	pass_grace();
	hold_at(ROLE_B, "weak.target_read", 1);
	ask(ROLE_B, upgrade, 0);
	wait_held(ROLE_B);
	assert_cannot_go_to(ROLE_DETECTOR, "reclaim.gone");
	assert_int_equal(count_of(&destroyed), 1);
	assert_int_equal(live(), 1);
	let_go(ROLE_B);
	done(ROLE_B);
	assert_null(handle[0]);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	assert_ended_by_count(1, 0);
	assert_int_equal(count_of(&called_back), 1);
}

/* ---------------------------------------------------------------------------------------------
 * Memory
 * ------------------------------------------------------------------------------------------- */

/* A stops at that point of an object's end; the detector stands. */
static void die_at(const char *point)
{
	park_detector();
	act(ROLE_A, clear_root, 0);
	pass_grace();
	hold_at(ROLE_A, point, 1);
	ask(ROLE_A, settle_own, 0);
	wait_held(ROLE_A);
}

/* A: no window is open, so the memory goes back. Detector: opens one, and must not copy before A is through. */
static void no_window_copies_before_memory_on_its_way_is_back(UNUSED void **state)
{
	handle[0] = make(0);
	put_root(0);
	die_at("reclaim.give_back_due");
	let_go(ROLE_DETECTOR);
	look_until("window.opened", 1);
	assert_cannot_go_to(ROLE_DETECTOR, "window.memory_kept");
	let_go(ROLE_A);
	done(ROLE_A);
	wait_held(ROLE_DETECTOR);
	end_look();
	assert_ended_by_count(1, 0);
}

/* Dead while a window is open: the memory stays until it is closed. */
static void no_memory_goes_back_while_a_window_is_open(UNUSED void **state)
{
	handle[0] = make(0);
	put_root(0);
	die_at("reclaim.weak_cleared");
	let_go(ROLE_DETECTOR);
	look_until("window.copy_due", 1);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(count_of(&destroyed), 1);
	assert_int_equal(live(), 1);
	end_look();
	assert_ended_by_count(1, 0);
}

static void make_suspect_in_root(void)
{
	handle[0] = make(0);
	put_root(0);
	load_root(0);
	release_handle(0);
}

static void wait_given_back(void)
{
	for (int i = 0; i < 16 && live() > 0; i++)
		pass_round();
	assert_int_equal(live(), 0);
}

/* Destroyed, and still in a queue of suspects: who takes that entry gives the memory back, and nobody else does. */
static void the_last_flag_out_gives_the_memory_back(UNUSED void **state)
{
	make_suspect_in_root();
	die_at("reclaim.gone");
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(count_of(&destroyed), 1);
	assert_int_equal(live(), 1);
	cgc_enable();
	let_go(ROLE_DETECTOR);
	wait_given_back();
	cgc_disable();
	assert_ended_by_count(1, 0);
}

/* So many deaths that the detector, which may not look at suspects, goes through their queues for the dead. */
static void make_sweep_due(void)
{
	for (int i = 0; i < 64; i++)
		cgc_release(cgc_new(&leaf_type));
}

/* Automatic collection is off, and A is about to give the memory back. Detector: goes through the suspects;
 * this one is dead, and not gone, so the entry stays. The next time A comes in between: gone, and it is the
 * entry that keeps the memory, until the detector comes once more. */
static void a_suspect_that_dies_while_it_is_swept_is_given_back(UNUSED void **state)
{
	make_suspect_in_root();
	die_at("reclaim.give_back_due");
	make_sweep_due();
	let_go(ROLE_DETECTOR);
	pass_round();
	assert_int_equal(live(), 1);
	hold_at(ROLE_DETECTOR, "window.sweep_read", 1);
	make_sweep_due();
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(count_of(&destroyed), 1);
	assert_int_equal(live(), 1);
	let_go(ROLE_DETECTOR);
	make_sweep_due();
	wait_given_back();
	assert_ended_by_count(1, 0);
}

/* The entry is there before its number says so. A: makes a suspect, and has written the entry. Detector: goes
 * through the suspects; no grace period keeps it from that. */
static void an_entry_is_there_before_it_counts(UNUSED void **state)
{
	handle[0] = make(0);
	put_root(0);
	act(ROLE_A, load_root, 0);
	hold_at(ROLE_A, "queue.entry_written", 1);
	ask(ROLE_A, release_handle, 0);
	wait_held(ROLE_A);
	make_sweep_due();
	pass_round();
	let_go(ROLE_A);
	done(ROLE_A);
	clear_root(0);
	assert_ended_by_count(1, 0);
}

/* A: the object is dead, and A is half way through its children. Detector: a look at everything. The dead are
 * not its own, and what they still reach is none of its garbage. */
static void what_others_destroy_is_not_the_detectors(UNUSED void **state)
{
	struct node *parent = make(0);
	cgc_store_consume(parent, &parent->slot[0], make(1));
	cgc_store_consume(parent, &parent->slot[1], make(2));
	handle[0] = parent;
	put_root(0);
	die_at("reclaim.child_unlinked");
	let_go(ROLE_DETECTOR);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 1);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_ended_by_count(3, 0);
}

static void publish_two(UNUSED int unused)
{
	struct node *parent = make(0);
	cgc_store_consume(parent, &parent->slot[0], make(1));
	cgc_store_consume(CGC_ROOT, &root[0], parent);
}

static atomic_bool is_told;

/* Without an order on purpose: whatever orders what follows must be the library's. */
static void settle_when_told(UNUSED int unused)
{
	while (!atomic_load_explicit(&is_told, memory_order_relaxed))
		sched_yield();
	settle_own(0);
}

/* The detector has copied what A's queue has for dead, and found no garbage; so no grace period follows, only the
 * closing of the window stands between its reads and A, who gives the memory back. For ThreadSanitizer. */
static void what_a_window_copied_is_read_before_its_memory_is_filled(UNUSED void **state)
{
	/* ThreadSanitizer remembers four accesses of a word, and forgets at random: more than once. */
	for (int i = 0; i < 20; i++) {
		atomic_store_explicit(&is_told, false, memory_order_relaxed);
		act(ROLE_A, publish_two, 0);
		look_until("window.suspects_taken", 1);
		act(ROLE_A, clear_root, 0);
		act(ROLE_A, settle_own, 0); /* nothing is ready, but the entry gets its number */
		ask(ROLE_A, settle_when_told, 0);
		go_to(ROLE_DETECTOR, "window.closed");
		atomic_store_explicit(&is_told, true, memory_order_relaxed);
		done(ROLE_A);
		end_look();
		assert_ended_by_count(2, 0);
		count_clear(&destroyed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(what_a_window_copied_is_read_before_its_memory_is_filled),
		SCENE(a_child_of_two_dead_parents_is_not_touched_after_its_discount),
		SCENE(of_two_dead_parents_the_second_destroys_the_child),
		SCENE(a_child_unlinked_lately_does_not_die_with_its_parent),
		SCENE(the_stamp_is_read_after_the_word_it_belongs_to),
		SCENE(one_grace_period_after_the_stamp_is_not_enough),
		SCENE(a_stamp_of_the_grace_period_that_runs_is_not_old),
		SCENE(what_a_finalizer_has_shown_is_not_dead_at_once),
		SCENE(a_finalizer_waits_for_upgrades_that_come_too_late),
		SCENE(memory_waits_for_upgrades_that_come_too_late),
		SCENE(no_window_copies_before_memory_on_its_way_is_back),
		SCENE(no_memory_goes_back_while_a_window_is_open),
		SCENE(the_last_flag_out_gives_the_memory_back),
		SCENE(a_suspect_that_dies_while_it_is_swept_is_given_back),
		SCENE(an_entry_is_there_before_it_counts),
		SCENE(what_others_destroy_is_not_the_detectors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
