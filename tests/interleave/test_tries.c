/* SPDX-License-Identifier: MIT
 *
 * Grace periods that a thread ends itself, without waiting for anybody. docs/ordering.md, pairs BRIEF, READING, SEAL,
 * GRACE and BUSY.
 */
#include "hold.h"

static uint64_t started(void)
{
	return atomic_load(&cgc__grace_started);
}

static uint64_t done_number(void)
{
	return atomic_load(&cgc__grace_done);
}

static void make_root(void)
{
	handle[0] = make(0);
	put_root(0);
}

static void load_and_release(int i)
{
	load_root(i);
	release_handle(i);
}

/* A is in a section; the same number is tried until A has left. */
static void assert_tries_wait_for(enum role who, void (*let_leave)(enum role))
{
	uint64_t before = started();
	assert_int_equal(done_number(), before);
	for (int i = 0; i < 5; i++) {
		assert_false(cgc__grace_try());
		assert_int_equal(started(), before + 1);
		assert_int_equal(done_number(), before);
	}
	let_leave(who);
	assert_true(cgc__grace_try());
	assert_int_equal(started(), before + 1);
	assert_int_equal(done_number(), before + 1);
}

static void let_go_and_done(enum role who)
{
	let_go(who);
	done(who);
}

static void let_unlock(enum role who)
{
	act(who, leave, 0);
}

static void a_try_is_in_vain_while_a_thread_is_in_a_brief_section(UNUSED void **state)
{
	make_root();
	park_detector();
	hold_at(ROLE_A, "slot.load_read", 1);
	ask(ROLE_A, load_and_release, 0);
	wait_held(ROLE_A);
	assert_tries_wait_for(ROLE_A, let_go_and_done);
	let_go(ROLE_DETECTOR);
	clear_root(0);
	assert_ended_by_count(1, 0);
}

static void a_try_is_in_vain_while_a_thread_is_in_a_read_section(UNUSED void **state)
{
	park_detector();
	act(ROLE_A, enter, 0);
	act(ROLE_A, enter, 0);
	act(ROLE_A, leave, 0);
	assert_tries_wait_for(ROLE_A, let_unlock);
	let_go(ROLE_DETECTOR);
}

/* The number of a try in vain is older than what came after it: a queue sealed meanwhile waits for the next. */
static void what_is_sealed_after_a_try_in_vain_waits_for_the_next(UNUSED void **state)
{
	park_detector();
	act(ROLE_A, enter, 0);
	assert_false(cgc__grace_try());
	uint64_t sealed = cgc__grace_seal();
	act(ROLE_A, leave, 0);
	assert_true(cgc__grace_try());
	assert_true(done_number() < sealed);
	assert_true(cgc__grace_try());
	assert_int_equal(done_number(), sealed);
	let_go(ROLE_DETECTOR);
}

/* And so does the detector: its wait begins with the call. */
static void a_wait_after_a_try_in_vain_is_for_a_new_grace_period(UNUSED void **state)
{
	park_detector();
	act(ROLE_A, enter, 0);
	assert_false(cgc__grace_try());
	uint64_t sealed = cgc__grace_seal();
	act(ROLE_A, leave, 0);
	cgc__grace_wait();
	assert_int_equal(done_number(), sealed);
	let_go(ROLE_DETECTOR);
}

static void try_once(int i)
{
	collected[my_role] = cgc__grace_try();
	(void)i;
}

/* One at a time: who comes second does not wait. */
static void two_threads_do_not_try_at_once(UNUSED void **state)
{
	park_detector();
	uint64_t before = started();
	hold_at(ROLE_A, "grace.try_numbered", 1);
	ask(ROLE_A, try_once, 0);
	wait_held(ROLE_A);
	assert_false(cgc__grace_try());
	assert_int_equal(started(), before + 1);
	let_go(ROLE_A);
	done(ROLE_A);
	assert_int_equal(collected[ROLE_A], 1);
	assert_int_equal(done_number(), before + 1);
	let_go(ROLE_DETECTOR);
}

/* The background thread gets no processor, and the program goes on making garbage: what died waits for a bounded
 * number of further deaths. */
static void a_queue_is_settled_without_the_background_thread(UNUSED void **state)
{
	park_detector();
	int before = count_of(&destroyed);
	for (int i = 0; i < 20000; i++) {
		handle[0] = make(i);
		put_root(0);
		assert_true(i - (count_of(&destroyed) - before) < 2500);
	}
	let_go(ROLE_DETECTOR);
	clear_root(0);
	assert_ended_by_count(20000, 0);
}

/* The same for few entries that stand for much: a thread that wants memory settles them first. */
static void memory_is_reused_without_the_background_thread(UNUSED void **state)
{
	uint64_t once = 0;
	park_detector();
	for (int i = 0; i < 50; i++) {
		handle[0] = make_chain(20000);
		put_root(0);
		if (i == 1)
			once = stats_now().bytes_reserved;
	}
	assert_true(stats_now().bytes_reserved < 3 * once);
	let_go(ROLE_DETECTOR);
	clear_root(0);
	assert_ended_by_count(50 * 20000, 0);
}

static void allocate(UNUSED struct node *self)
{
	cgc_release(make(0));
}

/* And so it may find itself with memory: what is destroyed then may allocate. */
static void destroyers_may_allocate_while_memory_is_taken(UNUSED void **state)
{
	park_detector();
	for (int i = 0; i < 20; i++) {
		handle[0] = make_chain(5000);
		for (struct node *node = handle[0]; node != NULL; node = cgc_borrow(&node->slot[0]))
			node->on_destroy = i % 2 == 0 ? allocate : NULL;
		put_root(0);
	}
	let_go(ROLE_DETECTOR);
	clear_root(0);
	collect(2);
	assert_int_equal(cgc_debug_verify(), 0);
	assert_int_equal(live(), 0);
}

/* While a window is open no memory goes back, so a grace period would only move entries from one end of the queue to
 * the other. */
static void nobody_tries_while_a_window_is_open(UNUSED void **state)
{
	look_until("window.close_due", 1);
	uint64_t before = started();
	for (int i = 0; i < 5000; i++) {
		handle[0] = make(i);
		put_root(0);
	}
	assert_int_equal(started(), before);
	end_look();
	clear_root(0);
	assert_ended_by_count(5000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(a_try_is_in_vain_while_a_thread_is_in_a_brief_section),
		SCENE(a_try_is_in_vain_while_a_thread_is_in_a_read_section),
		SCENE(what_is_sealed_after_a_try_in_vain_waits_for_the_next),
		SCENE(a_wait_after_a_try_in_vain_is_for_a_new_grace_period),
		SCENE(two_threads_do_not_try_at_once),
		SCENE(a_queue_is_settled_without_the_background_thread),
		SCENE(memory_is_reused_without_the_background_thread),
		SCENE(destroyers_may_allocate_while_memory_is_taken),
		SCENE(nobody_tries_while_a_window_is_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
