/* SPDX-License-Identifier: MIT
 *
 * Threads in cgc_collect(2): which look serves whom. docs/ordering.md, pair waiters.
 */
#include "hold.h"

static void make_garbage_ring(UNUSED int unused)
{
	struct node *ring = make_ring(2);
	cgc_publish(ring);
	cgc_release(ring);
}

/* The call is made, and its thread waits or is about to. */
static void ask_for_look(enum role who)
{
	hold_at(who, "collector.waiting", 1);
	ask(who, collect, 2);
	wait_held(who);
	let_go(who);
}

/* A story of the past. C: asks for a look. Detector: has copied. A: makes garbage, and asks too. The look was
 * over, and served both; what A had made before its call was still there when the call returned. */
static void a_look_serves_only_calls_made_before_it(UNUSED void **state)
{
	look_until("window.close_due", 1);
	act(ROLE_A, make_garbage_ring, 0);
	ask_for_look(ROLE_A);
	let_go(ROLE_DETECTOR);
	done(ROLE_C);
	done(ROLE_A);
	assert_int_equal(collected[ROLE_A], 2);
	assert_int_equal(count_of(&destroyed), 2);
	assert_ended(2, 0);
}

/* Both have asked before it begins: one look is enough. */
static void a_look_serves_all_calls_made_before_it(UNUSED void **state)
{
	make_garbage_ring(0);
	park_detector();
	uint64_t collections = stats_now().generation[2].collections;
	ask_for_look(ROLE_A);
	ask_for_look(ROLE_B);
	let_go(ROLE_DETECTOR);
	done(ROLE_A);
	done(ROLE_B);
	assert_int_equal(collected[ROLE_A], 2);
	assert_int_equal(collected[ROLE_B], 2);
	assert_int_equal(stats_now().generation[2].collections - collections, 1);
	assert_ended(2, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(a_look_serves_only_calls_made_before_it),
		SCENE(a_look_serves_all_calls_made_before_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
